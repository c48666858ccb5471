//! One share of the load: a sending and a receiving side, on one thread or on two.
//!
//! On one thread the two take turns; on two, each waits for its own. Where each thread has a core
//! to itself it spins while nothing is due, so that bursts leave when they are due and nobody pays
//! for a wake-up; elsewhere it sleeps until the next packet arrives or is to be sent.

use std::{
    sync::{Arc, atomic::Ordering},
    thread,
    time::Duration,
};

use crate::{
    clock::{Clock, MILLI_NS},
    count::ledger::Way,
    fault::Fault,
    procfs,
    rig::{gauge::Gauge, sender::Sender, sink::Sink},
    socket,
    stop::Until,
};

/// Shorter waits are not worth going to sleep for.
const SHORTEST_SLEEP_NS: u64 = 5_000;

/// Longest wait, so that a thread notices the end.
const LONGEST_SLEEP_NS: u64 = 10 * MILLI_NS;

/// How long a receiving thread of its own keeps looking after the last packet before it goes to
/// sleep: waking it costs the sender more than the packet does.
const LOOK_NS: u64 = 100_000;

/// Receives between two sends, while there is more than one of them takes.
const POLLS_PER_TURN: usize = 64;

/// Between two looks at the sockets of a thread that spins: looking takes the lock the sender needs
/// to deliver. Singles of 160 B: 15 to 30 % more of them than without a pause. Latencies do not see
/// it: the kernel stamps arrivals.
const LOOK_EVERY_NS: u64 = 20_000;

/// Silence after which what is missing is lost, and the longest wait for that silence.
const QUIET_NS: u64 = 100 * MILLI_NS;
const LONGEST_DRAIN_NS: u64 = 2_000 * MILLI_NS;

/// How a thread spent the measurement, warm-up and drain included.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ThreadUse {
    pub(crate) role: &'static str,
    pub(crate) core: Option<usize>,
    pub(crate) wall_ns: u64,
    pub(crate) cpu_ns: u64,
    /// Time with something to do; less than `cpu_ns` for a thread that spins.
    pub(crate) busy_ns: u64,
}

/// One share of the load.
pub(crate) struct Lane {
    pub(crate) sender: Sender,
    pub(crate) sink: Sink,
    pub(crate) gauge: Arc<Gauge>,
}

/// How lanes run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunMode<'a> {
    pub(crate) clock: Clock,
    pub(crate) until: &'a Until,
    pub(crate) spin: bool,
}

impl Lane {
    /// Runs on the calling thread.
    pub(crate) fn run(
        &mut self,
        mode: RunMode<'_>,
        core: Option<usize>,
    ) -> Result<ThreadUse, Fault> {
        let Lane { sender, sink, gauge } = self;
        let mut watch = Watch::start("send, receive", core, mode.clock);
        let mut look_ns = 0;
        while !mode.is_over() {
            let due_ns = sender.poll()?;
            publish_sent(gauge, sender, mode.clock);
            if mode.spin {
                if mode.clock.now() < look_ns {
                    std::hint::spin_loop();
                    continue;
                }
                look_ns = mode.clock.now() + LOOK_EVERY_NS;
            }
            sink.poll(mode.wait_ns(due_ns).min(longest_wait_ns(sender)))?;
            // What is not sent in time is reported as such; what is not received in time would be
            // taken for the server's loss.
            for _ in 1..POLLS_PER_TURN {
                if !sink.is_behind() {
                    break;
                }
                sink.poll(0)?;
            }
            publish_received(gauge, sink);
        }
        sender.finish(mode.until.ns())?;
        publish_sent(gauge, sender, mode.clock);
        gauge.sent_all.store(true, Ordering::Release);
        watch.active_ns = mode.clock.now() - watch.begin_ns;
        drain(sink, gauge, mode, &mut || sender.flush_pipes().map(drop))?;
        Ok(watch.stop(sender.busy_ns + sink.busy_ns))
    }

    /// Runs on two threads, the caller's for sending.
    pub(crate) fn run_parted(
        &mut self,
        mode: RunMode<'_>,
        cores: [usize; 2],
    ) -> Result<[ThreadUse; 2], Fault> {
        let Lane { sender, sink, gauge } = self;
        let gauge = &*gauge;
        thread::scope(|scope| {
            let receiving = scope.spawn(move || receive(sink, gauge, mode, cores[1]));
            let sent = send(sender, gauge, mode, cores[0]);
            gauge.sent_all.store(true, Ordering::Release);
            let received = receiving.join().expect("a thread that panics ends the program");
            Ok([sent?, received?])
        })
    }
}

impl RunMode<'_> {
    fn is_over(&self) -> bool {
        self.clock.now() >= self.until.ns()
    }

    /// How long there is nothing to do before `due_ns`.
    fn wait_ns(&self, due_ns: u64) -> u64 {
        let until_due = due_ns.saturating_sub(self.clock.now());
        let too_short = self.spin || until_due < SHORTEST_SLEEP_NS;
        if too_short { 0 } else { until_due.min(LONGEST_SLEEP_NS) }
    }
}

