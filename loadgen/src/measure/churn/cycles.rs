//! Cycles: allocations opened, permitted, bound, refreshed and closed, one after the other, many at
//! once.
//!
//! With a rate the loop is open: a cycle is due whether or not the server keeps up, and its latency
//! counts from then. Every cycle has a socket of its own, as every client has.

use std::{
    io, mem,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use hdrhistogram::Histogram;

use crate::{
    clock::{Clock, MILLI_NS, SECOND_NS},
    count::{latency, ledger::Way},
    fault::Fault,
    offer::{packet::mix, spec::Spec, window::Window},
    rig::{
        self,
        gauge::Gauge,
        lane::{ThreadUse, Watch},
        link::{self, Access},
        sender::SentCount,
        turn::{Answer, Member, Request, Session},
    },
    socket::{Inbox, Poller},
    stop::Until,
    stream::Frames,
};

/// What is asked in one cycle, and by whom.
#[derive(Clone, Copy)]
pub(super) struct Cycle {
    /// What the thread is called.
    pub(super) role: &'static str,
    pub(super) requests: &'static [Request],
}

/// The whole life of an allocation.
pub(super) const CHURN: Cycle = Cycle {
    role: "churn",
    requests: &[
        Request::Allocate,
        Request::Permit,
        Request::Bind,
        Request::Refresh,
        Request::Close,
    ],
};

/// One request of each kind that must be answered whatever else goes on.
pub(super) const PROBE: Cycle = Cycle {
    role: "probe",
    requests: &[Request::Binding, Request::Allocate, Request::Refresh, Request::Close],
};

/// How often requests under way are looked at for a retransmission.
const TICK_NS: u64 = 10 * MILLI_NS;

/// Where permissions and channels point: nothing is sent there.
pub(super) const DISCARD_PORT: u16 = 9;

/// Networks that clients of a server on the loopback come from. A server may bound what it answers
/// to one network before it knows anybody there, and thousands of clients a second do not come from
/// one.
const NETWORKS: u64 = 250;

/// A client in the middle of its cycle.
struct Slot {
    member: Member,
    due_ns: u64,
    done: usize,
}

/// What a thread of cycles counts.
pub(super) struct Count {
    pub(super) started: SentCount,
    pub(super) finished: Way,
    pub(super) requests: Vec<(Request, Histogram<u64>)>,
    pub(super) lag: Histogram<u64>,
    /// Cycles that were due and never began.
    pub(super) unsent: u64,
    /// Cycles that failed, and the last in words.
    pub(super) failures: (u64, Option<String>),
}

/// One thread's cycles.
pub(super) struct Churn<'a> {
    spec: &'a Spec,
    server: SocketAddr,
    peer: SocketAddr,
    clock: Clock,
    window: Window,
    until: &'a Until,
    cycle: Cycle,
    gauge: &'a Gauge,
    access: Access,
    inbox: Inbox,
    frames: Frames,
    poller: Poller,
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
    /// Distance between cycles; 0: whenever a slot is free.
    interval_ns: u64,
    next_ns: u64,
    seed: u64,
    tick_ns: u64,
    pub(super) count: Count,
}

/// Where and when cycles run.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) server: SocketAddr,
    pub(crate) peer_ip: IpAddr,
    pub(crate) clock: Clock,
    pub(crate) window: Window,
    /// The end of everything, which the window may lie before.
    pub(crate) until: &'a Until,
}

