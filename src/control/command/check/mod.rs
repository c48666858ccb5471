//! Whether a server works, seen from here: what `uturn check` says.
//!
//! ```text
//! transport.rs   which transports are tried, and where
//! trust.rs       what the certificate of a server has to lead to
//! target.rs      whom to try, and how
//! link.rs        the way to a server: datagrams, or a stream cut into frames
//! dial.rs        how a connection comes about: TCP, then TLS
//! client.rs      the client side of TURN, one request at a time
//! steps.rs       what is tried, in the order in which a call needs it
//! trouble.rs     why a request came to nothing
//! failure.rs     what most likely lies behind a failure, and what to do
//! report.rs      for people and for programs
//! ```

mod client;
mod dial;
mod failure;
mod link;
mod report;
mod steps;
mod target;
mod transport;
mod trouble;
mod trust;

use std::io::stdout;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use ipnet::IpNet;

use super::account::{self, SecretArgs};
use crate::control::config::{Config, User};
use crate::control::numbers::seconds;
use crate::control::terminal::has_colours;
use failure::unknown_name;
use report::CheckReport;
use steps::{CheckStep, try_all};
use target::Target;
use transport::{CheckTransport, Choice, Place, transports};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What stands under `uturn check --help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  uturn check --config /etc/uturn/uturn.toml     beside the server, over every transport it has
  UTURN_SECRET=… uturn check --server turn.example.org
                                                 from another machine: finds a closed firewall
  uturn check --server turns:turn.example.org:443 --user alice:wonderland --json
                                                 for a monitor; status 0 only if everything works";

/// Arguments of `uturn check`.
#[derive(Args, Clone, Debug)]
pub(super) struct CheckArgs {
    /// Name or address, and port if it is not that of --config or 3478 (TLS 5349), or a URL as
    /// turns:HOST:443 [default: the first listening address of --config, else 127.0.0.1]
    #[arg(long, value_name = "HOST[:PORT]", value_parser = Place::read)]
    server: Option<Place>,
    /// What to try the server over [default: what a URL says, what --config has, or UDP]
    #[arg(long, value_name = "TRANSPORT")]
    transport: Option<Choice>,
    /// PEM file of what the certificate of the server has to lead to [default: the certificates of
    /// --config, else the roots that this system trusts]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// User and password [default: the first user of --config, or what the variable UTURN_USER
    /// holds]
    #[arg(long, value_name = "NAME:PASSWORD", value_parser = account::user)]
    #[arg(conflicts_with = "secret")]
    user: Option<User>,
    #[command(flatten)]
    secret: SecretArgs,
    /// How long each answer may take
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = seconds(1..=60))]
    #[arg(allow_negative_numbers = true)]
    timeout: u32,
    /// Prints one JSON object in place of text
    #[arg(long)]
    json: bool,
}

/// What came of it.
pub(super) struct Checked {
    /// For standard output.
    pub(super) text: String,
    /// Whether every step succeeded, and there was a user to try them with.
    pub(super) works: bool,
}

/// What the name of the server came to.
struct Found<'a> {
    place: &'a Place,
    address: Result<IpAddr, String>,
    took: Duration,
}

impl Found<'_> {
    fn look_up(place: &Place) -> Found<'_> {
        let begun = Instant::now();
        let address = place.address();
        Found { place, address, took: begun.elapsed() }
    }
}

/// Tries a server.
///
/// # Errors
/// The server's file cannot be read, or what was said of it is of no use.
pub(super) fn check(args: &CheckArgs) -> Result<Checked, String> {
    let config = args.secret.config()?;
    let config = config.as_ref();
    let user = match &args.user {
        Some(user) => Some(user.clone()),
        None => args.secret.user(config)?,
    };
    let tried = transports(args.transport, args.server.as_ref(), config);
    let has_tls = tried.contains(&CheckTransport::Tls);
    let roots = if has_tls { trust::roots(args.ca.as_deref(), config)? } else { Vec::new() };
    let found = args.server.as_ref().map(Found::look_up);
    let mut reports = Vec::with_capacity(tried.len());
    for transport in &tried {
        let server = match server(found.as_ref(), config, *transport) {
            Ok(server) => server,
            Err((place, step)) => {
                reports.push(CheckReport::about(place, *transport, user.is_some(), &[step]));
                continue;
            }
        };
        let target = Target {
            server,
            transport: *transport,
            name: name(args, config, server)?,
            roots: &roots,
            proxy: config.and_then(|config| proxy(config, server)),
            is_chosen: args.transport.is_some() || tried.len() > 1,
            user: user.as_ref(),
            patience: Duration::from_secs(args.timeout.into()),
        };
        reports.push(CheckReport::of(&target, &try_all(&target)));
    }
    Ok(Checked { text: text(args, &reports), works: reports.iter().all(|report| report.works) })
}

fn text(args: &CheckArgs, reports: &[CheckReport]) -> String {
    if args.json {
        return report::json(reports);
    }
    let is_coloured = has_colours(&stdout());
    let texts: Vec<String> = reports.iter().map(|report| report.text(is_coloured)).collect();
    texts.join("\n")
}

/// Where the server is; or its name, and a step that says why nobody knows.
fn server(
    found: Option<&Found<'_>>,
    config: Option<&Config>,
    transport: CheckTransport,
) -> Result<SocketAddr, (String, CheckStep)> {
    let listener = config.and_then(|config| transport.listener(config));
    let port = listener.map_or(transport.port(), |listener| listener.port());
    let Some(Found { place, address, took }) = found else {
        return Ok(listener.unwrap_or(SocketAddr::new(LOOPBACK, port)));
    };
    match address {
        Ok(ip) => Ok(SocketAddr::new(*ip, place.port_or(port))),
        Err(problem) => {
            let outcome = Err(unknown_name(problem.clone()));
            Err((place.endpoint(port), CheckStep { name: "name", took: *took, outcome }))
        }
    }
}

/// The network of proxy-from that this machine is in, as a server sees it.
fn proxy(config: &Config, server: SocketAddr) -> Option<IpNet> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // The kernel chooses the address by the route; nothing is sent.
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(server).ok()?;
    let here = socket.local_addr().ok()?.ip().to_canonical();
    config.values.proxy_from.iter().copied().find(|network| network.contains(&here))
}

/// Who the server has to prove to be.
fn name(args: &CheckArgs, config: Option<&Config>, server: SocketAddr) -> Result<String, String> {
    if let Some(place) = &args.server {
        return Ok(place.name().to_owned());
    }
    let certified = config.map(trust::first_name).transpose()?.flatten();
    Ok(certified.unwrap_or_else(|| server.ip().to_string()))
}