fn send(
    sender: &mut Sender,
    gauge: &Gauge,
    mode: RunMode<'_>,
    core: usize,
) -> Result<ThreadUse, Fault> {
    let watch = Watch::start("send", Some(core), mode.clock);
    while !mode.is_over() {
        let due_ns = sender.poll()?;
        publish_sent(gauge, sender, mode.clock);
        match mode.wait_ns(due_ns).min(longest_wait_ns(sender)) {
            0 => {}
            wait_ns => thread::sleep(Duration::from_nanos(wait_ns)),
        }
    }
    sender.finish(mode.until.ns())?;
    publish_sent(gauge, sender, mode.clock);
    while !sender.flush_pipes()? && mode.clock.now() < mode.until.ns() + QUIET_NS {
        thread::sleep(Duration::from_nanos(MILLI_NS));
    }
    Ok(watch.stop(sender.busy_ns))
}

fn receive(
    sink: &mut Sink,
    gauge: &Gauge,
    mode: RunMode<'_>,
    core: usize,
) -> Result<ThreadUse, Fault> {
    let mut watch = Watch::start("receive", Some(core), mode.clock);
    loop {
        let now = mode.clock.now();
        if now >= mode.until.ns() {
            break;
        }
        let looking = mode.spin || now < sink.last_ns() + LOOK_NS;
        sink.poll(if looking { 0 } else { LONGEST_SLEEP_NS })?;
        publish_received(gauge, sink);
        let again_ns = now + LOOK_EVERY_NS;
        while looking && mode.clock.now() < again_ns {
            std::hint::spin_loop();
        }
    }
    watch.active_ns = mode.clock.now() - watch.begin_ns;
    drain(sink, gauge, mode, &mut || Ok(()))?;
    Ok(watch.stop(sink.busy_ns))
}

/// How long a sender that waits for room in a connection may leave it alone.
fn longest_wait_ns(sender: &Sender) -> u64 {
    if sender.is_waiting() { MILLI_NS } else { LONGEST_SLEEP_NS }
}

/// Receives what is still under way: until all is there, or nothing has come for a while.
/// `send_rest` goes on with what was sent and waits for room.
fn drain(
    sink: &mut Sink,
    gauge: &Gauge,
    mode: RunMode<'_>,
    send_rest: &mut dyn FnMut() -> Result<(), Fault>,
) -> Result<(), Fault> {
    let until_ns = mode.until.ns();
    loop {
        let now = mode.clock.now();
        let quiet = now > sink.last_ns().max(until_ns) + QUIET_NS;
        let sent_all = gauge.sent_all.load(Ordering::Acquire);
        let complete = sent_all && gauge.received().0 >= gauge.sent.load(Ordering::Relaxed);
        if quiet || complete || now > until_ns + LONGEST_DRAIN_NS {
            return Ok(());
        }
        send_rest()?;
        sink.poll(MILLI_NS)?;
        publish_received(gauge, sink);
    }
}

fn publish_sent(gauge: &Gauge, sender: &Sender, clock: Clock) {
    let behind_ns = sender.behind_ns(clock.now());
    gauge.publish_sent(sender.ways.iter().map(|way| way.all).sum(), behind_ns);
}

fn publish_received(gauge: &Gauge, sink: &Sink) {
    let sum = |count: fn(&Way) -> u64| sink.ways().iter().map(count).sum();
    gauge.publish_received(sum(|way| way.all), sum(|way| way.all_bytes));
}

/// Measures the thread it was started on.
pub(crate) struct Watch {
    role: &'static str,
    core: Option<usize>,
    clock: Clock,
    begin_ns: u64,
    /// Length of the part that was to be busy; 0: all of it.
    active_ns: u64,
    cpu_ns: u64,
}

impl Watch {
    pub(crate) fn start(role: &'static str, core: Option<usize>, clock: Clock) -> Watch {
        if let Some(id) = core {
            core_affinity::set_for_current(core_affinity::CoreId { id });
        }
        socket::exact_timers();
        let cpu_ns = procfs::own_thread_cpu_ns();
        Watch { role, core, clock, begin_ns: clock.now(), active_ns: 0, cpu_ns }
    }

    pub(crate) fn stop(self, busy_ns: u64) -> ThreadUse {
        let whole_ns = self.clock.now() - self.begin_ns;
        ThreadUse {
            role: self.role,
            core: self.core,
            wall_ns: if self.active_ns > 0 { self.active_ns } else { whole_ns }.max(1),
            cpu_ns: procfs::own_thread_cpu_ns().saturating_sub(self.cpu_ns),
            busy_ns,
        }
    }
}
