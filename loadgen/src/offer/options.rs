//! What load, as it is typed: the options of all subcommands that offer any.

use std::net::IpAddr;

use clap::{Args, ValueEnum};

use super::{
    packet::{HEADER_BYTES, MAX_PAYLOAD_BYTES},
    shape::Shape,
    units::{self, Rate, SlowReaders},
};
use crate::stream::{TlsVersion, Transport};

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

    /// Long-term credentials [default: what the variable UTURN_USER holds, which unlike a command
    /// line others on this machine cannot read]
    #[arg(long, value_name = "NAME:PASSWORD", help_heading = "Server")]
    pub(crate) user: Option<String>,

    /// Shared secret that time-limited credentials are made from [default: what the variable
    /// UTURN_SECRET holds]
    #[arg(long, conflicts_with = "user", help_heading = "Server")]
    pub(crate) secret: Option<String>,

    /// What carries messages between clients and server; peers are always reached by UDP
    #[arg(long, value_enum, default_value = "udp", help_heading = "Server")]
    pub(crate) transport: Transport,

    /// Verify the server's certificate by the authorities in this PEM file; without it none is
    /// verified
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    pub(crate) ca: Option<String>,

    /// Offer this version of TLS alone [default: 1.2 and 1.3]
    #[arg(long, value_enum, value_name = "VERSION", help_heading = "Server")]
    pub(crate) tls_version: Option<TlsVersion>,

    /// Offer this key exchange alone, as X25519 [default: X25519MLKEM768 and others]
    #[arg(long, value_name = "GROUP", help_heading = "Server")]
    pub(crate) tls_group: Option<String>,

    /// Handshakes resume the session of an earlier one, as far as the server gave tickets
    #[arg(long, help_heading = "Server")]
    pub(crate) resume: bool,

    /// Address the peers have; its family is the one asked of the relay [default: the address this
    /// machine reaches the server from]
    #[arg(long, value_name = "IP", help_heading = "Server")]
    pub(crate) peer_ip: Option<IpAddr>,

    /// No relay: clients send to the peer, which shows what the generator alone can do
    #[arg(long, conflicts_with_all = ["c2c", "indications"], help_heading = "Server")]
    pub(crate) direct: bool,

    /// Allocations, of all threads together [default: by shape, 16 to 1,000]
    #[arg(long, short = 'n', value_name = "N", value_parser = units::count,
        help_heading = "Traffic")]
    pub(crate) allocations: Option<usize>,

    /// Packets a second each way (churn: allocations a second; handshakes likewise), of all
    /// allocations together; `max`: as fast as it goes [default: by shape; bulk, churn and
    /// handshakes max]
    #[arg(long, value_name = "PPS", value_parser = units::rate, help_heading = "Traffic")]
    pub(crate) rate: Option<Rate>,

    /// Payload bytes of each packet, 32 to 65,000 [default: by shape]
    #[arg(long, value_name = "BYTES", value_parser = units::between::<{ HEADER_BYTES }, { MAX_PAYLOAD_BYTES }, u16>,
        help_heading = "Traffic")]
    pub(crate) size: Option<u16>,

    /// Packets of each burst [default: by shape]
    #[arg(long, value_name = "PACKETS", value_parser = units::between::<1, 10_000, u32>,
        help_heading = "Traffic")]
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

    /// So many of the clients read at most so many bytes a second [default: 12500, 100 kbit/s]
    #[arg(long, value_name = "N[:BYTES_PER_S]", value_parser = units::slow_readers,
        help_heading = "Traffic")]
    pub(crate) slow_readers: Option<SlowReaders>,

    /// Time that is measured [default: run 10s, each step of a sweep 2s, of a comparison 200ms]
    #[arg(long, short = 't', value_name = "TIME", value_parser = units::span,
        help_heading = "Time")]
    pub(crate) duration: Option<f64>,

    /// Time of the same traffic before, not measured [default: 1s, 500ms, 50ms]
    #[arg(long, value_name = "TIME", value_parser = units::seconds, help_heading = "Time")]
    pub(crate) warmup: Option<f64>,

    /// Time to wait for an answer to a request
    #[arg(long, value_name = "TIME", value_parser = units::span, default_value = "5s",
        help_heading = "Time")]
    pub(crate) timeout: f64,

    /// Refresh allocations, permissions and channels this often [default: halfway to their expiry]
    #[arg(long, value_name = "TIME", value_parser = units::span, help_heading = "Time")]
    pub(crate) refresh_every: Option<f64>,

    /// Requests under way at once during set-up and churn, or handshakes
    #[arg(long, value_name = "N", value_parser = units::between::<1, 65_536, usize>,
        default_value_t = 64, help_heading = "Generator")]
    pub(crate) window: usize,

    /// Generator threads, each with its share of the allocations
    #[arg(long, value_name = "N", value_parser = units::between::<1, 1_024, usize>,
        default_value_t = 1, help_heading = "Generator")]
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

/// The options of one line, as a subcommand would take them.
#[cfg(test)]
pub(crate) fn parse(line: &str) -> Result<LoadArgs, clap::Error> {
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        load: LoadArgs,
    }
    let words = std::iter::once("loadgen").chain(line.split_whitespace());
    Line::try_parse_from(words).map(|line| line.load)
}
