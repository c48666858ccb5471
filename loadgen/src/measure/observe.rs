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
    count::recent::Seen,
    fault::Fault,
    offer::window::Window,
    procfs::{self, Usage},
    rig::{gauge::Gauge, lane::ThreadUse},
    socket,
    stop::{self, Until},
};

/// How often the watcher samples; in long runs not every sample is kept, but about this many at
/// most.
const SAMPLE_NS: u64 = 100 * MILLI_NS;
const MAX_SAMPLES: u64 = 600;

/// How often it looks at the server's CPU time, which takes longer.
const SAMPLE_SERVER_NS: u64 = 500 * MILLI_NS;

/// What was seen in one moment; counts since the start.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sample {
    pub(crate) at_ns: u64,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) received_bytes: u64,
    pub(crate) behind_ns: u64,
    /// Of what arrived since the last sample that was kept, to a fifth.
    pub(crate) p50_us: Option<f64>,
    pub(crate) p99_us: Option<f64>,
    /// Cores the server kept busy in the last half second or so.
    pub(crate) server_cores: Option<f64>,
}

/// What the server used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ServerUse {
    /// From before the first packet to after the last.
    pub(crate) whole: Usage,
    /// CPU time within the measurement, ns.
    pub(crate) measured_cpu_ns: u64,
    /// That of whatever else ran on this machine, or took it away from us, ns.
    pub(crate) others_cpu_ns: u64,
    /// Datagrams that found a receive buffer full in its network namespace, ours apart.
    pub(crate) drops: u64,
}

/// What was seen beside the work itself.
#[derive(Debug)]
pub(crate) struct Observed {
    pub(crate) threads: Vec<ThreadUse>,
    pub(crate) server: Option<ServerUse>,
    /// The server's process ended meanwhile.
    pub(crate) server_died: bool,
    pub(crate) own_drops: u64,
    pub(crate) samples: Vec<Sample>,
}

/// What to look at.
pub(crate) struct Observation<'a> {
    pub(crate) clock: Clock,
    pub(crate) window: Window,
    /// Cut short when somebody asks to stop.
    pub(crate) until: &'a Until,
    pub(crate) gauges: Vec<Arc<Gauge>>,
    /// The generator's own, as far as they live through the measurement.
    pub(crate) sockets: Vec<Arc<UdpSocket>>,
    /// The server's process.
    pub(crate) pid: Option<u32>,
    /// Is called with every sample.
    pub(crate) watch: &'a mut dyn FnMut(&Sample),
}

/// Runs each job on a thread of its own and watches until all are done.
pub(crate) fn observe<J>(observation: Observation<'_>, jobs: Vec<J>) -> Result<Observed, Fault>
where
    J: FnOnce() -> Result<Vec<ThreadUse>, Fault> + Send,
{
    let own_before = own_drops(&observation.sockets);
    let probe = observation.pid.map(Probe::start).transpose()?;
    let mut observer = Observer {
        observation,
        probe,
        samples: Vec::new(),
        edges: [CpuTimes::default(); 2],
        seen: Seen::default(),
        load: None,
    };
    let threads = thread::scope(|scope| {
        let handles: Vec<_> = jobs.into_iter().map(|job| scope.spawn(job)).collect();
        while !handles.iter().all(ScopedJoinHandle::is_finished) {
            observer.sample();
        }
        let results = handles
            .into_iter()
            .map(|handle| handle.join().expect("a thread that panics ends the program"));
        results.collect::<Result<Vec<_>, Fault>>().map(|threads| threads.concat())
    })?;
    let Observer { observation, probe, samples, edges, .. } = observer;
    let own_drops = own_drops(&observation.sockets) - own_before;
    // Alive at the start: what cannot be looked at now has ended meanwhile.
    let server = probe.as_ref().map(|probe| probe.stop(edges, own_drops));
    let server_died = server.as_ref().is_some_and(Result::is_err);
    let server = server.and_then(Result::ok);
    Ok(Observed { threads, server, server_died, own_drops, samples })
}

struct Observer<'a> {
    observation: Observation<'a>,
    probe: Option<Probe>,
    samples: Vec<Sample>,
    /// At begin and end of what is measured.
    edges: [CpuTimes; 2],
    /// Latencies up to the last sample that was kept.
    seen: Seen,
    /// The server's CPU time at the last look at it, and how many cores that was.
    load: Option<Load>,
}

/// CPU time that had been used up to one moment, ns.
#[derive(Clone, Copy, Default)]
struct CpuTimes {
    server_ns: u64,
    own_ns: u64,
    /// Of all there is on this machine.
    machine_ns: u64,
}

