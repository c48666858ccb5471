//! The command line, settled: defaults filled in, contradictions refused, once.

use std::{net::IpAddr, time::Duration};

pub(crate) use super::route::{End, Route, SLOW_WAY, WAYS};
use crate::{
    clock::{MILLI_NS, SECOND_NS, nanoseconds},
    fault::Fault,
    offer::{
        account::{self, Account},
        address::ServerAddress,
        options::{Direction, LoadArgs, Wait},
        refusals::{refuse_idle_options, refuse_stream_options},
        shape::{Changes, Shape, Stream, pace},
        units::{Rate, SlowReaders},
    },
    stream::{Terms, Tls, Transport},
};

/// First wait for an answer to a datagram (RFC 8489 §6.2.1).
const FIRST_WAIT_NS: u64 = 500 * MILLI_NS;

/// Binding requests carry their flow in 16 bits of the transaction id.
const MAX_BINDING_CLIENTS: usize = 32_767;

/// How long is measured when nothing else is said.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) duration_s: f64,
    pub(crate) warmup_s: f64,
}

/// When things are refreshed and given up, ns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) patience_ns: u64,
    /// First wait for an answer before a request is sent again; doubled each time (RFC 8489
    /// §6.2.1). Over a stream nothing is sent again (§6.2.2): all of the patience.
    pub(crate) first_wait_ns: u64,
    /// Before permissions expire after 300 s (RFC 8656 §9).
    pub(crate) permission_ns: u64,
    /// Before channels expire after 600 s (RFC 8656 §12).
    pub(crate) channel_ns: u64,
    /// None: at half the lifetime the server granted.
    pub(crate) allocation_ns: Option<u64>,
}

/// Everything that is known before the first packet.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    pub(crate) shape: Shape,
    pub(crate) route: Route,
    pub(crate) streams: Vec<Stream>,
    pub(crate) account: Option<Account>,
    pub(crate) transport: Transport,
    /// With the server's name, for every client over TLS.
    pub(crate) tls: Option<Tls>,
    /// Handshakes are to be short ones.
    pub(crate) resume: bool,
    /// The first so many clients.
    pub(crate) slow: Option<SlowReaders>,
    pub(crate) peer_ip: Option<IpAddr>,
    pub(crate) allocations: usize,
    pub(crate) rate: Option<f64>,
    /// Client to peer, peer to client.
    pub(crate) ways: [bool; 2],
    pub(crate) trains: bool,
    pub(crate) indications: bool,
    pub(crate) duration_ns: u64,
    pub(crate) warmup_ns: u64,
    pub(crate) pace: Pace,
    pub(crate) window: usize,
    pub(crate) threads: usize,
    pub(crate) cores: Vec<usize>,
    /// Threads look again at once while nothing is due, instead of sleeping.
    pub(crate) spin: bool,
    pub(crate) gro: bool,
    pub(crate) quiet: bool,
}

impl Spec {
    /// For a command that sends at the pace of the options.
    pub(crate) fn settle(args: &LoadArgs, usual: Times) -> Result<Spec, Fault> {
        if args.shape == Shape::Custom && args.rate.is_none() {
            return Err(Fault::usage("custom traffic needs --rate"));
        }
        Spec::settle_unpaced(args, usual)
    }

