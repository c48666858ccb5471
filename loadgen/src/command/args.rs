//! The command line, as it is typed.

use std::net::{IpAddr, SocketAddr};

use clap::{Args, Parser, Subcommand};

use crate::{
    offer::{address::ServerAddress, options::LoadArgs, units},
    stream::Transport,
};

/// What stands under `loadgen --help`.
const EXAMPLES: &str = "\
Examples:
  loadgen run voice -n 200 --server turn.example.org --user alice:wonderland
                                                 200 calls for ten seconds: loss and latency
  UTURN_USER=… loadgen run churn --transport tls --rate 50 --server turn.example.org:443
                                                 logins a second, no password on the command line
  loadgen sweep voice --server 127.0.0.1 --user … --pid \"$(pidof uturn)\" --json sweep.json
                                                 the highest load that holds
  loadgen plan --from sweep.json --streams 5000 --kbps 64 --pps 50
                                                 how many nodes 5,000 calls take
  loadgen run voice --direct --rate 100k         what this machine can offer at all";

/// Offers load to a TURN relay and reports what came through.
#[derive(Debug, Parser)]
#[command(name = "loadgen", version, max_term_width = 100, after_long_help = EXAMPLES)]
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
    /// Prints the manual page, in roff
    #[command(hide = true)]
    Man,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ServerArgs {
    /// The server, by name (IPv4 before IPv6) or address [default port: 3478, over TLS 5349]
    #[arg(long, short, value_name = "HOST[:PORT]", value_parser = ServerAddress::read,
        help_heading = "Server")]
    pub(crate) server: Option<ServerAddress>,

    /// Process id of the server, if it runs on this machine: its CPU time, memory and drops
    #[arg(long, value_name = "PID", help_heading = "Server")]
    pub(crate) pid: Option<u32>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct LimitArgs {
    /// Largest tolerable loss, in percent [default: run 1, sweep 0.1]
    #[arg(long, value_name = "PERCENT", value_parser = units::percent, help_heading = "Limits")]
    pub(crate) max_loss: Option<f64>,

    /// Largest tolerable 99th percentile of latency, in milliseconds [default: run none, sweep 20]
    #[arg(long, value_name = "MS", value_parser = units::milliseconds, help_heading = "Limits")]
    pub(crate) max_p99: Option<f64>,
}

impl ServerArgs {
    pub(crate) fn address(&self, transport: Transport) -> Option<SocketAddr> {
        self.server.as_ref().map(|server| server.over(transport))
    }
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ReportArgs {
    /// Write the result as JSON; `-`: to standard output, the text then to standard error
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    pub(crate) json: Option<String>,

    /// Write the result as one HTML page with plots; `-` as above
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
    #[arg(long, value_name = "PPS", value_parser = units::pps, default_value = "10k",
        help_heading = "Steps")]
    pub(crate) from: f64,

    /// Packets a second no step goes beyond
    #[arg(long, value_name = "PPS", value_parser = units::pps, default_value = "5M",
        help_heading = "Steps")]
    pub(crate) to: f64,

    /// Each step offers this many times the load of the one before
    #[arg(long, value_name = "TIMES", default_value_t = 1.5, help_heading = "Steps")]
    pub(crate) factor: f64,

    /// Write p50, p99, p99.9 and loss against offered load as an SVG picture
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

    /// Times the limit is searched for; answers further apart than 10 % are none
    #[arg(long, value_name = "N", default_value_t = 3, help_heading = "Steps")]
    pub(crate) runs: u32,

    /// A server to start instead of --server: `NAME=COMMAND`, `{ip}` and `{port}` in it are what it
    /// is to listen on; several take turns
    #[arg(long, value_name = "NAME=COMMAND", conflicts_with_all = ["server", "pid", "name"],
        help_heading = "Server")]
    pub(crate) server_cmd: Vec<String>,

    /// Address the started servers listen on
    #[arg(long, value_name = "IP", default_value = "127.0.0.1", help_heading = "Server")]
    pub(crate) listen_ip: IpAddr,
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

    /// Time of the load afterwards
    #[arg(long, value_name = "TIME", value_parser = units::seconds, default_value = "10s",
        help_heading = "Overload")]
    pub(crate) then_for: f64,

    /// Cycles of Binding, Allocate, Refresh and closing a second, beside the load
    #[arg(long, value_name = "N", default_value_t = 20.0, help_heading = "Overload")]
    pub(crate) probes: f64,

    /// Packets a second of the first step of the search
    #[arg(long, value_name = "PPS", value_parser = units::pps, default_value = "20k",
        conflicts_with = "rate", help_heading = "Overload")]
    pub(crate) from: f64,

    /// Largest tolerable loss of a step of the search, in percent
    #[arg(long, value_name = "PERCENT", value_parser = units::percent, default_value = "0.5",
        help_heading = "Limits")]
    pub(crate) max_loss: f64,

    /// Least part of what the server carries that must come through in overload
    #[arg(long, value_name = "PART", default_value_t = 0.9, help_heading = "Limits")]
    pub(crate) min_kept: f64,

    /// Longest time until loss is 0 again after the overload
    #[arg(long, value_name = "TIME", value_parser = units::seconds, default_value = "1s",
        help_heading = "Limits")]
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

    /// A server to start: `NAME=COMMAND`, `{ip}` and `{port}` in it are what it is to listen on.
    /// The first named server is what the others are compared with
    #[arg(long, value_name = "NAME=COMMAND", help_heading = "Servers")]
    pub(crate) server_cmd: Vec<String>,

    /// A server that runs already on this machine: `NAME=HOST[:PORT],PID`
    #[arg(long, value_name = "NAME=HOST[:PORT],PID", help_heading = "Servers")]
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

    /// Which of its servers [default: the only one]
    #[arg(long, value_name = "NAME")]
    pub(crate) server: Option<String>,

    /// Plan with a lower bound: a sweep that the generator ended, or its --to
    #[arg(long)]
    pub(crate) at_least: bool,

    /// Streams to carry; left out: how many one node carries
    #[arg(long, value_name = "N")]
    pub(crate) streams: Option<u64>,

    /// Kilobits of payload a second of one stream, all its packets
    #[arg(long, value_name = "KBPS", default_value_t = 1_500.0)]
    pub(crate) kbps: f64,

    /// Packets a second of one stream
    #[arg(long, value_name = "PPS", value_parser = units::pps, default_value = "150")]
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