impl<'a> Churn<'a> {
    pub(super) fn new(
        spec: &'a Spec,
        place: Place<'a>,
        cycle: Cycle,
        gauge: &'a Gauge,
    ) -> Result<Churn<'a>, Fault> {
        let threads = spec.threads as f64;
        let interval = spec.rate.map_or(0.0, |rate| SECOND_NS as f64 * threads / rate);
        Ok(Churn {
            spec,
            server: place.server,
            peer: SocketAddr::new(place.peer_ip, DISCARD_PORT),
            clock: place.clock,
            window: place.window,
            until: place.until,
            cycle,
            gauge,
            access: Access::of(spec).without_trains(),
            inbox: Inbox::new(),
            frames: Frames::default(),
            poller: Poller::new().map_err(|error| Fault::io("create an epoll", error))?,
            slots: (0..spec.window).map(|_| None).collect(),
            free: (0..spec.window).rev().collect(),
            interval_ns: interval as u64,
            next_ns: place.window.start_ns,
            seed: rig::seed(),
            tick_ns: 0,
            count: Count::new(cycle),
        })
    }

    /// Runs cycles until the window ends, and those under way to their end.
    pub(super) fn run(&mut self, core: Option<usize>) -> Result<ThreadUse, Fault> {
        let watch = Watch::start(self.cycle.role, core, self.clock);
        let mut busy_ns = 0;
        loop {
            let now = self.clock.now();
            if now < self.end_ns() {
                self.open_due(now)?;
            } else if self.free.len() == self.slots.len() {
                self.count.unsent = never_begun(self.next_ns, self.interval_ns, self.end_ns());
                return Ok(watch.stop(busy_ns));
            }
            let wait = Duration::from_nanos(self.wait_ns(now));
            let ready =
                self.poller.wait(wait).map_err(|error| Fault::io("wait for answers", error))?;
            let ready: Vec<usize> = ready.map(|token| token as usize).collect();
            let begin = self.clock.now();
            ready.into_iter().try_for_each(|slot| self.read(slot))?;
            self.tick(begin);
            self.gauge.publish_sent(self.count.started.all, 0);
            self.gauge.publish_received(self.count.finished.all, 0);
            busy_ns += self.clock.now() - begin;
        }
    }

    /// When no more cycles begin.
    fn end_ns(&self) -> u64 {
        self.window.until_ns.min(self.until.ns())
    }

    fn wait_ns(&self, now: u64) -> u64 {
        let tick_ns = self.tick_ns.saturating_sub(now).min(TICK_NS);
        match self.free.is_empty() || now >= self.end_ns() {
            true => tick_ns,
            false => self.next_ns.saturating_sub(now).min(tick_ns),
        }
    }

    /// Begins the cycles that are due, as far as slots are free.
    fn open_due(&mut self, now: u64) -> Result<(), Fault> {
        while !self.free.is_empty() && self.next_ns <= now {
            let due_ns = if self.interval_ns == 0 { now } else { self.next_ns };
            self.next_ns += self.interval_ns;
            self.open(due_ns)?;
            if self.interval_ns == 0 && self.free.len().is_multiple_of(8) {
                return Ok(());
            }
        }
        Ok(())
    }

    fn open(&mut self, due_ns: u64) -> Result<(), Fault> {
        let Some(slot) = self.free.pop() else { return Ok(()) };
        self.seed = mix(self.seed);
        let account = self.spec.account.clone();
        let mut session = Session::new(account, self.spec.pace, self.peer.ip(), self.seed);
        session.talk_to(self.peer);
        let from = home(self.server, self.count.started.all);
        let member = Member::open(self.access.clone().from(from), self.server, session)?;
        let now = self.clock.now();
        self.count.lag.saturating_record(now.saturating_sub(due_ns));
        self.count.started.all += 1;
        self.count.started.packets += u64::from(due_ns >= self.window.from_ns);
        self.slots[slot] = Some(Slot { member, due_ns, done: 0 });
        self.proceed(slot)?;
        self.watch(slot)
    }

    fn watch(&self, slot: usize) -> Result<(), Fault> {
        let Some(cycle) = &self.slots[slot] else { return Ok(()) };
        let added = cycle.member.link.watch(&self.poller, slot as u64);
        added.map_err(|error| Fault::io("watch a socket", error))
    }

    /// Sends the next request of a cycle, or ends it.
    fn proceed(&mut self, slot: usize) -> Result<(), Fault> {
        let now = self.clock.now();
        let Some(cycle) = &mut self.slots[slot] else { return Ok(()) };
        match self.cycle.requests.get(cycle.done) {
            Some(request) => match cycle.member.start(*request, now) {
                Ok(()) => Ok(()),
                Err(error) => self.broken(slot, &error),
            },
            None => {
                let measured = cycle.due_ns >= self.window.from_ns;
                let took_ns = now.saturating_sub(cycle.due_ns);
                self.gauge.recent.note(took_ns);
                self.count.finish(measured, took_ns);
                self.release(slot);
                Ok(())
            }
        }
    }

    fn reopen(&mut self, slot: usize) -> Result<bool, Fault> {
        let Some(cycle) = &mut self.slots[slot] else { return Ok(false) };
        cycle.member.reopen(self.server)
    }

    fn release(&mut self, slot: usize) {
        self.slots[slot] = None;
        self.free.push(slot);
    }

    fn read(&mut self, slot: usize) -> Result<(), Fault> {
        let mut frames = mem::take(&mut self.frames);
        let mut is_more = true;
        while is_more {
            let Some(cycle) = &self.slots[slot] else { break };
            is_more = match cycle.member.link.receive(&mut self.inbox, &mut frames) {
                Ok(is_more) => is_more,
                Err(error) => {
                    self.broken(slot, &error)?;
                    break;
                }
            };
            if is_more {
                frames.iter().try_for_each(|message| self.take(slot, message))?;
            }
        }
        self.frames = frames;
        Ok(())
    }

    fn take(&mut self, slot: usize, message: &[u8]) -> Result<(), Fault> {
        let Some(cycle) = &mut self.slots[slot] else { return Ok(()) };
        match cycle.member.take(message, self.clock.now()) {
            Ok(answer) => self.judge(slot, answer),
            Err(error) => self.broken(slot, &error),
        }
    }

    fn judge(&mut self, slot: usize, answer: Answer) -> Result<(), Fault> {
        match answer {
            Answer::Ignored | Answer::Again => Ok(()),
            Answer::Done(_, took_ns) => {
                let Some(cycle) = &mut self.slots[slot] else { return Ok(()) };
                self.count.requests[cycle.done].1.saturating_record(took_ns);
                cycle.done += 1;
                self.proceed(slot)
            }
            Answer::Failed(request, rejection)
                if rejection.is_old_port(request) && self.reopen(slot)? =>
            {
                self.proceed(slot)?;
                self.watch(slot)
            }
            Answer::Failed(request, rejection) => {
                let text = format!("{}: {rejection:?}", request.name());
                self.count.failures = (self.count.failures.0 + 1, Some(text));
                self.release(slot);
                Ok(())
            }
        }
    }

    /// Sends again what was not answered in time.
    fn tick(&mut self, now: u64) {
        if now < self.tick_ns {
            return;
        }
        self.tick_ns = now + TICK_NS;
        for slot in 0..self.slots.len() {
            let Some(cycle) = &mut self.slots[slot] else { continue };
            if let Ok(answer @ Answer::Failed(..)) = cycle.member.tick(now) {
                // A failure releases the slot and sends nothing.
                let _ = self.judge(slot, answer);
            }
        }
    }

    /// A server that has gone fails the cycle, and every other after it.
    fn broken(&mut self, slot: usize, error: &io::Error) -> Result<(), Fault> {
        let text = match error.kind() {
            io::ErrorKind::ConnectionRefused => "nothing listens on the server's port any more",
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
                "the server closed the connection"
            }
            _ => return Err(link::fault(self.server, error)),
        };
        self.count.failures = (self.count.failures.0 + 1, Some(text.to_owned()));
        self.release(slot);
        Ok(())
    }
}

