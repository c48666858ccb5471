//! Ranges of addresses, as coturn writes them, and the networks that cover exactly the same.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, IpSubnets, Ipv4Subnets, Ipv6Subnets};

/// Addresses of one family from the first to the last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Range {
    is_v4: bool,
    low: u128,
    high: u128,
}

/// A set of addresses; its ranges may overlap.
#[derive(Clone, Debug, Default)]
pub(super) struct AddressRanges(Vec<Range>);

impl AddressRanges {
    /// Adds `IP` or `LOW-HIGH`, or says why not.
    pub(super) fn add(&mut self, text: &str) -> Result<(), String> {
        let ip = |text: &str| {
            let wrong = |_| format!("'{text}' is not an IP address");
            text.trim().parse::<IpAddr>().map_err(wrong)
        };
        let (low, high) = text.split_once('-').unwrap_or((text, text));
        let (low, high) = (ip(low)?, ip(high)?);
        if low.is_ipv4() != high.is_ipv4() {
            return Err(format!("'{text}' begins and ends in different families"));
        }
        if high.is_unspecified() || low == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
            return Err(format!(
                "to coturn {} is no end at all, and '{text}' far more than it looks: write the \
                 network that is meant",
                if high.is_unspecified() { high } else { low }
            ));
        }
        if low > high {
            return Err(format!("'{text}' is reversed"));
        }
        self.0.push(Range { is_v4: low.is_ipv4(), low: number(low), high: number(high) });
        Ok(())
    }

    /// Adds a network.
    pub(super) fn add_network(&mut self, network: IpNet) {
        let (low, high) = (number(network.network()), number(network.broadcast()));
        self.0.push(Range { is_v4: network.addr().is_ipv4(), low, high });
    }

    /// Adds another set.
    pub(super) fn join(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Says whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Leaves those that are not in another set.
    pub(super) fn without(&self, others: &Self) -> Self {
        let cut =
            |left: Vec<Range>, other: &Range| left.iter().flat_map(|r| r.cut(other)).collect();
        Self(others.0.iter().fold(self.0.clone(), cut))
    }

    /// Covers the set with as few networks as can be, no address more and none less.
    pub(super) fn networks(&self) -> Vec<IpNet> {
        let networks: Vec<IpNet> = self.0.iter().flat_map(Range::networks).collect();
        IpNet::aggregate(&networks)
    }
}

impl Range {
    /// What is left when the other one is taken out: nothing, one piece or two.
    fn cut(&self, other: &Self) -> Vec<Self> {
        if self.is_v4 != other.is_v4 || other.high < self.low || self.high < other.low {
            return vec![*self];
        }
        let below = (self.low < other.low).then(|| Self { high: other.low - 1, ..*self });
        let above = (other.high < self.high).then(|| Self { low: other.high + 1, ..*self });
        below.into_iter().chain(above).collect()
    }

    fn networks(&self) -> IpSubnets {
        if self.is_v4 {
            let v4 = |bits| Ipv4Addr::from(u32::try_from(bits).expect("IPv4 has 32 bits"));
            return Ipv4Subnets::new(v4(self.low), v4(self.high), 0).into();
        }
        Ipv6Subnets::new(Ipv6Addr::from(self.low), Ipv6Addr::from(self.high), 0).into()
    }
}

fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{AddressRanges, IpNet, Ipv4Addr};

    fn set(texts: &[&str]) -> AddressRanges {
        let mut set = AddressRanges::default();
        texts.iter().for_each(|text| set.add(text).unwrap());
        set
    }

    fn words(addresses: &AddressRanges) -> Vec<String> {
        addresses.networks().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn ranges_become_the_networks_that_cover_them() {
        assert_eq!(words(&set(&["10.0.0.0-10.255.255.255"])), ["10.0.0.0/8"]);
        assert_eq!(words(&set(&["192.0.2.1"])), ["192.0.2.1/32"]);
        assert_eq!(
            words(&set(&["192.0.2.1-192.0.2.6"])),
            ["192.0.2.1/32", "192.0.2.2/31", "192.0.2.4/31", "192.0.2.6/32"]
        );
        assert_eq!(words(&set(&["0.0.0.0-255.255.255.255"])), ["0.0.0.0/0"]);
        let half = "8000::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        assert_eq!(words(&set(&[half])), ["8000::/1"]);
        assert_eq!(words(&set(&["fc00::-fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"])), ["fc00::/7"]);
    }

    #[test]
    fn what_is_taken_out_leaves_the_rest() {
        let rest = set(&["10.0.0.0-10.0.0.7"]).without(&set(&["10.0.0.4-10.0.0.5"]));
        assert_eq!(words(&rest), ["10.0.0.0/30", "10.0.0.6/31"]);
        let others = set(&["::1-ffff::", "10.0.0.0-10.0.0.255"]);
        assert_eq!(words(&set(&["10.0.0.9"]).without(&others)), [""; 0]);
    }

    #[test]
    fn what_is_no_range_is_told() {
        for text in ["10.0.0.0/8", "10.0.0.9-10.0.0.1", "10.0.0.1-::1", "example.org", ""] {
            assert!(AddressRanges::default().add(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_end_that_is_no_end_to_coturn_is_told() {
        for text in ["0.0.0.0", "::", "::-::1", "0::0-2001:db8::", "10.0.0.1-0.0.0.0", "::1-::"] {
            let told = AddressRanges::default().add(text).unwrap_err();
            assert!(told.contains("is no end at all"), "{text}: {told}");
        }
        assert_eq!(words(&set(&["0.0.0.0-0.255.255.255"])), ["0.0.0.0/8"]);
    }

    proptest! {
        #[test]
        fn an_address_is_covered_when_it_is_in_a_range_and_in_none_taken_out(
            ranges in prop::collection::vec((any::<u8>(), any::<u8>()), 0..5),
            taken in prop::collection::vec((any::<u8>(), any::<u8>()), 0..5),
        ) {
            let v4 = |last: u8| Ipv4Addr::new(255, 255, 255, last);
            let made = |ranges: &[(u8, u8)]| {
                let text = |(a, b): &(u8, u8)| format!("{}-{}", v4(*a.min(b)), v4(*a.max(b)));
                let texts: Vec<String> = ranges.iter().map(text).collect();
                set(&texts.iter().map(String::as_str).collect::<Vec<_>>())
            };
            let inside = |ranges: &[(u8, u8)], last: u8| {
                ranges.iter().any(|(a, b)| (*a.min(b)..=*a.max(b)).contains(&last))
            };
            let networks = made(&ranges).without(&made(&taken)).networks();
            for last in 0..=255 {
                let covered = networks.iter().any(|net: &IpNet| net.contains(&IpNet::from(
                    std::net::IpAddr::V4(v4(last)))));
                prop_assert_eq!(covered, inside(&ranges, last) && !inside(&taken, last));
            }
        }
    }
}
