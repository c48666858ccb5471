//! A request that came to nothing, as one line an operator can act on.

use std::{fmt, net::SocketAddr};

use super::request::{Rejection, Request};
use crate::fault::Fault;

/// What came to nothing; `allocations` were there before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal {
    pub(super) server: SocketAddr,
    pub(super) request: Request,
    pub(super) rejection: Rejection,
    pub(super) allocations: usize,
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Fault {
        let answered = refusal.rejection != Rejection::Silence;
        Fault::Refused { text: refusal.to_string(), answered }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (server, name) = (self.server, self.request.name());
        match self.rejection {
            Rejection::Credentials => write!(
                f,
                "{server} refuses the credentials (401 to {name}): wrong user, password or secret"
            ),
            Rejection::Silence => write!(
                f,
                "no answer to {name} from {server}: wrong address, a firewall, or a server that is \
                 down"
            ),
            Rejection::Nonsense => write!(
                f,
                "{server} answered {name} with success but without the attributes it must carry"
            ),
            Rejection::Code(code) => {
                let hint = hint(code, self.request, self.allocations);
                write!(f, "{server} answered {name} with {code}{hint}")
            }
        }
    }
}

/// What a code most likely means to someone who measures.
fn hint(code: u16, request: Request, allocations: usize) -> String {
    match code {
        437 if request != Request::Allocate => {
            ": it has no such allocation any more; it ran out, or somebody ended it".to_owned()
        }
        401 => ": it asks for credentials; give --user NAME:PASSWORD or --secret SECRET".to_owned(),
        403 => ": the peer address is forbidden; allow it (uturn: `allow-peers`, coturn: \
                `--allow-loopback-peers` or `--allowed-peer-ip`)"
            .to_owned(),
        437 => ": it still holds an allocation for one of our ports; wait, or let it run out"
            .to_owned(),
        438 => ": it never accepts its own nonce".to_owned(),
        440 => ": it has no relay address of that family; see --peer-ip".to_owned(),
        443 => ": the peer's address family is not that of the relayed address; see --peer-ip"
            .to_owned(),
        486 => format!(
            ": the user's quota is reached after {allocations} allocations; raise it or lower \
             --allocations"
        ),
        508 => format!(
            ": it has no more relay ports after {allocations} allocations, or is draining; widen \
             its port range, lower --allocations, or wait for it"
        ),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(rejection: Rejection) -> String {
        let server = "127.0.0.1:3478".parse().unwrap();
        let request = Request::Allocate;
        Refusal { server, request, rejection, allocations: 7 }.to_string()
    }

    #[test]
    fn an_allocation_that_is_gone_is_not_said_to_be_still_held() {
        let server = "127.0.0.1:3478".parse().unwrap();
        let (request, rejection) = (Request::Close, Rejection::Code(437));
        let line = Refusal { server, request, rejection, allocations: 7 }.to_string();
        assert!(line.contains("no such allocation any more"), "{line}");
    }

    #[test]
    fn every_refusal_is_one_line_that_names_the_way_out() {
        for (rejection, expected) in [
            (Rejection::Credentials, "wrong user, password"),
            (Rejection::Code(508), "port range"),
            (Rejection::Code(486), "quota is reached after 7"),
            (Rejection::Code(403), "--allow-loopback-peers"),
            (Rejection::Code(401), "--user"),
            (Rejection::Code(437), "still holds"),
            (Rejection::Silence, "no answer to Allocate from 127.0.0.1:3478"),
        ] {
            let line = line(rejection);
            assert!(line.contains(expected), "{line}");
            assert!(!line.contains('\n') && !line.contains("  "), "{line}");
        }
    }
}
