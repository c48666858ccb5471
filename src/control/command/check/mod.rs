//! Whether a server works, seen from here: what `uturn check` says.
//!
//! ```text
//! client.rs    the client side of TURN, one request at a time
//! steps.rs     what is tried, in the order in which a call needs it
//! failure.rs   what most likely lies behind a failure, and what to do
//! report.rs    for people and for programs
//! ```

mod client;
mod failure;
mod report;
mod steps;

use std::io::IsTerminal;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use clap::Args;

use super::account::{self, SecretArgs};
use super::ice::{self, STUN_PORT};
use crate::control::config::{Config, User};
use steps::{Target, try_all};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Arguments of `uturn check`.
#[derive(Args, Clone, Debug)]
pub(super) struct CheckArgs {
    /// Name or address, and port if it is not 3478 [default: the first listening address of
    /// --config, else 127.0.0.1]
    #[arg(long, value_name = "HOST[:PORT]")]
    server: Option<String>,
    /// User and password [default: the first user of --config, or what the variable UTURN_USER
    /// holds]
    #[arg(long, value_name = "NAME:PASSWORD", value_parser = account::user)]
    #[arg(conflicts_with = "secret")]
    user: Option<User>,
    #[command(flatten)]
    secret: SecretArgs,
    /// How long each answer may take
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout: u64,
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

/// Tries a server.
///
/// # Errors
/// The server's name has no address, or its file cannot be read.
pub(super) fn check(args: &CheckArgs) -> Result<Checked, String> {
    let config = args.secret.config()?;
    let server = server(args, config.as_ref())?;
    let user = match &args.user {
        Some(user) => Some(user.clone()),
        None => args.secret.user(config.as_ref())?,
    };
    let patience = Duration::from_secs(args.timeout);
    let steps = try_all(&Target { server, user: user.as_ref(), patience });
    let report = report::CheckReport::of(server, user.is_some(), &steps);
    let text = if args.json { report.json() } else { report.text(std::io::stdout().is_terminal()) };
    Ok(Checked { text, works: report.works })
}

fn server(args: &CheckArgs, config: Option<&Config>) -> Result<SocketAddr, String> {
    let Some(host) = &args.server else {
        let listening = config.and_then(|config| config.listen.first().copied());
        return Ok(listening.unwrap_or(SocketAddr::new(LOOPBACK, STUN_PORT)));
    };
    let (name, port) = ice::split(host);
    let endpoint = format!("{name}:{}", port.unwrap_or(STUN_PORT));
    let mut addresses =
        endpoint.to_socket_addrs().map_err(|error| format!("server: {host}: {error}"))?;
    addresses.next().ok_or_else(|| format!("server: {host}: the name has no address"))
}
