//! Which peers a client may reach through the relay.
//!
//! A relay stands inside somebody's network: what it would not be let to reach for a stranger from
//! outside, it must not reach for a stranger through itself. Every address is judged in one
//! canonical 16-byte form, in which IPv4 is `::ffff:a.b.c.d`, and together with every IPv4 address
//! it carries inside, for a translator or a tunnel on the way would unpack it.
//!
//! Law, in this order:
//!
//! 1. An address is denied when a deny entry covers it or an IPv4 address inside it.
//! 2. The address itself must be covered by an allow entry, or be none of the special ranges.
//! 3. Each IPv4 address inside must be none of the special ranges, or the address must be covered
//!    by an allow entry that lies wholly within the embedding's own prefix.
//!
//! So `10.0.0.0/8` opens 10.0.0.1 and `::ffff:10.0.0.1`, which are one address, but not
//! `64:ff9b::10.0.0.1`: what a translator calls 10.0.0.1 may be another host, and it takes
//! `64:ff9b::/96` or a part of it to say that it is meant. `::/0` opens loopback, but neither IPv4
//! nor what hides an IPv4 address.
//!
//! The addresses of the machine are special ranges, too, whatever network they are in: behind them
//! are services that trust the machine itself, and a packet from the relay comes from the machine.

pub(super) mod alternates;
mod embedded;
#[cfg(test)]
mod oracle;
pub(super) mod quota;
mod ranges;
mod special;

use std::net::IpAddr;

use ipnet::IpNet;

use embedded::{Embedding, embedded};
use ranges::{RangeSet, canonical, range_of};

/// What the policy says of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// It may be reached.
    Allowed,
    /// A deny entry of the operator covers it.
    DeniedExplicitly,
    /// It is in a special range, or an address of this machine, and no allow entry opens it.
    DeniedByDefault,
}

/// The operator's lists, the built-in one and the machine's own addresses, prepared for being asked
/// often: sorted ranges, no allocation, a handful of binary searches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerPolicy {
    allow: RangeSet,
    deny: RangeSet,
    /// The built-in ranges and the machine's own addresses.
    special: RangeSet,
    /// For each embedding, the allow entries that name a part of it.
    opened: [RangeSet; Embedding::ALL.len()],
}

impl PeerPolicy {
    /// Prepares a policy. `own` is everything that leads to this machine: the addresses of its
    /// interfaces, whole networks that are routed to it, and the public names it has behind a NAT.
    pub fn new(allow: &[IpNet], deny: &[IpNet], own: &[IpNet]) -> PeerPolicy {
        PeerPolicy {
            allow: RangeSet::of(allow),
            deny: RangeSet::of(deny),
            special: special::ranges().with(own),
            opened: Embedding::ALL.map(|form| opened(allow, form)),
        }
    }

    /// Judges a peer by its address, as a permission does (RFC 8656 §9).
    pub fn judge(&self, peer: IpAddr) -> Judgement {
        let peer = canonical(peer);
        if self.is_denied(peer) {
            Judgement::DeniedExplicitly
        } else if self.is_open(peer) && self.is_open_inside(peer) {
            Judgement::Allowed
        } else {
            Judgement::DeniedByDefault
        }
    }

    fn is_denied(&self, peer: u128) -> bool {
        self.deny.contains(peer) || embedded(peer).any(|(_, inside)| self.deny.contains(inside))
    }

    fn is_open(&self, peer: u128) -> bool {
        self.allow.contains(peer) || !self.special.contains(peer)
    }

    fn is_open_inside(&self, peer: u128) -> bool {
        embedded(peer).all(|(form, inside)| {
            !self.special.contains(inside) || self.opened[form as usize].contains(peer)
        })
    }
}

