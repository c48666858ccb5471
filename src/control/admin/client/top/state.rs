//! What the screen shows: the latest figures, rates made of them and the ones before, the last
//! minutes, and what the user looks at.

use std::collections::BTreeMap;

use super::keys::{KeyPress, Sort};
use super::trace::Trace;
use crate::control::admin::protocol::{Busy, SessionDetail, Top, WorkerFigures};

/// What lies over the screen.
#[derive(Clone, Debug, Default)]
pub(super) enum Overlay {
    #[default]
    None,
    Help,
    Session(OpenedSession),
}

/// A session that is looked at.
#[derive(Clone, Debug)]
pub(super) struct OpenedSession {
    pub(super) id: String,
    /// What the server said last.
    pub(super) detail: Option<Result<Box<SessionDetail>, String>>,
    /// Whether it should be asked again.
    is_old: bool,
}

/// What comes after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    GoOn,
    Quit,
}

/// Two samples, the minutes before them, and how they are looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct TopState {
    before: Option<Top>,
    now: Option<Top>,
    pub(super) packets: Trace,
    pub(super) bits: Trace,
    pub(super) dropped: Trace,
    pub(super) refused: Trace,
    sort: Sort,
    /// The session that the bar is on.
    selected: Option<String>,
    pub(super) overlay: Overlay,
    /// Whether workers have the whole screen.
    pub(super) is_about_workers: bool,
}

/// What one worker does in a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rates {
    /// Share of a core, 0 to 1; `None` where the kernel does not say.
    pub(super) cpu: Option<f64>,
    pub(super) packets: f64,
    pub(super) bits: f64,
    /// Datagrams in a turn of its loop.
    pub(super) batch: f64,
    /// Share of what was received that came in trains, 0 to 1.
    pub(super) in_trains: f64,
    pub(super) dropped: f64,
    pub(super) allocations: u64,
}

/// How often something happened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Count<'a> {
    pub(super) reason: &'a str,
    pub(super) per_s: f64,
    /// Since the start of the server.
    pub(super) total: u64,
}

impl TopState {
    /// Takes the next figures.
    pub(super) fn note(&mut self, figures: Top) {
        self.before = self.now.replace(figures);
        if self.before.is_none() {
            return;
        }
        let sum = |of: fn(&Rates) -> f64| self.workers().iter().flatten().map(of).sum::<f64>();
        let (packets, bits) = (sum(|rates| rates.packets), sum(|rates| rates.bits));
        let all = |counts: Vec<Count<'_>>| counts.iter().map(|count| count.per_s).sum::<f64>();
        let (dropped, refused) = (all(self.drops()), all(self.refusals()));
        self.packets.push(packets);
        self.bits.push(bits);
        self.dropped.push(dropped);
        self.refused.push(refused);
    }

    /// The latest figures.
    pub(super) fn now(&self) -> Option<&Top> {
        self.now.as_ref()
    }

    /// Seconds between the two samples; `None` while there is only one.
    fn elapsed_s(&self) -> Option<f64> {
        let (before, now) = (self.before.as_ref()?, self.now.as_ref()?);
        Some((now.at_ms.saturating_sub(before.at_ms) as f64 / 1000.0).max(0.001))
    }

    /// What each worker does, by its index; `None` for one that does not answer.
    pub(super) fn workers(&self) -> Vec<Option<Rates>> {
        let Some(now) = &self.now else { return Vec::new() };
        let find = |top: &Top, worker: usize| {
            top.workers.iter().find(|it| usize::from(it.worker) == worker).cloned()
        };
        let rates = |worker| {
            let after = find(now, worker)?;
            let before = self.before.as_ref().and_then(|before| find(before, worker));
            Some(self.rates(before.as_ref().unwrap_or(&after), &after))
        };
        (0..now.worker_count).map(rates).collect()
    }

    fn rates(&self, before: &WorkerFigures, after: &WorkerFigures) -> Rates {
        let seconds = self.elapsed_s().unwrap_or(1.0);
        let more =
            |count: fn(&WorkerFigures) -> u64| count(after).saturating_sub(count(before)) as f64;
        let (received, turns) = (more(|it| it.received), more(|it| it.turns));
        let cpu_us = before.cpu_us.zip(after.cpu_us);
        Rates {
            cpu: cpu_us.map(|(then, now)| now.saturating_sub(then) as f64 / 1e6 / seconds),
            packets: more(|it| it.packets) / seconds,
            bits: more(|it| it.bytes) * 8.0 / seconds,
            batch: if turns > 0.0 { received / turns } else { 0.0 },
            in_trains: if received > 0.0 {
                more(|it| it.received_in_trains) / received
            } else {
                0.0
            },
            dropped: more(|it| it.dropped) / seconds,
            allocations: after.allocations,
        }
    }

    /// How much more the busiest worker does than the mean of all; `None` while nobody does
    /// anything.
    pub(super) fn imbalance(&self) -> Option<f64> {
        let packets: Vec<f64> =
            self.workers().iter().map(|rates| rates.map_or(0.0, |rates| rates.packets)).collect();
        let mean = packets.iter().sum::<f64>() / packets.len().max(1) as f64;
        let most = packets.iter().copied().fold(0.0, f64::max);
        (mean > 0.0).then(|| most / mean)
    }