    /// For a command that finds its own pace.
    pub(crate) fn settle_unpaced(args: &LoadArgs, usual: Times) -> Result<Spec, Fault> {
        refuse_idle_options(args)?;
        let route = route(args);
        let allocations = allocations(args, route)?;
        refuse_stream_options(args, route, allocations)?;
        let mut spec = Spec {
            shape: args.shape,
            route,
            streams: args.shape.streams(Changes { payload_bytes: args.size, burst: args.burst }),
            account: account::of(args.user.as_deref(), args.secret.as_deref())?,
            transport: args.transport,
            tls: tls(args)?,
            resume: args.resume,
            slow: args.slow_readers,
            peer_ip: args.peer_ip,
            allocations,
            rate: None,
            ways: ways(args),
            trains: args.trains,
            indications: args.indications,
            duration_ns: ns(args.duration.unwrap_or(usual.duration_s)),
            warmup_ns: ns(args.warmup.unwrap_or(usual.warmup_s)),
            pace: pace_of(args),
            window: args.window,
            threads: args.threads.clamp(1, args.allocations.unwrap_or(usize::MAX).max(1)),
            cores: cores(args)?,
            spin: args.wait == Wait::Spin,
            gro: !args.no_gro,
            quiet: args.quiet,
        };
        match args.rate {
            Some(Rate::Pps(rate)) => spec.offer(rate),
            Some(Rate::Max) => spec.streams.iter_mut().for_each(|stream| stream.interval_ns = 0),
            None => {}
        }
        let chosen = args.wait != Wait::Auto || !spec.shape.has_packets();
        spec.spin |= !chosen && spec.has_a_core_for_each_thread();
        Ok(spec)
    }

    /// Takes over what the server is called, for its certificate.
    pub(crate) fn name_server(&mut self, server: Option<&ServerAddress>) {
        if let (Some(tls), Some(server)) = (&self.tls, server) {
            self.tls = Some(tls.named(server.host()));
        }
    }

    /// Of each thread's clients, those that read slowly.
    pub(crate) fn slow_shares(&self) -> Vec<usize> {
        let mut left = self.slow.map_or(0, |slow| slow.clients);
        let share = |clients: usize| {
            let slow = clients.min(left);
            left -= slow;
            slow
        };
        self.shares().into_iter().map(share).collect()
    }

    /// Whether each lane sends on one thread and receives on another.
    pub(crate) fn is_parted(&self) -> bool {
        self.cores.len() >= self.shares().len() * 2
    }

    /// True where no thread shares its core with another of them: as pinned, or as many cores as
    /// there are, less one for whatever else runs.
    fn has_a_core_for_each_thread(&self) -> bool {
        let threads = self.shares().len() * if self.is_parted() { 2 } else { 1 };
        if self.cores.is_empty() {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            return cores > threads;
        }
        let mut own: Vec<usize> = self.cores.iter().copied().take(threads).collect();
        own.sort_unstable();
        own.dedup();
        own.len() == threads
    }

    /// True when anything is sent as fast as it goes.
    pub(crate) fn is_unpaced(&self) -> bool {
        self.streams.iter().any(|stream| stream.interval_ns == 0)
    }

    /// Sets the rate that all flows of one direction offer together, packets/s.
    pub(crate) fn offer(&mut self, rate: f64) {
        let flows = self.route.flows(self.allocations) / 2;
        self.rate = Some(rate);
        pace(&mut self.streams, flows, rate);
    }

    /// Allocations of each thread: as even as it goes, pairs kept together.
    pub(crate) fn shares(&self) -> Vec<usize> {
        let (whole, unit) = match self.route {
            Route::Pair => (self.allocations / 2, 2),
            Route::Direct | Route::Relay | Route::Binding => (self.allocations, 1),
        };
        let threads = self.threads.min(whole);
        (0..threads)
            .map(|thread| (whole / threads + usize::from(thread < whole % threads)) * unit)
            .collect()
    }
}

fn tls(args: &LoadArgs) -> Result<Option<Tls>, Fault> {
    let is_tls = args.transport == Transport::Tls;
    let terms = Terms {
        ca: args.ca.as_deref(),
        version: args.tls_version,
        group: args.tls_group.as_deref(),
    };
    is_tls.then(|| Tls::new(&terms)).transpose()
}

fn route(args: &LoadArgs) -> Route {
    match args.shape {
        Shape::Binding => Route::Binding,
        _ if args.direct => Route::Direct,
        _ if args.c2c => Route::Pair,
        _ => Route::Relay,
    }
}

fn ways(args: &LoadArgs) -> [bool; 2] {
    match args.direction {
        Direction::Up => [true, false],
        Direction::Down => [false, true],
        Direction::Both => [true, true],
    }
}