impl CpuTimes {
    fn since(self, earlier: CpuTimes) -> CpuTimes {
        CpuTimes {
            server_ns: self.server_ns.saturating_sub(earlier.server_ns),
            own_ns: self.own_ns.saturating_sub(earlier.own_ns),
            machine_ns: self.machine_ns.saturating_sub(earlier.machine_ns),
        }
    }

    /// Of what is neither the server nor we.
    fn others_ns(self) -> u64 {
        self.machine_ns.saturating_sub(self.server_ns + self.own_ns)
    }
}

/// The server's CPU time at one moment.
#[derive(Clone, Copy)]
struct Load {
    at_ns: u64,
    cpu_ns: u64,
    cores: Option<f64>,
}

impl Observer<'_> {
    /// Sleeps until there is something to look at, and samples.
    fn sample(&mut self) {
        let (clock, window) = (self.observation.clock, self.observation.window);
        let before = clock.now();
        thread::sleep(Duration::from_nanos(self.next_ns(before).saturating_sub(before)));
        let now = clock.now();
        for (edge_ns, times) in [window.from_ns, window.until_ns].iter().zip(&mut self.edges) {
            if before < *edge_ns && *edge_ns <= now {
                *times = self.probe.as_ref().map(Probe::times).unwrap_or_default();
            }
        }
        if stop::is_asked() {
            self.observation.until.cut(now);
        }
        self.sample_server(now);
        let mut seen = Seen::default();
        self.observation.gauges.iter().for_each(|gauge| seen.add(&gauge.recent));
        let at = |share| seen.quantile_ns(&self.seen, share).map(|ns| ns as f64 / 1e3);
        let (p50_us, p99_us) = (at(0.5), at(0.99));
        let server_cores = self.load.and_then(|load| load.cores);
        let sample = Sample { p50_us, p99_us, server_cores, ..self.read_gauges(now) };
        (self.observation.watch)(&sample);
        let kept_ns = self.samples.last().map_or(0, |sample| sample.at_ns);
        let is_apart = sample.at_ns >= kept_ns + (window.until_ns - window.start_ns) / MAX_SAMPLES;
        if is_apart && now <= window.until_ns + SAMPLE_NS {
            self.samples.push(sample);
            self.seen = seen;
        }
    }

    fn sample_server(&mut self, now: u64) {
        let is_time = self.load.is_none_or(|load| now >= load.at_ns + SAMPLE_SERVER_NS);
        let (Some(probe), true) = (&self.probe, is_time) else { return };
        let cpu_ns = probe.cpu_ns();
        let cores = self.load.map(|before| {
            cpu_ns.saturating_sub(before.cpu_ns) as f64 / (now - before.at_ns) as f64
        });
        self.load = Some(Load { at_ns: now, cpu_ns, cores });
    }

    fn read_gauges(&self, now: u64) -> Sample {
        let at_ns = now.saturating_sub(self.observation.window.start_ns);
        let mut sample = Sample { at_ns, ..Sample::default() };
        for gauge in &self.observation.gauges {
            let (packets, bytes) = gauge.received();
            sample.sent += gauge.sent.load(Ordering::Relaxed);
            sample.received += packets;
            sample.received_bytes += bytes;
            sample.behind_ns = sample.behind_ns.max(gauge.behind_ns.load(Ordering::Relaxed));
        }
        sample
    }

    /// The next regular sample, or an edge of the measurement if that comes first.
    fn next_ns(&self, now: u64) -> u64 {
        let Window { start_ns, from_ns, until_ns, .. } = self.observation.window;
        let regular = match now {
            _ if now >= self.observation.until.ns() => now + 2 * MILLI_NS,
            _ => start_ns + (now.saturating_sub(start_ns) / SAMPLE_NS + 1) * SAMPLE_NS,
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

    /// 0 when it has ended, which is found out at the end.
    fn cpu_ns(&self) -> u64 {
        procfs::cpu_ns(self.pid).unwrap_or_default()
    }

    fn times(&self) -> CpuTimes {
        CpuTimes {
            server_ns: self.cpu_ns(),
            own_ns: procfs::own_cpu_ns(),
            machine_ns: procfs::machine_cpu_ns(),
        }
    }

    /// What it used since, beside a generator whose own sockets dropped `own_drops`. An error when
    /// it has ended.
    fn stop(&self, [from, until]: [CpuTimes; 2], own_drops: u64) -> io::Result<ServerUse> {
        let after = procfs::usage(self.pid)?;
        let drops = procfs::namespace_drops(self.pid)?;
        let measured = until.since(from);
        let ours = if procfs::shares_network(self.pid) { own_drops } else { 0 };
        Ok(ServerUse {
            whole: after.since(&self.before),
            measured_cpu_ns: measured.server_ns,
            others_cpu_ns: measured.others_ns(),
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
