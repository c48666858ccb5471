//! With whom an allocation has had to do, for its record: the first few peers by address, and how
//! many more there were.

use std::net::IpAddr;

/// Peers that are kept by address.
const NAMED_MAX: usize = 8;

/// The peers an allocation was given permissions for or connected to, in the order they came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PeerLog {
    named: Vec<IpAddr>,
    more: u64,
}

impl PeerLog {
    /// A log that was written down; what is beyond its bound counts as more.
    pub(in crate::turn) fn from_parts(mut named: Vec<IpAddr>, more: u64) -> PeerLog {
        let beyond = named.len().saturating_sub(NAMED_MAX);
        named.truncate(NAMED_MAX);
        PeerLog { named, more: more.saturating_add(beyond as u64) }
    }

    /// The first eight peers, each once.
    pub fn named(&self) -> &[IpAddr] {
        &self.named
    }

    /// Permissions given to others after those, and connections to them; one that had expired and
    /// came again counts again.
    pub fn more(&self) -> u64 {
        self.more
    }

    /// Records a peer that has had no permission until now.
    pub(in crate::turn) fn record(&mut self, peer: IpAddr) {
        if self.named.contains(&peer) {
            return;
        }
        if self.named.len() < NAMED_MAX {
            self.named.push(peer);
        } else {
            self.more += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_eight_have_names_and_the_rest_a_number() {
        let mut peers = PeerLog::default();
        for last in [1, 2, 1, 3, 4, 5, 6, 7, 8, 8, 9, 10, 1] {
            peers.record(IpAddr::from([192, 0, 2, last]));
        }
        assert_eq!(peers.named().len(), NAMED_MAX);
        assert_eq!((peers.named()[7], peers.more()), (IpAddr::from([192, 0, 2, 8]), 2));
    }
}
