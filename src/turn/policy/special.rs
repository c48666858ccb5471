//! The ranges that are closed unless the operator opens them.
//!
//! From the IANA special-purpose address registries (RFC 6890) of IPv4 and IPv6, whether marked
//! globally reachable or not: no peer of a call lives in any of them. For IPv6, also everything
//! outside of 2000::/3, which is all of it that has been given out as global unicast. And what
//! clouds offer to their own machines at addresses that look public and that no registry lists: it
//! trusts whoever asks, because only a machine of that cloud can.

use ipnet::IpNet;

use super::ranges::RangeSet;

const SPECIAL: [&str; 30] = [
    "0.0.0.0/8",         // this network, RFC 791
    "10.0.0.0/8",        // private use, RFC 1918
    "100.64.0.0/10",     // shared by carrier-grade NAT, RFC 6598
    "127.0.0.0/8",       // loopback, RFC 1122
    "161.26.0.0/16",     // IBM Cloud's resolvers, clocks and mirrors
    "166.8.0.0/14",      // IBM Cloud's service endpoints
    "168.63.129.16/32",  // Azure's host: resolver, DHCP, agent
    "169.254.0.0/16",    // link-local and cloud metadata, RFC 3927
    "172.16.0.0/12",     // private use, RFC 1918
    "192.0.0.0/24",      // protocol assignments, RFC 6890
    "192.0.2.0/24",      // documentation, RFC 5737
    "192.31.196.0/24",   // AS112, RFC 7535
    "192.52.193.0/24",   // AMT, RFC 7450
    "192.88.99.0/24",    // 6to4 relay anycast, RFC 7526
    "192.168.0.0/16",    // private use, RFC 1918
    "192.175.48.0/24",   // AS112, RFC 7534
    "198.18.0.0/15",     // benchmarking, RFC 2544
    "198.51.100.0/24",   // documentation, RFC 5737
    "203.0.113.0/24",    // documentation, RFC 5737
    "224.0.0.0/4",       // multicast, RFC 5771
    "240.0.0.0/4",       // reserved, and the broadcast address, RFC 1112 and RFC 919
    "::/3",              // loopback, unspecified, IPv4 inside, discard (100::/64), RFC 4291
    "2001::/23",         // protocol assignments: benchmarking, ORCHID, AMT, anycasts, RFC 2928
    "2001:db8::/32",     // documentation, RFC 3849
    "2620:4f:8000::/48", // AS112, RFC 7534
    "3fff::/20",         // documentation, RFC 9637
    "4000::/2",          // not given out; segment routing (5f00::/16), RFC 9602
    "8000::/2",          // not given out
    "c000::/3",          // not given out
    "e000::/3",          // unique local, link-local, site-local, multicast, RFC 4291 and RFC 4193
];

/// Parts of those that are as open as the IPv4 addresses inside.
const OPEN: [&str; 2] = [
    "64:ff9b::/96", // NAT64, RFC 6052: how a relay with IPv6 alone reaches IPv4 peers
    "2001::/32",    // Teredo, RFC 4380
];

/// The special ranges.
pub(super) fn ranges() -> RangeSet {
    RangeSet::of(&parse(&SPECIAL)).without(&RangeSet::of(&parse(&OPEN)))
}

fn parse(nets: &[&str]) -> Vec<IpNet> {
    nets.iter().map(|net| net.parse().expect("the lists above are prefixes")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prefix_is_written_without_host_bits() {
        for net in parse(&SPECIAL).iter().chain(&parse(&OPEN)) {
            assert_eq!(net.addr(), net.network());
        }
    }
}
