//! The main thread during a measurement: it starts the jobs, looks at their gauges and at the
//! server, and adds nothing to the work.

use std::{
    io,
    net::UdpSocket,
    sync::{Arc, atomic::Ordering},
    thread::{self, ScopedJoinHandle},
    time::Duration,
};

use crate::{
    clock::{Clock, MILLI_NS},
    fault::Fault,
    offer::window::Window,
    procfs::{self, Usage},
    rig::lane::{Gauge, ThreadUse},
    socket,
};

/// How often the watcher looks; longer in long runs, so that at most this many looks are kept.
const LOOK_NS: u64 = 100 * MILLI_NS;
const MAX_LOOKS: u64 = 600;

/// What was seen in one moment, totals since the start.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Look {
    pub(crate) at_ns: u64,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) received_bytes: u64,
    pub(crate) behind_ns: u64,
}

/// What the server used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ServerUse {
    /// From before the first packet to after the last.
    pub(crate) whole: Usage,
    /// CPU time within the measurement, ns.
    pub(crate) measured_cpu_ns: u64,
    /// Datagrams that found a receive buffer full in its network namespace, ours apart.
    pub(crate) drops: u64,
}

/// What was seen beside the work itself.
#[derive(Debug)]
pub(crate) struct Observed {
    pub(crate) threads: Vec<ThreadUse>,
    pub(crate) server: Option<ServerUse>,
    pub(crate) own_drops: u64,
    pub(crate) looks: Vec<Look>,
}

/// What to look at.
pub(crate) struct Scene<'a> {
    pub(crate) clock: Clock,
    pub(crate) window: Window,
    pub(crate) gauges: Vec<Arc<Gauge>>,
    /// The generator's own, as far as they live through the measurement.
    pub(crate) sockets: Vec<Arc<UdpSocket>>,
    /// The server's process.
    pub(crate) pid: Option<u32>,
    /// Is called with every look.
    pub(crate) watch: &'a mut dyn FnMut(&Look),
}

/// Runs each job on a thread of its own and watches until all are done.
pub(crate) fn observe<J>(scene: Scene<'_>, jobs: Vec<J>) -> Result<Observed, Fault>
where
    J: FnOnce() -> Result<Vec<ThreadUse>, Fault> + Send,
{
    let own_before = own_drops(&scene.sockets);
    let probe = scene.pid.map(Probe::start).transpose()?;
    let mut observer = Observer { scene, probe, looks: Vec::new(), cpu_ns: [0; 2] };
    let threads = thread::scope(|scope| {
        let handles: Vec<_> = jobs.into_iter().map(|job| scope.spawn(job)).collect();
        while !handles.iter().all(ScopedJoinHandle::is_finished) {
            observer.look()?;
        }
        let results = handles
            .into_iter()
            .map(|handle| handle.join().expect("a thread that panics ends the program"));
        results.collect::<Result<Vec<_>, Fault>>().map(|threads| threads.concat())
    })?;
    let Observer { scene, probe, looks, cpu_ns } = observer;
    let own_drops = own_drops(&scene.sockets) - own_before;
    let server = probe.map(|probe| probe.stop(cpu_ns, own_drops)).transpose()?;
    Ok(Observed { threads, server, own_drops, looks })
}

struct Observer<'a> {
    scene: Scene<'a>,
    probe: Option<Probe>,
    looks: Vec<Look>,
    /// The server's CPU time at begin and end of what is measured.
    cpu_ns: [u64; 2],
}

impl Observer<'_> {
    /// Sleeps until there is something to look at, and looks.
    fn look(&mut self) -> Result<(), Fault> {
        let (clock, window) = (self.scene.clock, self.scene.window);
        let before = clock.now();
        thread::sleep(Duration::from_nanos(self.next_ns(before).saturating_sub(before)));
        let now = clock.now();
        for (edge_ns, cpu_ns) in [window.from_ns, window.until_ns].iter().zip(&mut self.cpu_ns) {
            if before < *edge_ns && *edge_ns <= now {
                *cpu_ns = self.probe.as_ref().map_or(Ok(0), Probe::cpu_ns)?;
            }
        }
        let look = self.read_gauges(now);
        (self.scene.watch)(&look);
        if now <= window.until_ns + LOOK_NS {
            self.looks.push(look);
        }
        Ok(())
    }

    fn read_gauges(&self, now: u64) -> Look {
        let at_ns = now.saturating_sub(self.scene.window.start_ns);
        let mut look = Look { at_ns, ..Look::default() };
        for gauge in &self.scene.gauges {
            let (packets, bytes) = gauge.received();
            look.sent += gauge.sent.load(Ordering::Relaxed);
            look.received += packets;
            look.received_bytes += bytes;
            look.behind_ns = look.behind_ns.max(gauge.behind_ns.load(Ordering::Relaxed));
        }
        look
    }

    /// The next regular look, or an edge of the measurement if that comes first.
    fn next_ns(&self, now: u64) -> u64 {
        let Window { start_ns, from_ns, until_ns, .. } = self.scene.window;
        let step = LOOK_NS.max((until_ns - start_ns) / MAX_LOOKS);
        let regular = match now {
            _ if now >= until_ns => now + 2 * MILLI_NS,
            _ => start_ns + (now.saturating_sub(start_ns) / step + 1) * step,
        };
        let edges = [from_ns, until_ns].into_iter().filter(|edge| *edge > now);
        edges.fold(regular, u64::min)
    }
}

/// The server's process, and what it had used before.
struct Probe {
    pid: u32,
    before: Usage,
    /// What its network namespace had dropped before.
    drops: u64,
}

impl Probe {
    fn start(pid: u32) -> Result<Probe, Fault> {
        let drops = procfs::namespace_drops(pid).map_err(|error| gone(pid, &error))?;
        let before = procfs::usage(pid).map_err(|error| gone(pid, &error))?;
        Ok(Probe { pid, before, drops })
    }

    fn cpu_ns(&self) -> Result<u64, Fault> {
        procfs::cpu_ns(self.pid).map_err(|error| gone(self.pid, &error))
    }

    /// What it used since, beside a generator whose own sockets dropped `own_drops`.
    fn stop(&self, [from_ns, until_ns]: [u64; 2], own_drops: u64) -> Result<ServerUse, Fault> {
        let after = procfs::usage(self.pid).map_err(|error| gone(self.pid, &error))?;
        let drops = procfs::namespace_drops(self.pid).map_err(|error| gone(self.pid, &error))?;
        let ours = if procfs::shares_network(self.pid) { own_drops } else { 0 };
        Ok(ServerUse {
            whole: after.since(&self.before),
            measured_cpu_ns: until_ns.saturating_sub(from_ns),
            drops: (drops - self.drops).saturating_sub(ours),
        })
    }
}

fn gone(pid: u32, error: &io::Error) -> Fault {
    Fault::usage(format!("process {pid} of the server cannot be looked at: {error}"))
}

fn own_drops(sockets: &[Arc<UdpSocket>]) -> u64 {
    sockets.iter().map(|socket| socket::drops(&**socket).unwrap_or_default()).sum()
}
