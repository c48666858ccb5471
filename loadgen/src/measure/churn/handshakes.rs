//! Handshakes: connections opened, secured and closed again, many at once.
//!
//! A handshake begins with the first segment and is finished when the client has sent its last
//! message; over TCP alone, when the connection stands. With a rate the loop is open, as that of
//! churn is: a handshake counts from when it was due.

use std::{
    collections::BTreeMap,
    io,
    time::{Duration, Instant},
};

use super::cycles::{Place, home, never_begun};
use crate::{
    clock::{MILLI_NS, SECOND_NS},
    count::latency,
    count::ledger::Way,
    fault::Fault,
    offer::spec::Spec,
    rig::{
        gauge::Gauge,
        lane::{ThreadUse, Watch},
        link::{self, Access, Link},
        sender::SentCount,
    },
    socket::{Inbox, Poller},
    stream::{Connection, Frames},
};

/// How often those under way are looked at.
const TICK_NS: u64 = 10 * MILLI_NS;

/// How long a connection that later ones are to resume waits for its ticket.
const TICKET_NS: u64 = 200 * MILLI_NS;

/// A handshake under way, or one that is finished and waits for a ticket.
struct Slot {
    link: Link,
    due_ns: u64,
    begin_ns: u64,
    finished_ns: Option<u64>,
}

/// What a thread of handshakes counts.
pub(super) struct Count {
    pub(super) started: SentCount,
    pub(super) finished: Way,
    pub(super) lag: hdrhistogram::Histogram<u64>,
    /// Those that were due and never began.
    pub(super) unsent: u64,
    /// Of the measurement: finished ones that resumed a session.
    pub(super) resumed: u64,
    /// Why those that failed did, and how many each.
    pub(super) failures: BTreeMap<String, u64>,
    /// What the last agreed on.
    pub(super) agreed: Option<String>,
}

/// One thread's handshakes.
pub(super) struct Handshakes<'a> {
    spec: &'a Spec,
    place: Place<'a>,
    gauge: &'a Gauge,
    access: Access,
    poller: Poller,
    inbox: Inbox,
    frames: Frames,
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
    /// Distance between handshakes; 0: whenever a slot is free.
    interval_ns: u64,
    next_ns: u64,
    tick_ns: u64,
    pub(super) count: Count,
}

impl<'a> Handshakes<'a> {
    pub(super) fn new(
        spec: &'a Spec,
        place: Place<'a>,
        access: Access,
        gauge: &'a Gauge,
    ) -> Result<Handshakes<'a>, Fault> {
        let interval = spec.rate.map_or(0.0, |rate| SECOND_NS as f64 * spec.threads as f64 / rate);
        Ok(Handshakes {
            spec,
            place,
            gauge,
            access,
            poller: Poller::new().map_err(|error| Fault::io("create an epoll", error))?,
            inbox: Inbox::new(),
            frames: Frames::default(),
            slots: (0..spec.window).map(|_| None).collect(),
            free: (0..spec.window).rev().collect(),
            interval_ns: interval as u64,
            next_ns: place.window.start_ns,
            tick_ns: 0,
            count: Count::new(),
        })
    }

    /// Shakes hands until the window ends, and finishes what is under way then.
    pub(super) fn run(&mut self, core: Option<usize>) -> Result<ThreadUse, Fault> {
        let clock = self.place.clock;
        let watch = Watch::start("handshakes", core, clock);
        let mut busy_ns = 0;
        loop {
            let now = clock.now();
            if now < self.end_ns() {
                self.open_due(now)?;
            } else if self.free.len() == self.slots.len() {
                self.count.unsent = never_begun(self.next_ns, self.interval_ns, self.end_ns());
                return Ok(watch.stop(busy_ns));
            }
            let wait = Duration::from_nanos(self.wait_ns(now));
            let ready = self.poller.wait(wait);
            let ready = ready.map_err(|error| Fault::io("wait for connections", error))?;
            let ready: Vec<usize> = ready.map(|token| token as usize).collect();
            let begin = clock.now();
            ready.into_iter().for_each(|slot| self.proceed(slot));
            self.tick(begin);
            self.gauge.publish_sent(self.count.started.all, 0);
            self.gauge.publish_received(self.count.finished.all, 0);
            busy_ns += clock.now() - begin;
        }
    }

    /// When no more begin.
    fn end_ns(&self) -> u64 {
        self.place.window.until_ns.min(self.place.until.ns())
    }

    fn wait_ns(&self, now: u64) -> u64 {
        let tick_ns = self.tick_ns.saturating_sub(now).min(TICK_NS);
        match self.free.is_empty() || now >= self.end_ns() {
            true => tick_ns,
            false => self.next_ns.saturating_sub(now).min(tick_ns),
        }
    }

    /// Begins those that are due, as far as slots are free.
    fn open_due(&mut self, now: u64) -> Result<(), Fault> {
        while self.next_ns <= now {
            let Some(slot) = self.free.pop() else { return Ok(()) };
            let due_ns = if self.interval_ns == 0 { now } else { self.next_ns };
            self.next_ns += self.interval_ns;
            self.open(slot, due_ns)?;
            if self.interval_ns == 0 && self.free.len().is_multiple_of(8) {
                return Ok(());
            }
        }
        Ok(())
    }

    fn open(&mut self, slot: usize, due_ns: u64) -> Result<(), Fault> {
        let from = home(self.place.server, self.count.started.all);
        let link = Link::open(&self.access.clone().from(from), self.place.server)?;
        let begin_ns = self.place.clock.now();
        self.count.lag.saturating_record(begin_ns.saturating_sub(due_ns));
        self.count.started.all += 1;
        self.count.started.packets += u64::from(self.is_measured(due_ns));
        let watched = link.stream().map_or(Ok(true), |stream| stream.flush());
        let watched = watched.and_then(|_| link.watch(&self.poller, slot as u64));
        self.slots[slot] = Some(Slot { link, due_ns, begin_ns, finished_ns: None });
        if let Err(error) = watched {
            self.fail(slot, &error);
        }
        Ok(())
    }

    fn is_measured(&self, due_ns: u64) -> bool {
        due_ns >= self.place.window.from_ns
    }

    /// Goes on with a handshake as far as the server's answers allow.
    fn proceed(&mut self, slot: usize) {
        let Some(shake) = &self.slots[slot] else { return };
        let link = shake.link.clone();
        let received = drain(&link, &mut self.inbox, &mut self.frames);
        let Some(stream) = link.stream() else { return };
        // A server may end a connection that is finished; its answers count.
        if stream.is_established() {
            self.finish(slot, stream);
        } else if let Err(error) = received {
            self.fail(slot, &error);
        }
    }

    fn finish(&mut self, slot: usize, stream: &Connection) {
        let now = self.place.clock.now();
        let Some(shake) = &mut self.slots[slot] else { return };
        let is_first = shake.finished_ns.is_none();
        shake.finished_ns = shake.finished_ns.or(Some(now));
        let due_ns = shake.due_ns;
        if is_first {
            let took_ns = now.saturating_sub(due_ns);
            let is_measured = self.is_measured(due_ns);
            self.gauge.recent.note(took_ns);
            self.count.resumed += u64::from(is_measured && stream.is_resumed());
            self.count.finish(is_measured, took_ns);
            self.count.agreed = self.count.agreed.take().or_else(|| stream.agreed());
        }
        if !self.spec.resume || stream.has_ticket() {
            stream.close();
            self.release(slot);
        }
    }

    fn fail(&mut self, slot: usize, error: &io::Error) {
        self.note_failure(slot, reason(error));
    }

    fn note_failure(&mut self, slot: usize, reason: String) {
        *self.count.failures.entry(reason).or_default() += 1;
        self.release(slot);
    }

    fn release(&mut self, slot: usize) {
        self.slots[slot] = None;
        self.free.push(slot);
    }

    /// Gives up what takes too long.
    fn tick(&mut self, now: u64) {
        if now < self.tick_ns {
            return;
        }
        self.tick_ns = now + TICK_NS;
        let patience_ns = self.spec.pace.patience_ns;
        for slot in 0..self.slots.len() {
            match &self.slots[slot] {
                Some(Slot { finished_ns: Some(at), link, .. }) if now >= at + TICKET_NS => {
                    link.stream().into_iter().for_each(|stream| stream.close());
                    self.release(slot);
                }
                Some(Slot { finished_ns: None, begin_ns, .. }) if now >= begin_ns + patience_ns => {
                    self.note_failure(slot, "not finished in time".to_owned());
                }
                Some(_) | None => {}
            }
        }
    }
}