fn allocations(args: &LoadArgs, route: Route) -> Result<usize, Fault> {
    let allocations = args.allocations.unwrap_or_else(|| args.shape.usual_allocations());
    if allocations == 0 {
        return Err(Fault::usage("--allocations must be at least 1"));
    }
    match route {
        Route::Pair if allocations % 2 == 1 => {
            Err(Fault::usage("--c2c pairs allocations: --allocations must be even"))
        }
        Route::Binding if allocations > MAX_BINDING_CLIENTS => {
            Err(Fault::usage("binding takes at most 32767 clients"))
        }
        Route::Direct | Route::Relay | Route::Pair | Route::Binding => Ok(allocations),
    }
}

fn cores(args: &LoadArgs) -> Result<Vec<usize>, Fault> {
    let known = core_affinity::get_core_ids().unwrap_or_default();
    match args.pin.iter().find(|core| !known.iter().any(|id| id.id == **core)) {
        Some(core) => {
            Err(Fault::usage(format!("--pin {core}: this process may not use that core")))
        }
        None => Ok(args.pin.clone()),
    }
}

fn pace_of(args: &LoadArgs) -> Pace {
    let every = args.refresh_every.map(ns);
    let patience_ns = ns(args.timeout);
    let first_wait_ns = if args.transport.is_stream() { u64::MAX } else { FIRST_WAIT_NS };
    Pace {
        patience_ns,
        first_wait_ns: first_wait_ns.min(patience_ns),
        permission_ns: every.unwrap_or(150 * SECOND_NS),
        channel_ns: every.unwrap_or(300 * SECOND_NS),
        allocation_ns: every,
    }
}

/// Times of the command line are bounded where they are read.
fn ns(seconds: f64) -> u64 {
    nanoseconds(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offer::options::parse;

    const TIMES: Times = Times { duration_s: 10.0, warmup_s: 1.0 };

    fn settle(line: &str) -> Result<Spec, Fault> {
        let args = parse(line).map_err(|error| Fault::usage(error.to_string()))?;
        Spec::settle(&args, TIMES)
    }

    #[test]
    fn allocations_are_shared_out_whole() {
        assert_eq!(settle("voice -n 10 --threads 3").unwrap().shares(), [4, 3, 3]);
        assert_eq!(settle("voice -n 10 --threads 3 --c2c").unwrap().shares(), [4, 4, 2]);
        assert_eq!(settle("bulk -n 2 --threads 8").unwrap().shares(), [1, 1]);
    }

    #[test]
    fn contradictions_are_refused() {
        for line in [
            "custom",
            "voice --rate 0",
            "voice --size 31",
            "voice --c2c -n 3",
            "voice --duration 0",
            "voice --duration=-1",
            "binding --direction both",
            "churn --size 100",
            "churn -n 4",
            "handshakes",
            "handshakes --transport tcp --resume",
            "voice --transport tls --resume",
            "binding --trains",
            "voice --user nobody",
            "voice -n 0",
            "voice --pin 4000",
            "voice --ca file",
            "voice --transport tcp --tls-version 1.2",
            "voice --transport tls --tls-group none",
            "voice --transport tcp --direct",
            "voice --transport tls --trains",
            "voice --slow-readers 3 --direction down",
            "voice --slow-readers 3 --transport tcp",
            "voice -n 3 --slow-readers 3 --transport tcp --direction down",
        ] {
            assert!(matches!(settle(line), Err(Fault::Usage(_))), "{line}");
        }
    }

    #[test]
    fn a_rate_is_shared_by_all_flows_of_a_direction() {
        let spec = settle("voice -n 100 --rate 10000 --direction both").unwrap();
        assert!((spec.streams[0].packets_per_second().unwrap() - 100.0).abs() < 0.01);
        let spec = settle("voice -n 100 --rate 10000 --c2c").unwrap();
        assert!((spec.streams[0].packets_per_second().unwrap() - 200.0).abs() < 0.01);
    }
}