    /// Datagrams dropped for each reason, those with most in this second first.
    pub(super) fn drops(&self) -> Vec<Count<'_>> {
        self.counts(|top| &top.drops)
    }

    /// Requests refused for each reason, likewise.
    pub(super) fn refusals(&self) -> Vec<Count<'_>> {
        self.counts(|top| &top.refusals)
    }

    fn counts(&self, of: fn(&Top) -> &BTreeMap<String, u64>) -> Vec<Count<'_>> {
        let Some(now) = &self.now else { return Vec::new() };
        let seconds = self.elapsed_s().unwrap_or(1.0);
        let before = |reason: &str, count: u64| match &self.before {
            Some(before) => of(before).get(reason).copied().unwrap_or_default(),
            None => count,
        };
        let per_s =
            |reason: &str, total: u64| total.saturating_sub(before(reason, total)) as f64 / seconds;
        let counts = of(now).iter();
        let counts =
            counts.map(|(reason, &total)| Count { reason, per_s: per_s(reason, total), total });
        let mut counts: Vec<_> = counts.collect();
        counts.sort_by(|a, b| {
            b.per_s.total_cmp(&a.per_s).then(b.total.cmp(&a.total)).then(a.reason.cmp(b.reason))
        });
        counts
    }

    /// Datagrams that found a socket's buffer full, in a second.
    pub(super) fn socket_overflow(&self) -> Option<f64> {
        let (before, now) = (self.before.as_ref()?, self.now.as_ref()?);
        let more = now.socket_overflow?.saturating_sub(before.socket_overflow?);
        Some(more as f64 / self.elapsed_s()?)
    }

    pub(super) fn sort(&self) -> Sort {
        self.sort
    }

    /// The sessions there are, sorted.
    pub(super) fn sessions(&self) -> Vec<&Busy> {
        let key = |busy: &Busy| match self.sort {
            Sort::Packets => busy.packets_per_s,
            Sort::Bits => busy.bytes_per_s,
            Sort::Age => busy.session.age_s,
        };
        let mut sessions: Vec<_> = self.now.iter().flat_map(|now| &now.busiest).collect();
        sessions.sort_by(|a, b| {
            key(b).total_cmp(&key(a)).then_with(|| a.session.id.cmp(&b.session.id))
        });
        sessions
    }

    /// The place of the bar among the sessions; `None` before it was moved, and when its session
    /// is gone.
    pub(super) fn selected(&self) -> Option<usize> {
        let selected = self.selected.as_deref()?;
        self.sessions().iter().position(|busy| busy.session.id == selected)
    }

    /// Does what a key means.
    pub(super) fn press(&mut self, key: KeyPress) -> After {
        match (key, &self.overlay) {
            (KeyPress::Quit, _) => return After::Quit,
            (KeyPress::Back, Overlay::None) if self.is_about_workers => {
                self.is_about_workers = false;
            }
            (KeyPress::Back, Overlay::None) => return After::Quit,
            (KeyPress::Back, Overlay::Help | Overlay::Session(_)) => self.overlay = Overlay::None,
            (KeyPress::Help, Overlay::Help) => self.overlay = Overlay::None,
            (KeyPress::Help, Overlay::None | Overlay::Session(_)) => self.overlay = Overlay::Help,
            (KeyPress::Sort(sort), _) => self.sort = sort,
            (KeyPress::Workers, _) => self.is_about_workers = !self.is_about_workers,
            (KeyPress::Move(by), _) => {
                self.select(|at, _| at.map_or(0, |at| at.saturating_add(by)));
            }
            (KeyPress::First, _) => self.select(|_, _| 0),
            (KeyPress::Last, _) => self.select(|_, last| last),
            (KeyPress::Open, Overlay::Session(_)) => self.overlay = Overlay::None,
            (KeyPress::Open, Overlay::None | Overlay::Help) => self.open(),
        }
        After::GoOn
    }

    /// Moves the bar; an opened session follows it.
    fn select(&mut self, to: impl FnOnce(Option<isize>, isize) -> isize) {
        let at = self.selected().and_then(|at| isize::try_from(at).ok());
        let last = isize::try_from(self.sessions().len()).unwrap_or(isize::MAX) - 1;
        let place = usize::try_from(to(at, last).clamp(0, last.max(0))).unwrap_or(0);
        self.selected = self.sessions().get(place).map(|busy| busy.session.id.clone());
        if matches!(self.overlay, Overlay::Session(_)) {
            self.open();
        }
    }

    fn open(&mut self) {
        let at = self.selected().unwrap_or(0);
        let Some(id) = self.sessions().get(at).map(|busy| busy.session.id.clone()) else { return };
        self.selected = Some(id.clone());
        self.overlay = Overlay::Session(OpenedSession { id, detail: None, is_old: true });
    }

    /// The session that the server should be asked about.
    pub(super) fn wanted_detail(&self) -> Option<&str> {
        match &self.overlay {
            Overlay::Session(opened) if opened.is_old => Some(&opened.id),
            Overlay::Session(_) | Overlay::None | Overlay::Help => None,
        }
    }

    /// What is known of an opened session is no longer the latest.
    pub(super) fn age_detail(&mut self) {
        if let Overlay::Session(opened) = &mut self.overlay {
            opened.is_old = true;
        }
    }

    /// Takes what the server says of a session; of one that is no longer opened it is nothing.
    pub(super) fn note_detail(&mut self, id: &str, detail: Result<Box<SessionDetail>, String>) {
        if let Overlay::Session(opened) = &mut self.overlay
            && opened.id == id
        {
            (opened.detail, opened.is_old) = (Some(detail), false);
        }
    }
}
