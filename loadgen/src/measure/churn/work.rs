//! What one thread does with its slots: begins what is due, goes on with what is answered, looks
//! after the rest, and counts.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hdrhistogram::Histogram;

use super::slots::Slots;
use crate::{
    clock::Clock,
    count::{latency, ledger::Way},
    fault::Fault,
    offer::{spec::Spec, window::Window},
    rig::{
        gauge::Gauge,
        lane::{ThreadUse, Watch},
        sender::SentCount,
    },
    socket::Poller,
    stop::Until,
};

/// Networks that clients of a server on the loopback come from. A server may bound what it answers
/// to one network before it knows anybody there, and thousands of clients a second do not come from
/// one.
const NETWORKS: u64 = 250;

/// Where and when it runs.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) server: SocketAddr,
    pub(crate) peer_ip: IpAddr,
    pub(crate) clock: Clock,
    pub(crate) window: Window,
    /// The end of everything, which the window may lie before.
    pub(crate) until: &'a Until,
}

/// What every thread counts.
pub(super) struct Tally {
    pub(super) started: SentCount,
    pub(super) finished: Way,
    pub(super) lag: Histogram<u64>,
    /// What was due and never began.
    pub(super) unsent: u64,
}

/// What every thread has.
pub(super) struct Common<'a, T> {
    pub(super) place: Place<'a>,
    pub(super) gauge: &'a Gauge,
    pub(super) poller: Poller,
    pub(super) slots: Slots<T>,
    pub(super) tally: Tally,
}

/// What makes a thread's work its own.
pub(super) trait Work<'a> {
    type Item;

    fn common(&mut self) -> &mut Common<'a, Self::Item>;

    /// Begins what has been due since `due_ns`.
    fn open(&mut self, slot: usize, due_ns: u64) -> Result<(), Fault>;

    /// Goes on: something has arrived.
    fn proceed(&mut self, slot: usize) -> Result<(), Fault>;

    /// Looks after what is under way, whether or not anything has arrived.
    fn look_after(&mut self, slot: usize, now: u64);
}

impl Place<'_> {
    /// When nothing more begins.
    fn end_ns(&self) -> u64 {
        self.window.until_ns.min(self.until.ns())
    }

    /// The address of the next client, where it can be chosen: on the IPv4 loopback, 127.0.0.0/8 is
    /// ours.
    fn home(&self, client: u64) -> Option<IpAddr> {
        let network = (client % NETWORKS) as u8 + 1;
        match self.server.ip() {
            IpAddr::V4(ip) if ip.is_loopback() => Some(Ipv4Addr::new(127, 77, network, 1).into()),
            IpAddr::V4(_) | IpAddr::V6(_) => None,
        }
    }
}

impl<'a, T> Common<'a, T> {
    pub(super) fn new(
        spec: &Spec,
        place: Place<'a>,
        gauge: &'a Gauge,
    ) -> Result<Common<'a, T>, Fault> {
        Ok(Common {
            place,
            gauge,
            poller: Poller::new().map_err(|error| Fault::io("create an epoll", error))?,
            slots: Slots::new(spec, place.window.start_ns),
            tally: Tally::new(),
        })
    }

    /// Where the next client comes from, if that can be chosen.
    pub(super) fn home(&self) -> Option<IpAddr> {
        self.place.home(self.tally.started.all)
    }

    /// Notes that something has begun; the time.
    pub(super) fn begin(&mut self, due_ns: u64) -> u64 {
        let now = self.place.clock.now();
        self.tally.lag.saturating_record(now.saturating_sub(due_ns));
        self.tally.started.all += 1;
        self.tally.started.packets += u64::from(self.is_measured(due_ns));
        now
    }

    /// Notes that something is done that had been due since `due_ns`.
    pub(super) fn finish(&mut self, due_ns: u64, now: u64) {
        let took_ns = now.saturating_sub(due_ns);
        self.gauge.recent.note(took_ns);
        let finished = &mut self.tally.finished;
        finished.all += 1;
        if due_ns >= self.place.window.from_ns {
            finished.packets += 1;
            finished.latency.saturating_record(took_ns);
        }
    }

    pub(super) fn is_measured(&self, due_ns: u64) -> bool {
        due_ns >= self.place.window.from_ns
    }

    fn publish(&self) {
        self.gauge.publish_sent(self.tally.started.all, 0);
        self.gauge.publish_received(self.tally.finished.all, 0);
    }
}

/// Works until the window ends, and takes what is under way then to its end.
pub(super) fn run<'a, W: Work<'a>>(
    work: &mut W,
    role: &'static str,
    core: Option<usize>,
) -> Result<ThreadUse, Fault> {
    let place = work.common().place;
    let watch = Watch::start(role, core, place.clock);
    let mut busy_ns = 0;
    loop {
        let now = place.clock.now();
        let may_begin = now < place.end_ns();
        if may_begin {
            open_due(work, now)?;
        } else if work.common().slots.is_idle() {
            let common = work.common();
            common.tally.unsent = common.slots.never_begun(place.end_ns());
            return Ok(watch.stop(busy_ns));
        }
        let Common { poller, slots, .. } = work.common();
        let ready = poller.wait(slots.wait(now, may_begin));
        let ready = ready.map_err(|error| Fault::io("wait for answers", error))?;
        let ready: Vec<usize> = ready.map(|token| token as usize).collect();
        let begin = place.clock.now();
        ready.into_iter().try_for_each(|slot| work.proceed(slot))?;
        if work.common().slots.is_tick(begin) {
            (0..work.common().slots.len()).for_each(|slot| work.look_after(slot, begin));
        }
        work.common().publish();
        busy_ns += place.clock.now() - begin;
    }
}

/// Begins what is due, as far as slots are free.
fn open_due<'a, W: Work<'a>>(work: &mut W, now: u64) -> Result<(), Fault> {
    for _ in 0..work.common().slots.at_once() {
        let Some((slot, due_ns)) = work.common().slots.next_due(now) else { break };
        work.open(slot, due_ns)?;
    }
    Ok(())
}

impl Tally {
    pub(super) fn new() -> Tally {
        Tally {
            started: SentCount::default(),
            finished: Way::new(),
            lag: latency::empty(),
            unsent: 0,
        }
    }

    pub(super) fn add(&mut self, other: &Tally) {
        self.started.add(&other.started);
        self.finished.add(&other.finished);
        latency::add(&mut self.lag, &other.lag);
        self.unsent += other.unsent;
    }
}