/// What was due before the end, at equal distances from `next_ns` on.
pub(super) fn never_begun(next_ns: u64, interval_ns: u64, end_ns: u64) -> u64 {
    let left_ns = end_ns.saturating_sub(next_ns);
    if interval_ns == 0 { 0 } else { left_ns.div_ceil(interval_ns) }
}

/// The address of a client, where it can be chosen: on the IPv4 loopback, 127.0.0.0/8 is ours.
pub(super) fn home(server: SocketAddr, client: u64) -> Option<IpAddr> {
    let network = (client % NETWORKS) as u8 + 1;
    match server.ip() {
        IpAddr::V4(ip) if ip.is_loopback() => Some(Ipv4Addr::new(127, 77, network, 1).into()),
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    }
}

impl Count {
    pub(super) fn new(cycle: Cycle) -> Count {
        Count {
            started: SentCount::default(),
            finished: Way::new(),
            requests: cycle.requests.iter().map(|one| (*one, latency::empty())).collect(),
            lag: latency::empty(),
            unsent: 0,
            failures: (0, None),
        }
    }

    pub(super) fn add(&mut self, other: &Count) {
        self.started.add(&other.started);
        self.finished.add(&other.finished);
        for ((_, sum), (_, histogram)) in self.requests.iter_mut().zip(&other.requests) {
            latency::add(sum, histogram);
        }
        latency::add(&mut self.lag, &other.lag);
        self.unsent += other.unsent;
        self.failures.0 += other.failures.0;
        self.failures.1 = other.failures.1.clone().or(self.failures.1.take());
    }

    fn finish(&mut self, measured: bool, took_ns: u64) {
        self.finished.all += 1;
        if measured {
            self.finished.packets += 1;
            self.finished.latency.saturating_record(took_ns);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_at_the_end_is_no_more() {
        assert_eq!([100, 99, 90, 89].map(|next_ns| never_begun(next_ns, 10, 100)), [0, 1, 1, 2]);
        assert_eq!((never_begun(200, 10, 100), never_begun(0, 0, 100)), (0, 0));
    }
}
