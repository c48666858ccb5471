//! Sets of addresses as sorted ranges of 128-bit numbers.

use std::net::IpAddr;

use ipnet::IpNet;

/// First address of `::ffff:0:0/96`, where IPv4 stands in the canonical form.
const IPV4_FIRST: u128 = 0xFFFF_0000_0000;
const IPV4_LAST: u128 = 0xFFFF_FFFF_FFFF;

/// The one form addresses are compared in: IPv6 as it is, IPv4 as IPv4-mapped IPv6.
pub(super) fn canonical(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => canonical_v4(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The canonical form of the bits of an IPv4 address.
pub(super) const fn canonical_v4(bits: u32) -> u128 {
    IPV4_FIRST | bits as u128
}

/// First and last address of a prefix, in canonical form.
pub(super) fn range_of(net: &IpNet) -> (u128, u128) {
    (canonical(net.network()), canonical(net.broadcast()))
}

/// A set of canonical addresses: disjoint ranges in ascending order, both ends included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RangeSet(Vec<(u128, u128)>);

impl RangeSet {
    /// The union of some prefixes. An IPv6 prefix wider than `::ffff:0:0/96` speaks of IPv6 alone.
    pub(super) fn of<'n>(nets: impl IntoIterator<Item = &'n IpNet>) -> RangeSet {
        let pieces = nets.into_iter().map(range_of).flat_map(|range @ (first, last)| {
            let covers_ipv4 = first <= IPV4_FIRST && last >= IPV4_LAST;
            let is_wider = range != (IPV4_FIRST, IPV4_LAST);
            if covers_ipv4 && is_wider {
                cut(range, IPV4_FIRST, IPV4_LAST)
            } else {
                [Some(range), None]
            }
        });
        RangeSet::union(pieces.flatten().collect())
    }

    fn union(mut ranges: Vec<(u128, u128)>) -> RangeSet {
        ranges.sort_unstable();
        let mut union: Vec<(u128, u128)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match union.last_mut() {
                Some(before) if first <= before.1 => before.1 = before.1.max(last),
                Some(_) | None => union.push((first, last)),
            }
        }
        RangeSet(union)
    }

    /// This set and some prefixes.
    pub(super) fn with(mut self, nets: &[IpNet]) -> RangeSet {
        self.0.extend(RangeSet::of(nets).0);
        RangeSet::union(self.0)
    }

    /// This set less another.
    pub(super) fn without(&self, holes: &RangeSet) -> RangeSet {
        let mut rest = self.0.clone();
        for &(hole_first, hole_last) in &holes.0 {
            rest = rest
                .iter()
                .flat_map(|&range| cut(range, hole_first, hole_last))
                .flatten()
                .collect();
        }
        RangeSet(rest)
    }

    /// True when the address is in one of the ranges.
    pub(super) fn contains(&self, address: u128) -> bool {
        let behind = self.0.partition_point(|&(first, _)| first <= address);
        behind.checked_sub(1).is_some_and(|at| address <= self.0[at].1)
    }
}

/// What is left of a range on both sides of a hole.
fn cut(
    (first, last): (u128, u128),
    hole_first: u128,
    hole_last: u128,
) -> [Option<(u128, u128)>; 2] {
    let before = hole_first.checked_sub(1).map(|end| (first, last.min(end)));
    let after = hole_last.checked_add(1).map(|begin| (first.max(begin), last));
    [before, after].map(|rest| rest.filter(|(first, last)| first <= last))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::{prop, proptest};

    use super::*;

    proptest! {
        #[test]
        fn union_and_difference_are_those_of_sets(
            plus in prop::collection::vec((0_u8..60, 0_u8..60), 0..8),
            minus in prop::collection::vec((0_u8..60, 0_u8..60), 0..8),
        ) {
            let set = |ranges: &[(u8, u8)]| {
                let ordered = ranges.iter().map(|&(a, b)| (a.min(b).into(), a.max(b).into()));
                RangeSet::union(ordered.collect())
            };
            let is_in = |ranges: &[(u8, u8)], n: u8| {
                ranges.iter().any(|&(a, b)| (a.min(b)..=a.max(b)).contains(&n))
            };
            let difference = set(&plus).without(&set(&minus));
            for n in 0..=60_u8 {
                assert_eq!(set(&plus).contains(n.into()), is_in(&plus, n));
                assert_eq!(difference.contains(n.into()), is_in(&plus, n) && !is_in(&minus, n));
            }
        }

        #[test]
        fn an_ipv4_prefix_contains_what_it_says(a: Ipv4Addr, b: Ipv4Addr, len in 0_u8..=32) {
            let net = IpNet::new(a.into(), len).unwrap();
            let set = RangeSet::of([&net]);
            assert!(set.contains(canonical(a.into())));
            assert_eq!(set.contains(canonical(b.into())), net.contains(&IpAddr::V4(b)));
        }

        #[test]
        fn an_ipv6_prefix_contains_what_it_says_and_no_ipv4(
            bits: u64, high: bool, flipped in 0..128, len in 0_u8..=128,
        ) {
            let address = Ipv6Addr::from_bits(u128::from(bits) << if high { 64 } else { 0 });
            let other = Ipv6Addr::from_bits(address.to_bits() ^ 1_u128 << flipped);
            let net = IpNet::new(address.into(), len).unwrap();
            for one in [address, other] {
                let is_said = net.contains(&IpAddr::V6(one));
                let counts = len >= 96 || one.to_ipv4_mapped().is_none();
                assert_eq!(RangeSet::of([&net]).contains(one.to_bits()), is_said && counts);
            }
        }
    }

    #[test]
    fn the_ends_of_the_number_line_are_addresses_too() {
        let all = RangeSet::of([&"::/0".parse().unwrap()]);
        assert!(all.contains(0) && all.contains(u128::MAX));
        let last = RangeSet::of([&"ffff::/16".parse().unwrap()]);
        assert!(!all.without(&last).contains(u128::MAX));
        assert!(all.without(&last).contains(0));
    }
}
