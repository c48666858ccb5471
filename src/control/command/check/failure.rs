//! What went wrong, what most likely lies behind it, and what to do.

use std::io::ErrorKind;
use std::net::SocketAddr;

use ipnet::IpNet;

use super::trouble::Trouble;
use crate::stream::Distrust;

/// What went wrong, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) problem: String,
    pub(super) remedy: String,
}

/// A trouble in a few words.
pub(super) fn why(trouble: &Trouble) -> String {
    match trouble {
        Trouble::Silence => "no answer".to_owned(),
        Trouble::Closed => "nobody listens there".to_owned(),
        Trouble::Nonsense => "an answer that is not STUN".to_owned(),
        Trouble::Mute => "connected, and no answer".to_owned(),
        Trouble::Ended => "the server ended the connection".to_owned(),
        Trouble::Unproved(fault) => fault.to_string(),
        Trouble::Refused { code, .. } => code.to_string(),
        Trouble::Broken(error) => error.to_string(),
    }
}

/// What most likely lies behind a request that came to nothing.
pub(super) fn explain(request: &str, trouble: &Trouble) -> Failure {
    let problem = format!("{request}: {}", why(trouble));
    let remedy = match trouble {
        Trouble::Silence => {
            "let UDP to the listening port through every firewall on the way, and see that the \
             server runs and the address is its own"
        }
        Trouble::Closed => {
            "start the server, or ask for the port that it listens on; a firewall that rejects \
             looks the same"
        }
        Trouble::Nonsense => "ask a TURN server, and look for a proxy on the way",
        Trouble::Mute | Trouble::Unproved(_) => {
            "see that a TURN server listens there, and look for a proxy on the way"
        }
        Trouble::Ended => "look at the server's log, and whether this port takes TLS alone",
        Trouble::Broken(error) => no_way(error.kind()),
        Trouble::Refused { code, instead } => return refused(problem, *code, *instead),
    };
    Failure { problem, remedy: remedy.to_owned() }
}

/// What to do where the system says that nothing leads to the server.
pub(super) fn no_way(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::PermissionDenied => "let it out through the firewall of this machine",
        _ => {
            "see that this machine has a route to the server; a firewall that rejects looks the \
             same"
        }
    }
}

/// What to do about a certificate that is not accepted.
pub(super) fn distrusted(distrust: Distrust) -> &'static str {
    match distrust {
        Distrust::Expired => {
            "renew it on the server; a uturn that runs takes new files within seconds"
        }
        Distrust::NotYetValid => "see that the clocks of both machines are right",
        Distrust::OtherName => "ask for the server by a name of its certificate (--server)",
        Distrust::UnknownIssuer => {
            "let the server send the whole chain (fullchain.pem), or name the authority's \
             certificate with --ca"
        }
        Distrust::OwnAuthority => "name this certificate itself with --ca",
    }
}

/// What to do where a host has no address.
pub(super) fn unknown_name(problem: String) -> Failure {
    Failure {
        problem,
        remedy: "see that the name is right, and that this machine can resolve names".to_owned(),
    }
}

/// What to do where a connection ends because it should have begun with a PROXY header.
pub(super) fn proxied(network: IpNet) -> String {
    format!(
        "proxy-from = \"{network}\" covers this machine, so the server takes what comes from here for \
         a load balancer and waits for its PROXY header: ask the balancer (--server), try from \
         elsewhere, or leave this machine out"
    )
}

fn refused(problem: String, code: u16, instead: Option<SocketAddr>) -> Failure {
    let remedy = match code {
        300 => match instead {
            Some(server) => format!("the server is draining: use {server}"),
            None => "the server is draining: use another one".to_owned(),
        },
        401 => {
            "the name, the password or the secret is not the server's; a time-limited name needs \
                both clocks to agree"
                .to_owned()
        }
        403 => "the server's policy denies this peer: allow-peers".to_owned(),
        437 => "another allocation has this port's address; try again".to_owned(),
        438 => {
            "its nonces do not last: see that one server answers, not several in turn".to_owned()
        }
        440 => "give the server a relay address of this family: relay-ip".to_owned(),
        486 => "the user's quota is reached: user-quota".to_owned(),
        508 => "no relay port is free, the server is full or draining: relay-ports, total-quota, \
                `uturn status`"
            .to_owned(),
        _ => "look at the server's log".to_owned(),
    };
    Failure { problem, remedy }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trouble_is_explained_in_one_line() {
        let refused = |code| Trouble::Refused { code, instead: None };
        let instead = Some("192.0.2.7:3478".parse().expect("an address"));
        for (trouble, problem, remedy) in [
            (Trouble::Silence, "no answer", "firewall"),
            (Trouble::Closed, "nobody listens", "start the server"),
            (Trouble::Mute, "connected", "proxy"),
            (Trouble::Ended, "ended", "TLS alone"),
            (refused(401), "401", "secret"),
            (refused(403), "403", "allow-peers"),
            (refused(486), "486", "user-quota"),
            (refused(508), "508", "relay-ports"),
            (Trouble::Refused { code: 300, instead }, "300", "192.0.2.7:3478"),
            (refused(599), "599", "log"),
        ] {
            let failure = explain("Allocate", &trouble);
            assert!(failure.problem.contains(problem), "{failure:?}");
            assert!(failure.remedy.contains(remedy), "{failure:?}");
            let line = failure.problem + &failure.remedy;
            assert!(!line.contains('\n') && !line.contains("  "), "{line}");
        }
        let broken = |kind: ErrorKind| explain("Allocate", &Trouble::Broken(kind.into())).remedy;
        assert!(broken(ErrorKind::HostUnreachable).contains("route"));
        assert!(broken(ErrorKind::PermissionDenied).contains("firewall of this machine"));
    }
}
