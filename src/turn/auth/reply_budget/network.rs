//! The networks whose addresses share a rate.

use std::net::IpAddr;

use ipnet::IpNet;

/// What one network holds.
pub(super) const IPV4_NETWORK_LEN: u8 = 24;

/// What one customer holds.
pub(super) const IPV6_NETWORK_LEN: u8 = 56;

/// The network whose addresses share a rate.
pub(super) fn network(ip: IpAddr) -> IpNet {
    match ip {
        IpAddr::V4(_) => shortened(ip, IPV4_NETWORK_LEN),
        IpAddr::V6(_) => shortened(ip, IPV6_NETWORK_LEN),
    }
}

fn shortened(ip: IpAddr, prefix_len: u8) -> IpNet {
    IpNet::new_assert(ip, prefix_len).trunc()
}
