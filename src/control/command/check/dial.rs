//! How a connection comes about: TCP, then TLS, each with what most likely lies behind a failure.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::failure::{Failure, distrusted, no_way, proxied, why};
use super::link::{Link, StreamLink};
use super::target::Target;
use super::transport::CheckTransport;
use super::trouble::Trouble;
use crate::control::numbers::counted;
use crate::control::tls::certificate::CertificateFacts;
use crate::stream::ClientSession;

/// How soon a server is asked again that does not listen yet.
const AGAIN: Duration = Duration::from_millis(100);
const DAY_S: i64 = 24 * 60 * 60;

/// Tries again where nobody listens: whoever has just started a server checks it at once.
pub(super) fn again<T>(
    patience: Duration,
    mut act: impl FnMut() -> Result<T, Trouble>,
) -> Result<T, Trouble> {
    let deadline = Instant::now() + patience;
    loop {
        match act() {
            Err(Trouble::Closed) if Instant::now() < deadline => thread::sleep(AGAIN),
            done => return done,
        }
    }
}

/// Connects over TCP.
pub(super) fn connect(target: &Target<'_>) -> Result<(String, StreamLink), Failure> {
    let dialled = again(target.patience, || StreamLink::dial(target.server, target.patience));
    let stream = dialled.map_err(|trouble| {
        let remedy = match (&trouble, target.transport) {
            (Trouble::Silence, _) => {
                "let TCP to the listening port through every firewall on the way, and see that \
                 the server runs and the address is its own"
            }
            (Trouble::Closed, CheckTransport::Tls) => {
                "give the server a certificate (tls-certificate), or ask for a port of listen-tls"
            }
            (Trouble::Closed, _) => {
                "start the server, with `tcp` on, or ask for the port that it listens on"
            }
            (Trouble::Broken(error), _) => no_way(error.kind()),
            _ => "look at the server's log, and for a proxy on the way",
        };
        Failure { problem: format!("TCP: {}", why(&trouble)), remedy: remedy.to_owned() }
    })?;
    Ok((format!("to {} over TCP", target.server), stream))
}

/// Lets the server prove who it is.
pub(super) fn secure(
    target: &Target<'_>,
    mut stream: StreamLink,
) -> Result<(String, StreamLink), Failure> {
    let session = ClientSession::new(&target.name, target.roots).map_err(Trouble::Unproved);
    let proved = session.and_then(|session| {
        stream.shake_hands(session, target.patience).map(|session| described(session, target))
    });
    match proved {
        Ok(detail) => Ok((detail, stream)),
        Err(trouble) => Err(unproved(&trouble, target)),
    }
}

/// A connection without steps of its own, for what comes after the first.
pub(super) fn link(target: &Target<'_>) -> Result<Link, Failure> {
    let (_, mut stream) = connect(target)?;
    if target.transport == CheckTransport::Tls {
        (_, stream) = secure(target, stream)?;
    }
    Ok(Link::stream(stream))
}

fn described(session: &ClientSession, target: &Target<'_>) -> String {
    let version = session.version();
    let leaf = session.certificate().unwrap_or_default();
    let Ok((facts, _)) = CertificateFacts::of(leaf, Path::new(&target.name)) else {
        return format!("{version}, as {}", target.name);
    };
    let days = counted((facts.left_s(SystemTime::now()) / DAY_S).max(0), "day");
    format!("{version}, certificate of {}, {days} left", facts.name)
}

fn unproved(trouble: &Trouble, target: &Target<'_>) -> Failure {
    let problem = format!("TLS with {}: {}", target.name, why(trouble));
    if let (Trouble::Ended | Trouble::Mute, Some(network)) = (trouble, target.proxy) {
        return Failure { problem, remedy: proxied(network) };
    }
    let remedy = match trouble {
        Trouble::Unproved(fault) => match fault.distrust() {
            Some(distrust) => distrusted(distrust),
            None => "see that this port takes TLS, and look at the server's log",
        },
        Trouble::Ended | Trouble::Mute => {
            "see that the server has a certificate (tls-certificate) and takes TLS on this port"
        }
        _ => "look at the server's log, and for a proxy on the way",
    };
    Failure { problem, remedy: remedy.to_owned() }
}
