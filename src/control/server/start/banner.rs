//! What a person sees who starts the server: where it listens, and how to use it.

use std::fmt::Write as _;
use std::io::{Write as _, stdout};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use ipnet::IpNet;
use tracing::warn;

use crate::control::command::credential::Credential;
use crate::control::command::ice;
use crate::control::config::{Config, LogFormat, Secret};
use crate::control::escape;
use crate::control::numbers::counted;
use crate::control::terminal::has_colours;
use crate::turn::RelayAddress;

const INDENT: usize = 12;
/// How long the log waits for a banner that may stand above it.
const BEFORE_THE_LOG: Duration = Duration::from_millis(200);

/// Prints the banner to standard output, unless the log is for programs: where both go to one place
/// every line should be JSON. A secret of this run is shown nowhere then. That nobody reads the
/// banner is no fault, and holds nothing up: a thread of its own writes it.
pub(in crate::control) fn print(config: &Config, driver: &str, control: Option<&Path>) {
    if config.values.log_format == LogFormat::Json {
        if config.secret_is_generated {
            warn!("a secret was made for this run, and with log-format json it is not shown");
        }
        return;
    }
    let style = if has_colours(&stdout()) { COLOUR } else { PLAIN };
    let text = banner(config, driver, control, style);
    let (is_over, over) = mpsc::channel::<()>();
    let print = move || {
        let mut out = stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).unwrap_or_default();
        drop(is_over);
    };
    // Where there is no thread, there is no banner either.
    if thread::Builder::new().name("uturn-banner".to_owned()).spawn(print).is_ok() {
        over.recv_timeout(BEFORE_THE_LOG).unwrap_or_default();
    }
}

/// What is written around words to set them off.
#[derive(Clone, Copy)]
struct Style {
    name: &'static str,
    label: &'static str,
    warning: &'static str,
    end: &'static str,
}

const PLAIN: Style = Style { name: "", label: "", warning: "", end: "" };
const COLOUR: Style =
    Style { name: "\x1b[1;36m", label: "\x1b[2m", warning: "\x1b[1;33m", end: "\x1b[0m" };

fn banner(config: &Config, driver: &str, control: Option<&Path>, style: Style) -> String {
    let Style { name, end, .. } = style;
    let version = env!("CARGO_PKG_VERSION");
    let mut text = format!("\n  {name}uturn {version}{end}  a TURN/STUN relay on {driver}\n\n");
    field(&mut text, style, "listening", &columns(&config.listen));
    field(&mut text, style, "over", &[transports(config).to_owned()]);
    field(&mut text, style, "TLS alone", &columns(&config.listen_tls));
    field(&mut text, style, "relaying", &relaying(config));
    field(&mut text, style, "realm", &[escape::text(&config.values.realm.0).into_owned()]);
    field(&mut text, style, "workers", &[workers(config)]);
    field(&mut text, style, "logins", &[logins(config)]);
    field(&mut text, style, "peers", &peers(config));
    field(&mut text, style, "metrics", &columns(&config.metrics));
    let control = control.map_or("none".to_owned(), |path| path.display().to_string());
    field(&mut text, style, "control", &[escape::text(&control).into_owned()]);
    if let Some(secret) = generated(config) {
        text.push_str(&invitation(config, secret, style));
    }
    let private: Vec<String> = config.private_relays().map(|ip| ip.to_string()).collect();
    if !private.is_empty() {
        text.push_str(&private_warning(&private.join(" and "), style));
    }
    text.push('\n');
    text
}

fn field(text: &mut String, style: Style, label: &str, lines: &[String]) {
    let Style { label: dim, end, .. } = style;
    for (index, line) in lines.iter().enumerate() {
        let label = if index == 0 { label } else { "" };
        text.push_str(&format!("  {dim}{label:<INDENT$}{end}{line}\n"));
    }
}

/// What the addresses above are heard on.
fn transports(config: &Config) -> &'static str {
    match (config.values.tcp.0, config.listen_tls.is_empty()) {
        (false, _) => "UDP",
        (true, true) => "UDP and TCP",
        (true, false) => "UDP, TCP and TLS",
    }
}

/// Puts addresses in lines of a few, so that a node with many still fits the screen.
fn columns(addresses: &[SocketAddr]) -> Vec<String> {
    let lines = addresses.chunks(3).map(|line| {
        line.iter().fold(String::new(), |mut text, address| {
            write!(text, "{:<24}", address.to_string()).expect("a string takes everything");
            text
        })
    });
    lines.map(|line| line.trim_end().to_owned()).collect()
}

