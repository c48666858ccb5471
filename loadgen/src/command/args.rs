//! The command line, as it is typed.

use std::net::{IpAddr, SocketAddr};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::offer::shape::Shape;

/// Offers load to a TURN relay and reports what came through.
#[derive(Debug, Parser)]
#[command(name = "loadgen", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// One shape of traffic for a while
    Run(RunArgs),
    /// More load step by step, until loss or latency passes its limit
    Sweep(SweepArgs),
    /// More than the server carries, then little: does it hold, answer and recover
    Overload(OverloadArgs),
    /// Several servers in alternating rounds, and the ratio between them
    Compare(CompareArgs),
    /// What a measured sweep says about relay nodes
    Plan(PlanArgs),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Direction {
    /// Client to peer
    Up,
    /// Peer to client
    Down,
    /// Both at once
    Both,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Wait {
    /// Spin where each thread has a core to itself (--pin, or more cores than threads)
    Auto,
    /// Look again at once: exact, at a whole core for each thread
    Spin,
    /// Sleep, and be late by a wake-up
    Sleep,
}

/// What load, from where to where. Shared by all subcommands that offer any.
#[derive(Debug, Clone, Args)]
pub(crate) struct LoadArgs {
    /// Shape of the traffic
    #[arg(value_enum, default_value = "voice")]
    pub(crate) shape: Shape,

    /// Long-term credentials, NAME:PASSWORD
    #[arg(long, value_name = "NAME:PASSWORD", help_heading = "Server")]
    pub(crate) user: Option<String>,

    /// Shared secret that time-limited credentials are made from
    #[arg(long, conflicts_with = "user", help_heading = "Server")]
    pub(crate) secret: Option<String>,

    /// Address the peers have; its family is the one asked of the relay [default: the address this
    /// machine reaches the server from]
    #[arg(long, value_name = "IP", help_heading = "Server")]
    pub(crate) peer_ip: Option<IpAddr>,

    /// No relay: clients send to the peer, which shows what the generator alone can do
    #[arg(long, conflicts_with_all = ["c2c", "indications"], help_heading = "Server")]
    pub(crate) direct: bool,

    /// Allocations, of all threads together [default: by shape, 16 to 1,000]
    #[arg(long, short = 'n', value_name = "N", help_heading = "Traffic")]
    pub(crate) allocations: Option<usize>,

    /// Packets a second each way (churn: allocations a second), of all allocations together
    /// [default: by shape; bulk and churn as fast as it goes]
    #[arg(long, value_name = "PPS", help_heading = "Traffic")]
    pub(crate) rate: Option<f64>,

    /// Payload bytes of each packet, 32 to 65,000 [default: by shape]
    #[arg(long, value_name = "BYTES", help_heading = "Traffic")]
    pub(crate) size: Option<u16>,

    /// Packets of each burst [default: by shape]
    #[arg(long, value_name = "PACKETS", help_heading = "Traffic")]
    pub(crate) burst: Option<u32>,

    /// Which way the packets go
    #[arg(long, value_enum, default_value = "up", help_heading = "Traffic")]
    pub(crate) direction: Direction,

    /// Send bursts as trains of segments (UDP_SEGMENT) instead of one by one
    #[arg(long, help_heading = "Traffic")]
    pub(crate) trains: bool,

    /// Send and Data indications instead of channels
    #[arg(long, help_heading = "Traffic")]
    pub(crate) indications: bool,

    /// Client to client: every two allocations are each other's peer
    #[arg(long, visible_alias = "hairpin", help_heading = "Traffic")]
    pub(crate) c2c: bool,

    /// Seconds that are measured [default: run 10, each step of a sweep 3, of a comparison 0.2]
    #[arg(long, short = 't', value_name = "S", help_heading = "Time")]
    pub(crate) duration: Option<f64>,

    /// Seconds of the same traffic before, not measured [default: 1, 0.5, 0.05]
    #[arg(long, value_name = "S", help_heading = "Time")]
    pub(crate) warmup: Option<f64>,

    /// Seconds to wait for an answer to a request
    #[arg(long, value_name = "S", default_value_t = 5.0, help_heading = "Time")]
    pub(crate) timeout: f64,

    /// Refresh allocations, permissions and channels this often, in seconds [default: halfway to
    /// their expiry]
    #[arg(long, value_name = "S", help_heading = "Time")]
    pub(crate) refresh_every: Option<f64>,

    /// Requests under way at once during set-up and churn
    #[arg(long, value_name = "N", default_value_t = 64, help_heading = "Generator")]
    pub(crate) window: usize,

    /// Generator threads, each with its share of the allocations
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Generator")]
    pub(crate) threads: usize,

    /// Cores to run on; two per thread, if given, part sending from receiving
    #[arg(long, value_name = "CORES", value_delimiter = ',', help_heading = "Generator")]
    pub(crate) pin: Vec<usize>,

    /// What a thread does while nothing is due
    #[arg(long, value_enum, default_value = "auto", help_heading = "Generator")]
    pub(crate) wait: Wait,

    /// Receive every packet on its own (without UDP_GRO), as a plain peer does
    #[arg(long, help_heading = "Generator")]
    pub(crate) no_gro: bool,

    /// No progress line
    #[arg(long, short, help_heading = "Report")]
    pub(crate) quiet: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ServerArgs {
    /// Address of the server
    #[arg(long, short, value_name = "ADDR:PORT", help_heading = "Server")]
    pub(crate) server: Option<SocketAddr>,

    /// Process id of the server, if it runs on this machine: its CPU time, memory and drops
    #[arg(long, value_name = "PID", help_heading = "Server")]
    pub(crate) pid: Option<u32>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct LimitArgs {
    /// Largest tolerable loss, in percent
    #[arg(long, value_name = "PERCENT", help_heading = "Limits")]
    pub(crate) max_loss: Option<f64>,

    /// Largest tolerable 99th percentile of latency, in milliseconds
    #[arg(long, value_name = "MS", help_heading = "Limits")]
    pub(crate) max_p99: Option<f64>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ReportArgs {
    /// Write the result as JSON
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    pub(crate) json: Option<String>,

    /// Write the result as one HTML page with plots
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    pub(crate) report: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) load: LoadArgs,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SweepArgs {
    #[command(flatten)]
    pub(crate) load: LoadArgs,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    #[command(flatten)]
    pub(crate) report: ReportArgs,

    /// Packets a second of the first step
    #[arg(long, value_name = "PPS", default_value_t = 10_000.0, help_heading = "Steps")]
    pub(crate) from: f64,

    /// Packets a second no step goes beyond
    #[arg(long, value_name = "PPS", default_value_t = 5_000_000.0, help_heading = "Steps")]
    pub(crate) to: f64,

    /// Each step offers this many times the load of the one before
    #[arg(long, value_name = "TIMES", default_value_t = 1.5, help_heading = "Steps")]
    pub(crate) factor: f64,

    /// Write p99 against offered load as an SVG picture
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    pub(crate) plot: Option<String>,

    /// What this server is called in the picture
    #[arg(long, value_name = "NAME", default_value = "this server", help_heading = "Report")]
    pub(crate) name: String,

    /// Another server's sweep for the same picture: `NAME=FILE`, its JSON
    #[arg(long, value_name = "NAME=FILE", requires = "plot", help_heading = "Report")]
    pub(crate) beside: Vec<String>,

    /// Steps that narrow the limit down after the first that failed
    #[arg(long, value_name = "N", default_value_t = 4, help_heading = "Steps")]
    pub(crate) narrow: u32,
}

#[derive(Debug, Args)]
pub(crate) struct OverloadArgs {
    /// `--rate` is what the server carries [default: found by steps of a second]; `--duration` is
    /// the time of overload [default: 60]
    #[command(flatten)]
    pub(crate) load: LoadArgs,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    #[command(flatten)]
    pub(crate) report: ReportArgs,

    /// The overload is this many times what the server carries
    #[arg(long, value_name = "TIMES", default_value_t = 2.0, help_heading = "Overload")]
    pub(crate) times: f64,

    /// The load afterwards, as a part of what the server carries
    #[arg(long, value_name = "PART", default_value_t = 0.5, help_heading = "Overload")]
    pub(crate) then: f64,

    /// Seconds of the load afterwards
    #[arg(long, value_name = "S", default_value_t = 10.0, help_heading = "Overload")]
    pub(crate) then_for: f64,

    /// Cycles of Binding, Allocate, Refresh and closing a second, beside the load
    #[arg(long, value_name = "N", default_value_t = 20.0, help_heading = "Overload")]
    pub(crate) probes: f64,

    /// Packets a second of the first step of the search
    #[arg(long, value_name = "PPS", default_value_t = 20_000.0, help_heading = "Overload")]
    pub(crate) from: f64,

    /// Largest tolerable loss of a step of the search, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 0.5, help_heading = "Limits")]
    pub(crate) max_loss: f64,

    /// Least part of what the server carries that must come through in overload
    #[arg(long, value_name = "PART", default_value_t = 0.9, help_heading = "Limits")]
    pub(crate) min_kept: f64,

    /// Longest time until loss is 0 again after the overload, in seconds
    #[arg(long, value_name = "S", default_value_t = 1.0, help_heading = "Limits")]
    pub(crate) max_recovery: f64,

    /// Write offered, delivered and lost packets over time as an SVG picture
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    pub(crate) plot: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    #[command(flatten)]
    pub(crate) load: LoadArgs,
    #[command(flatten)]
    pub(crate) report: ReportArgs,

    /// A server to start: `NAME=COMMAND`, `{port}` in it is a free port. The first named server is
    /// what the others are compared with
    #[arg(long, value_name = "NAME=COMMAND", help_heading = "Servers")]
    pub(crate) server_cmd: Vec<String>,

    /// A server that runs already: `NAME=ADDR:PORT[,PID]`
    #[arg(long, value_name = "NAME=ADDR:PORT,PID", help_heading = "Servers")]
    pub(crate) server: Vec<String>,

    /// Address the started servers listen on
    #[arg(long, value_name = "IP", default_value = "127.0.0.1", help_heading = "Servers")]
    pub(crate) listen_ip: IpAddr,

    /// Rounds that count, at least 3; each server runs once in each
    #[arg(long, value_name = "N", default_value_t = 5, help_heading = "Servers")]
    pub(crate) rounds: usize,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// A sweep's JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) from: String,

    /// Streams to carry; left out: how many one node carries
    #[arg(long, value_name = "N")]
    pub(crate) streams: Option<u64>,

    /// Kilobits of payload a second of one stream, all its packets
    #[arg(long, value_name = "KBPS", default_value_t = 1_500.0)]
    pub(crate) kbps: f64,

    /// Packets a second of one stream
    #[arg(long, value_name = "PPS", default_value_t = 150.0)]
    pub(crate) pps: f64,

    /// Cores of a node that are given to the relay
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) cores: u32,

    /// Speed of a node's network port, each way
    #[arg(long, value_name = "GBIT", default_value_t = 10.0)]
    pub(crate) nic_gbps: f64,

    /// Memory of a node, in GiB
    #[arg(long, value_name = "GIB", default_value_t = 16.0)]
    pub(crate) memory_gib: f64,

    /// Relay ports of a node
    #[arg(long, value_name = "N", default_value_t = 16_384)]
    pub(crate) ports: u64,

    /// Allocations, each with a port, that one stream takes
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    pub(crate) allocations_per_stream: f64,

    /// Part of every resource that stays free for peaks, failover and what was not measured
    #[arg(long, value_name = "PERCENT", default_value_t = 40.0)]
    pub(crate) headroom: f64,

    /// Write the plan as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<String>,
}
