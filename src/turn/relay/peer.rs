//! Peers in one form, so that one peer has one permission and one channel.

use std::net::SocketAddr;

/// An IPv4-mapped address becomes the IPv4 address it is; flow label and scope are left out.
pub(in crate::turn) fn canonical(peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(peer.ip().to_canonical(), peer.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_peer_has_one_form() {
        let mapped: SocketAddr = "[::ffff:192.0.2.1]:7".parse().unwrap();
        assert_eq!(canonical(mapped), "192.0.2.1:7".parse().unwrap());
        let scoped: SocketAddr = "[fe80::1%3]:7".parse().unwrap();
        assert_eq!(canonical(scoped), "[fe80::1]:7".parse().unwrap());
    }
}