/// The allow entries that lie wholly within the prefix of an embedding.
fn opened(allow: &[IpNet], form: Embedding) -> RangeSet {
    let within = allow.iter().filter(|entry| {
        let canonical_prefix_len = match entry {
            IpNet::V4(entry) => 96 + entry.prefix_len(),
            IpNet::V6(entry) => entry.prefix_len(),
        };
        canonical_prefix_len >= form.prefix_len() && form.covers(range_of(entry).1)
    });
    RangeSet::of(within)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(list: &[&str]) -> Vec<IpNet> {
        list.iter().map(|net| net.parse().unwrap()).collect()
    }

    fn policy(allow: &[&str], deny: &[&str]) -> PeerPolicy {
        PeerPolicy::new(&nets(allow), &nets(deny), &[])
    }

    #[track_caller]
    fn expect(policy: &PeerPolicy, judgement: Judgement, peers: &[&str]) {
        for peer in peers {
            assert_eq!(policy.judge(peer.parse().unwrap()), judgement, "{peer}");
        }
    }

    #[test]
    fn the_internet_is_open() {
        expect(
            &policy(&[], &[]),
            Judgement::Allowed,
            &[
                "8.8.8.8",
                "1.1.1.1",
                "100.63.255.255",
                "100.128.0.0",
                "172.15.255.255",
                "172.32.0.0",
                "169.253.255.255",
                "192.0.1.0",
                "192.167.255.255",
                "198.17.255.255",
                "198.20.0.0",
                "223.255.255.255",
                "::ffff:8.8.8.8",
                "2a00:1450:4001::1",
                "2606:4700::1111",
                "64:ff9b::8.8.8.8",
                "2002:808:808::1",
                "2001:0:808:808::f7f7:f7f7",
                "2001:200::1",
                "2620:4f:7fff::1",
                "3ffe::1",
                "2a00::200:5efe:808:808",
            ],
        );
    }

    #[test]
    fn every_known_way_around_is_closed() {
        expect(
            &policy(&[], &[]),
            Judgement::DeniedByDefault,
            &[
                // Plain IPv4.
                "0.0.0.0",
                "0.1.2.3",
                "10.0.0.1",
                "100.64.0.1",
                "127.0.0.1",
                "127.255.255.254",
                "169.254.169.254",
                "172.16.0.1",
                "172.31.255.255",
                "192.0.0.8",
                "192.0.0.170",
                "192.0.2.1",
                "192.31.196.1",
                "192.52.193.1",
                "192.88.99.1",
                "192.168.0.1",
                "192.175.48.1",
                "198.18.0.1",
                "198.19.255.255",
                "198.51.100.1",
                "203.0.113.1",
                "224.0.0.1",
                "239.255.255.255",
                "240.0.0.1",
                "255.255.255.255",
                // Plain IPv6.
                "::",
                "::1",
                "100::1",
                "100:0:0:1::1",
                "2001:1::1",
                "2001:2::1",
                "2001:10::1",
                "2001:20::1",
                "2001:db8::1",
                "2620:4f:8000::1",
                "3fff::1",
                "5f00::1",
                "fc00::1",
                "fd00:ec2::254",
                "fe80::1",
                "febf::1",
                "fec0::1",
                "feff::1",
                "ff02::1",
                "ff0e::1",
                "4000::1",
                "::7fff:0:1",
                "0:0:1::",
                // IPv4-mapped, IPv4-compatible, IPv4-translated.
                "::ffff:127.0.0.1",
                "::ffff:10.0.0.1",
                "::ffff:0.0.0.0",
                "::ffff:169.254.169.254",
                "::127.0.0.1",
                "::10.0.0.1",
                "::8.8.8.8",
                "::ffff:0:127.0.0.1",
                "::ffff:0:8.8.8.8",
                // NAT64, the well-known prefix and the local one in each layout of RFC 6052 §2.2.
                "64:ff9b::127.0.0.1",
                "64:ff9b::10.0.0.1",
                "64:ff9b::169.254.169.254",
                "64:ff9b:1::1",
                "64:ff9b:1:808:8:800::",
                "64:ff9b:1:7f00:0:100::",
                "64:ff9b:1:a::10.0.0.1",
                "64:ff9b:0:1::8.8.8.8",
                "64:ff9b::1:808:808",
                // 6to4.
                "2002:7f00:1::",
                "2002:a00:1::1",
                "2002:c0a8:1:1:2:3:4:5",
                "2002:a9fe:a9fe::",
                // Teredo: a private server, a private client.
                "2001:0:a00:1::f7f7:f7f7",
                "2001:0:808:808::80ff:fffe",
                "2001:0:808:808::f5ff:fffe",
                // ISATAP, with and without the universal bit.
                "2a00::5efe:7f00:1",
                "2a00::200:5efe:a00:1",
                "2a00:1:2:3:100:5efe:c0a8:1",
                // One within the other.
                "2002:808:808::5efe:10.0.0.1",
                "2002:a00:1::5efe:8.8.8.8",
            ],
        );
    }

    #[test]
    fn deny_wins_over_allow_and_allow_over_the_default() {
        let policy = policy(&["10.0.0.0/8", "fd00::/8"], &["10.1.0.0/16", "8.8.8.0/24"]);
        expect(&policy, Judgement::Allowed, &["10.0.0.1", "::ffff:10.0.0.1", "fd00::1"]);
        expect(
            &policy,
            Judgement::DeniedExplicitly,
            &[
                "10.1.0.1",
                "::ffff:10.1.0.1",
                "8.8.8.8",
                "::8.8.8.8",
                "64:ff9b::8.8.8.8",
                "2002:808:808::",
                "2001:0:808:808::1",
                "2001:0:1::f7f7:f7f7",
                "2a00::5efe:808:808",
                "64:ff9b:1:808:8:800::",
                "64:ff9b:1:2::8.8.8.8",
                "64:ff9b:1:8:8:808::",
                "64:ff9b:1:0:8:808:800:0",
            ],
        );
        expect(&policy, Judgement::DeniedByDefault, &["127.0.0.1", "fc00::1", "192.168.0.1"]);
    }

    #[test]
    fn an_ipv4_entry_opens_no_tunnel_and_no_translator() {
        expect(
            &policy(&["10.0.0.0/8", "0.0.0.0/0"], &[]),
            Judgement::DeniedByDefault,
            &[
                "64:ff9b::10.0.0.1",
                "2002:a00:1::",
                "2001:0:a00:1::f7f7:f7f7",
                "::10.0.0.1",
                "2a00::5efe:10.0.0.1",
                "::1",
            ],
        );
    }

    #[test]
    fn a_wide_ipv6_entry_opens_nothing_that_hides_ipv4() {
        let policy = policy(&["::/0"], &[]);
        expect(&policy, Judgement::Allowed, &["::1", "fe80::1", "fd00::1", "64:ff9b::8.8.8.8"]);
        expect(
            &policy,
            Judgement::DeniedByDefault,
            &[
                "127.0.0.1",
                "::ffff:127.0.0.1",
                "::127.0.0.1",
                "64:ff9b::127.0.0.1",
                "2002:7f00:1::",
                "fd00::5efe:127.0.0.1",
            ],
        );
    }

    #[test]
    fn an_entry_within_the_embedding_opens_it() {
        let wide = policy(&["64:ff9b::/96", "64:ff9b:1::/48", "2002::/16"], &["10.1.0.0/16"]);
        let open = ["64:ff9b::10.0.0.1", "64:ff9b:1:a00:0:100::", "2002:a00:1::1"];
        expect(&wide, Judgement::Allowed, &open);
        expect(&wide, Judgement::DeniedExplicitly, &["64:ff9b::10.1.0.1", "2002:a01:1::1"]);
        expect(&wide, Judgement::DeniedByDefault, &["2002:a00:1::5efe:10.0.0.1", "10.0.0.1"]);
        let narrow = policy(&["64:ff9b::10.0.0.0/104"], &[]);
        expect(&narrow, Judgement::Allowed, &["64:ff9b::10.0.0.1"]);
        expect(&narrow, Judgement::DeniedByDefault, &["64:ff9b::127.0.0.1"]);
    }

    #[test]
    fn an_entry_written_as_mapped_is_an_ipv4_entry() {
        let policy = policy(&["::ffff:10.0.0.0/104"], &["::ffff:8.8.8.8/128"]);
        expect(&policy, Judgement::Allowed, &["10.255.0.1", "::ffff:10.0.0.1"]);
        expect(&policy, Judgement::DeniedExplicitly, &["8.8.8.8", "64:ff9b::8.8.8.8"]);
    }

    #[test]
    fn denying_all_of_one_family_leaves_the_other() {
        expect(&policy(&[], &["::/0"]), Judgement::Allowed, &["8.8.8.8", "::ffff:8.8.8.8"]);
        expect(&policy(&[], &["0.0.0.0/0"]), Judgement::Allowed, &["2a00::1"]);
        expect(&policy(&[], &["0.0.0.0/0"]), Judgement::DeniedExplicitly, &["64:ff9b::8.8.8.8"]);
    }

    // Behind each of them is something that trusts whoever can reach it at all.
    #[test]
    fn every_clouds_metadata_and_host_services_are_closed() {
        for (cloud, address) in [
            ("AWS, GCP, Azure and others: metadata", "169.254.169.254"),
            ("AWS: resolver", "169.254.169.253"),
            ("AWS: clock", "169.254.169.123"),
            ("AWS ECS: credentials", "169.254.170.2"),
            ("AWS EKS: credentials", "169.254.170.23"),
            ("AWS: metadata", "fd00:ec2::254"),
            ("AWS: resolver", "fd00:ec2::253"),
            ("AWS: clock", "fd00:ec2::123"),
            ("AWS EKS: credentials", "fd00:ec2::23"),
            ("GCP: metadata", "fd20:ce::254"),
            ("Azure: host services", "168.63.129.16"),
            ("Oracle: metadata", "192.0.0.192"),
            ("Alibaba: metadata", "100.100.100.200"),
            ("Alibaba: resolver", "100.100.2.136"),
            ("Tencent: metadata", "169.254.0.23"),
            ("Scaleway: metadata", "169.254.42.42"),
            ("Scaleway: metadata", "fd00:42::42"),
            ("OpenStack: metadata", "fe80::a9fe:a9fe"),
            ("IBM: resolver", "161.26.0.10"),
            ("IBM: clock", "161.26.0.6"),
            ("IBM: service endpoints", "166.9.1.1"),
        ] {
            let judge = |text: &str| policy(&[], &[]).judge(text.parse().unwrap());
            assert_eq!(judge(address), Judgement::DeniedByDefault, "{cloud} {address}");
            if !address.contains(':') {
                let translated = format!("64:ff9b::{address}");
                assert_eq!(judge(&translated), Judgement::DeniedByDefault, "{cloud} {translated}");
            }
        }
        let beside = ["168.63.129.15", "168.63.129.17", "161.25.255.255", "166.12.0.0"];
        expect(&policy(&[], &[]), Judgement::Allowed, &beside);
    }

    #[test]
    fn the_machines_addresses_are_closed_in_every_form_and_their_neighbours_are_not() {
        let own = nets(&["8.8.8.8/32", "2a00::1/128", "9.9.9.0/24"]);
        let closed = PeerPolicy::new(&[], &[], &own);
        let ways = ["8.8.8.8", "::ffff:8.8.8.8", "2a00::1", "64:ff9b::8.8.8.8", "2002:808:808::1"];
        expect(&closed, Judgement::DeniedByDefault, &ways);
        expect(&closed, Judgement::DeniedByDefault, &["9.9.9.0", "9.9.9.255", "64:ff9b::9.9.9.9"]);
        expect(&closed, Judgement::Allowed, &["8.8.8.7", "8.8.8.9", "2a00::2", "9.9.8.255"]);
    }

    #[test]
    fn an_allow_entry_opens_an_address_of_the_machine_and_a_deny_entry_closes_it_again() {
        let own = nets(&["8.8.8.8/32", "8.8.4.4/32"]);
        let opened = PeerPolicy::new(&nets(&["8.8.8.8/32"]), &[], &own);
        expect(&opened, Judgement::Allowed, &["8.8.8.8", "::ffff:8.8.8.8"]);
        expect(&opened, Judgement::DeniedByDefault, &["8.8.4.4", "64:ff9b::8.8.8.8"]);
        let denied = PeerPolicy::new(&nets(&["8.8.8.8/32"]), &nets(&["8.8.8.0/24"]), &own);
        expect(&denied, Judgement::DeniedExplicitly, &["8.8.8.8"]);
    }
}
