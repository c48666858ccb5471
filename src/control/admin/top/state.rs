//! What the screen shows: the latest figures, and rates made of them and the ones before.

use crate::control::admin::protocol::{Busy, Top, WorkerFigures};

/// By what sessions are sorted, the most first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sort {
    #[default]
    Packets,
    Bits,
    Age,
}

impl Sort {
    /// One word for it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Packets => "packets",
            Self::Bits => "bits",
            Self::Age => "age",
        }
    }
}

/// Two samples, and how the second is looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct TopState {
    before: Option<Top>,
    now: Option<Top>,
    pub(super) sort: Sort,
}

/// What one worker does in a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rates {
    pub(super) packets: f64,
    pub(super) bits: f64,
    /// Datagrams in a turn of its loop.
    pub(super) batch: f64,
    /// Share of what was received that came in trains, 0 to 1.
    pub(super) in_trains: f64,
    pub(super) dropped: f64,
    pub(super) allocations: u64,
}

impl TopState {
    /// Takes the next figures.
    pub(super) fn note(&mut self, figures: Top) {
        self.before = self.now.replace(figures);
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
        Rates {
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

    /// Datagrams dropped for each reason: in a second, and since the start.
    pub(super) fn drops(&self) -> Vec<(&str, f64, u64)> {
        let Some(now) = &self.now else { return Vec::new() };
        let seconds = self.elapsed_s().unwrap_or(1.0);
        let before = |reason: &str, count: u64| match &self.before {
            Some(before) => before.drops.get(reason).copied().unwrap_or_default(),
            None => count,
        };
        let rate = |(reason, count): (&'_ String, &u64)| {
            count.saturating_sub(before(reason, *count)) as f64 / seconds
        };
        let mut drops: Vec<_> =
            now.drops.iter().map(|it| (it.0.as_str(), rate(it), *it.1)).collect();
        drops.sort_by(|a, b| b.1.total_cmp(&a.1).then(b.2.cmp(&a.2)).then(a.0.cmp(b.0)));
        drops
    }

    /// Datagrams that found a socket's buffer full, in a second.
    pub(super) fn socket_overflow(&self) -> Option<f64> {
        let (before, now) = (self.before.as_ref()?, self.now.as_ref()?);
        let more = now.socket_overflow?.saturating_sub(before.socket_overflow?);
        Some(more as f64 / self.elapsed_s()?)
    }

    /// The busiest sessions, sorted.
    pub(super) fn busiest(&self) -> Vec<&Busy> {
        let key = |busy: &Busy| match self.sort {
            Sort::Packets => busy.packets_per_s,
            Sort::Bits => busy.bytes_per_s,
            Sort::Age => busy.session.age_s,
        };
        let mut busiest: Vec<_> = self.now.iter().flat_map(|now| &now.busiest).collect();
        busiest.sort_by(|a, b| key(b).total_cmp(&key(a)));
        busiest
    }
}