fn relaying(config: &Config) -> Vec<String> {
    let ports = format!("ports {}", config.values.relay_ports);
    let mut lines: Vec<String> = config.relays.iter().map(relay).collect();
    if let Some(first) = lines.first_mut() {
        *first = format!("{first:<22}  {ports}");
    }
    lines
}

fn relay(relay: &RelayAddress) -> String {
    if relay.local == relay.advertised {
        return relay.local.to_string();
    }
    format!("{} as {}", relay.local, relay.advertised)
}

fn logins(config: &Config) -> String {
    let (users, secrets) = (config.user_count(), config.values.secret.len());
    format!("{}, {}", counted(users, "user"), counted(secrets, "secret"))
}

/// What differs from the built-in rules about peers.
fn peers(config: &Config) -> Vec<String> {
    let networks = |word: &str, networks: &[IpNet]| {
        let list: Vec<String> = networks.iter().map(ToString::to_string).collect();
        (!list.is_empty()).then(|| format!("{word} {}", list.join(" ")))
    };
    let allowed = networks("also", &config.values.allow_peers);
    let denied = networks("never", &config.values.deny_peers);
    allowed.into_iter().chain(denied).collect()
}

fn workers(config: &Config) -> String {
    let cores: Vec<String> = config.workers.iter().map(|place| place.core.to_string()).collect();
    format!("{}, on cores {}", cores.len(), cores.join(" "))
}

fn generated(config: &Config) -> Option<&Secret> {
    config.values.secret.first().filter(|_| config.secret_is_generated)
}

/// The secret, a credential made with it, and what a web page needs to use it.
fn invitation(config: &Config, secret: &Secret, style: Style) -> String {
    let credential = Credential::for_a_guest(secret);
    let mut text = String::from("\n  This run has a secret of its own:\n\n");
    field(&mut text, style, "secret", &[secret.reveal().to_owned()]);
    field(&mut text, style, "username", std::slice::from_ref(&credential.username));
    field(&mut text, style, "password", &[format!("{}  (valid for a day)", credential.password)]);
    let ice_servers = credential.ice_servers(&ice::urls(Some(config), None));
    text.push_str(&format!("\n  new RTCPeerConnection({{ iceServers: {ice_servers} }})\n"));
    text
}

fn private_warning(relayed: &str, style: Style) -> String {
    let Style { warning, end, .. } = style;
    let told = format!("clients will be told {relayed}: private, so that only peers on its own");
    let rest = "network can reach it. Behind 1:1 NAT add --external-ip PUBLIC.";
    let label = "warning";
    format!("\n  {warning}{label:<INDENT$}{end}{told}\n  {:<INDENT$}{rest}\n", "")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{PLAIN, banner};
    use crate::control::config::{Config, Machine, Options};

    fn config() -> Config {
        let machine =
            Machine { cores: vec![0, 1], cpus: 2, ..Machine::with(&["10.0.0.5", "127.0.0.1"]) };
        Config::load(Options::default(), None, &machine).unwrap()
    }

    #[test]
    fn a_newcomer_can_use_what_is_printed() {
        let config = config();
        let control = Some(Path::new("/run/uturn/control"));
        let text = banner(&config, "io_uring", control, PLAIN);
        let secret = config.values.secret[0].reveal();
        for part in [
            "on io_uring",
            "10.0.0.5:3478",
            "127.0.0.1:3478",
            "49152-65535",
            "2, on cores 0 1",
            "0 users, 1 secret",
            "control     /run/uturn/control",
            secret,
            "UDP and TCP",
            r#""turn:10.0.0.5:3478","turn:10.0.0.5:3478?transport=tcp"]"#,
            "told 10.0.0.5: private",
        ] {
            assert!(text.contains(part), "{part} is missing in:\n{text}");
        }
    }

    #[test]
    fn every_transport_is_named_and_has_its_url() {
        let mut config = config();
        config.listen_tls = vec!["10.0.0.5:5349".parse().unwrap()];
        let text = banner(&config, "io_uring", None, PLAIN);
        for part in ["UDP, TCP and TLS\n", r#""turns:10.0.0.5:5349?transport=tcp"]"#] {
            assert!(text.contains(part), "{part} is missing in:\n{text}");
        }
        config.values.tcp.0 = false;
        let text = banner(&config, "io_uring", None, PLAIN);
        assert!(text.contains("over        UDP\n"), "{text}");
        assert!(!text.contains("turn:10.0.0.5:3478?transport=tcp"), "{text}");
    }

    #[test]
    fn a_configured_secret_is_not_printed() {
        let mut config = config();
        config.secret_is_generated = false;
        assert!(
            !banner(&config, "io_uring", None, PLAIN).contains(config.values.secret[0].reveal())
        );
    }
}