/// One handshake alone: what is wrong with the server shows here, in one line.
pub(super) fn try_once(spec: &Spec, place: Place<'_>, access: &Access) -> Result<(), Fault> {
    let link = Link::open(access, place.server)?;
    let Some(stream) = link.stream() else { return Ok(()) };
    let (mut inbox, mut frames) = (Inbox::new(), Frames::default());
    let begin = Instant::now();
    while !stream.is_established() {
        let drained = drain(&link, &mut inbox, &mut frames);
        if let (Err(error), false) = (&drained, stream.is_established()) {
            return Err(link::fault(place.server, error));
        }
        if begin.elapsed() > Duration::from_nanos(spec.pace.patience_ns) {
            return Err(link::silence(place.server, stream));
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    stream.close();
    Ok(())
}

/// Takes all that has arrived; nobody asked for anything, so that no message is looked at.
fn drain(link: &Link, inbox: &mut Inbox, frames: &mut Frames) -> io::Result<()> {
    while link.receive(inbox, frames)? {}
    Ok(())
}

/// Why a handshake failed, in words that many have in common.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "refused".to_owned(),
        io::ErrorKind::ConnectionReset => "reset by the server".to_owned(),
        io::ErrorKind::UnexpectedEof => "closed by the server".to_owned(),
        io::ErrorKind::AddrNotAvailable => "no local port was free".to_owned(),
        _ => error.to_string(),
    }
}

impl Count {
    pub(super) fn new() -> Count {
        Count {
            started: SentCount::default(),
            finished: Way::new(),
            lag: latency::empty(),
            unsent: 0,
            resumed: 0,
            failures: BTreeMap::new(),
            agreed: None,
        }
    }

    pub(super) fn add(&mut self, other: &Count) {
        self.started.add(&other.started);
        self.finished.add(&other.finished);
        latency::add(&mut self.lag, &other.lag);
        self.unsent += other.unsent;
        self.resumed += other.resumed;
        for (reason, count) in &other.failures {
            *self.failures.entry(reason.clone()).or_default() += count;
        }
        self.agreed = self.agreed.take().or_else(|| other.agreed.clone());
    }

    fn finish(&mut self, measured: bool, took_ns: u64) {
        self.finished.all += 1;
        if measured {
            self.finished.packets += 1;
            self.finished.latency.saturating_record(took_ns);
        }
    }
}
