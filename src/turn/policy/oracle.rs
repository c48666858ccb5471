//! A slow second opinion on peers, written from the RFCs byte by byte and sharing no line with the
//! policy: no ranges, no masks, no tables of prefixes.
//!
//! A run compares some 350,000 addresses. Ten million and more:
//!
//! ```text
//! PROPTEST_CASES=12000 cargo test --release agrees_with_the_oracle
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};

use super::{Judgement, PeerPolicy};

/// An entry of a list, with IPv4-mapped prefixes taken for what they mean.
fn plain(net: &IpNet) -> IpNet {
    let IpNet::V6(v6) = net else { return *net };
    match v6.addr().to_ipv4_mapped() {
        Some(v4) if v6.prefix_len() >= 96 => {
            IpNet::V4(Ipv4Net::new(v4, v6.prefix_len() - 96).unwrap())
        }
        Some(_) | None => *net,
    }
}

fn lists(list: &[IpNet], address: IpAddr) -> bool {
    list.iter().any(|net| plain(net).contains(&address))
}

fn special_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || a == 0
        || a >= 224
        || (a == 100 && b / 64 == 1)
        || (a == 198 && (b == 18 || b == 19))
        || (a == 192 && (b, c) == (0, 0))
        || (a == 161 && b == 26)
        || (a == 166 && (8..12).contains(&b))
        || address.octets() == [168, 63, 129, 16]
        || matches!((a, b, c), (192, 31, 196) | (192, 52, 193) | (192, 88, 99) | (192, 175, 48))
}

fn special_v6(address: Ipv6Addr) -> bool {
    let s = address.segments();
    match s[0] {
        0x0064 => s[1..6] != [0xFF9B, 0, 0, 0, 0],
        0x2001 => (1..0x200).contains(&s[1]) || s[1] == 0xDB8,
        0x2620 => (s[1], s[2]) == (0x4F, 0x8000),
        0x3FFF => s[1] < 0x1000,
        first => !(0x2000..0x4000).contains(&first),
    }
}

/// Each IPv4 address inside, with the length of the prefix that names its form.
fn inside(address: Ipv6Addr) -> Vec<(u8, Ipv4Addr)> {
    let o = address.octets();
    let s = address.segments();
    let at = |places: [usize; 4]| Ipv4Addr::from(places.map(|place| o[place]));
    let mut found = Vec::new();
    if s[..6] == [0; 6] && s[6] != 0 {
        found.push((96, at([12, 13, 14, 15])));
    }
    if s[..6] == [0, 0, 0, 0, 0xFFFF, 0] || s[..6] == [0x64, 0xFF9B, 0, 0, 0, 0] {
        found.push((96, at([12, 13, 14, 15])));
    }
    if s[..3] == [0x64, 0xFF9B, 1] {
        let places = [[6, 7, 9, 10], [7, 9, 10, 11], [9, 10, 11, 12], [12, 13, 14, 15]];
        found.extend(places.map(|places| (48, at(places))));
    }
    if s[0] == 0x2002 {
        found.push((16, at([2, 3, 4, 5])));
    }
    if s[..2] == [0x2001, 0] {
        found.push((32, at([4, 5, 6, 7])));
        found.push((32, Ipv4Addr::from([!o[12], !o[13], !o[14], !o[15]])));
    }
    if matches!(o[8..12], [0..=3, 0, 0x5E, 0xFE]) {
        found.push((96, at([12, 13, 14, 15])));
    }
    found
}

/// What the operator wrote and where the machine is.
#[derive(Debug, Default)]
struct Lists {
    allow: Vec<IpNet>,
    deny: Vec<IpNet>,
    own: Vec<IpNet>,
}

impl Lists {
    fn policy(&self) -> PeerPolicy {
        PeerPolicy::new(&self.allow, &self.deny, &self.own)
    }

    fn opinion(&self, peer: IpAddr) -> Judgement {
        let peer = peer.to_canonical();
        let insides = match peer {
            IpAddr::V4(_) => Vec::new(),
            IpAddr::V6(peer) => inside(peer),
        };
        if lists(&self.deny, peer) || insides.iter().any(|&(_, v4)| lists(&self.deny, v4.into())) {
            return Judgement::DeniedExplicitly;
        }
        let names_the_form =
            |len| self.allow.iter().any(|net| net.prefix_len() >= len && lists(&[*net], peer));
        let closed_inside =
            |&(len, v4): &(u8, Ipv4Addr)| self.closes(v4.into()) && !names_the_form(len);
        let closed = self.closes(peer) && !lists(&self.allow, peer);
        if closed || insides.iter().any(closed_inside) {
            return Judgement::DeniedByDefault;
        }
        Judgement::Allowed
    }

    fn closes(&self, address: IpAddr) -> bool {
        let special = match address {
            IpAddr::V4(address) => special_v4(address),
            IpAddr::V6(address) => special_v6(address),
        };
        special || lists(&self.own, address)
    }
}

/// IPv4 addresses, most of them in or next to a special range.
fn v4() -> impl Strategy<Value = Ipv4Addr> {
    let first = prop_oneof![
        any::<u8>(),
        prop::sample::select(vec![
            0, 8, 10, 100, 127, 161, 166, 168, 169, 172, 192, 198, 203, 224, 240, 255
        ]),
    ];
    let second = prop_oneof![
        any::<u8>(),
        prop::sample::select(vec![0, 8, 11, 16, 18, 26, 31, 51, 52, 63, 64, 88, 168, 175, 254]),
    ];
    let third =
        prop_oneof![any::<u8>(), prop::sample::select(vec![0, 2, 48, 99, 100, 113, 129, 193, 196])];
    let fourth = prop_oneof![any::<u8>(), Just(16)];
    (first, second, third, fourth).prop_map(|(a, b, c, d)| Ipv4Addr::new(a, b, c, d))
}

/// IPv6 addresses with one or more IPv4 addresses where some form might look for them.
fn v6() -> impl Strategy<Value = Ipv6Addr> {
    let front = prop::sample::select(vec![
        "::",
        "::ffff:0:0",
        "::ffff:0:0:0",
        "64:ff9b::",
        "64:ff9b:1::",
        "64:ff9b:0:1::",
        "2001::",
        "2001:1::",
        "2001:db8::",
        "2001:1ff::",
        "2001:200::",
        "2002::",
        "2620:4f:8000::",
        "3fff::",
        "3fff:1000::",
        "2a00::",
        "100::",
        "5f00::",
        "fc00::",
        "fe80::",
        "fec0::",
        "ff02::",
        "e000::",
    ]);
    let places = prop::collection::vec((prop::sample::select(vec![2, 4, 6, 7, 9, 12]), v4()), 0..3);
    let marker = prop_oneof![Just(None), prop::sample::select(vec![0, 1, 2, 3, 4]).prop_map(Some)];
    (front, places, marker, any::<bool>()).prop_map(|(front, places, marker, flip)| {
        let mut octets = front.parse::<Ipv6Addr>().unwrap().octets();
        for (place, v4) in places {
            octets[place..place + 4].copy_from_slice(&v4.octets());
        }
        if let Some(first) = marker {
            octets[8..12].copy_from_slice(&[first, 0, 0x5E, 0xFE]);
        }
        if flip {
            octets[12..].iter_mut().for_each(|octet| *octet = !*octet);
        }
        Ipv6Addr::from(octets)
    })
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        v4().prop_map(IpAddr::V4),
        v6().prop_map(IpAddr::V6),
        any::<IpAddr>(),
        v4().prop_map(|v4| IpAddr::V6(v4.to_ipv6_mapped())),
    ]
}

fn net() -> impl Strategy<Value = IpNet> {
    (address(), any::<prop::sample::Index>()).prop_map(|(address, len)| match address {
        IpAddr::V4(v4) => IpNet::V4(Ipv4Net::new(v4, len.index(33) as u8).unwrap()),
        IpAddr::V6(v6) => IpNet::V6(Ipv6Net::new(v6, len.index(129) as u8).unwrap()),
    })
}

fn some_lists() -> impl Strategy<Value = Lists> {
    let nets = |most| prop::collection::vec(net(), 0..most);
    (nets(4), nets(2), nets(3)).prop_map(|(allow, deny, own)| Lists { allow, deny, own })
}

/// An IPv4 address in every embedding there is, one within another too; `noise` fills the bits that
/// an embedding leaves open.
fn wrapped(v4: Ipv4Addr, noise: u128) -> [u128; 19] {
    let bits = u128::from(v4.to_bits());
    let (low_96, low_64, low_80) = (noise >> 32, noise >> 64, noise >> 48);
    let (high, low_24, low_16) = (bits >> 16, bits & 0xFF_FFFF, bits & 0xFFFF);
    let local = 0x0064_FF9B_0001 << 80;
    let isatap = |front: u128, marker: u128| front << 64 | marker << 56 | 0x5EFE << 32 | bits;
    let six_to_four = 0x2002 << 112 | bits << 80;
    [
        bits,
        0xFFFF_0000_0000 | bits,
        0xFFFF_0000 << 32 | bits,
        0x0064_FF9B << 96 | bits,
        local | low_80 >> 32 << 32 | bits,
        local | high << 64 | low_16 << 40 | low_80 & 0xFF_FFFF_FFFF,
        local | (noise & 0xFF) << 72 | bits >> 24 << 64 | low_24 << 32 | low_80 & 0xFFFF_FFFF,
        local | (noise & 0xFFFF) << 64 | bits << 24 | noise & 0xFF_FFFF,
        six_to_four | low_80,
        six_to_four,
        0x2001_0000 << 96 | bits << 64 | low_64,
        0x2001_0000_0808_0808 << 64 | low_64 >> 32 << 32 | !bits & 0xFFFF_FFFF,
        0x2001_0000 << 96 | bits << 64 | 0xF7F7_F7F7,
        isatap(low_64, 0),
        isatap(0x2A00 << 48, 1),
        isatap(0xFE80 << 48, 2),
        isatap(0x2002 << 48 | low_96 >> 48, 3),
        isatap(0x2002_0808_0808_0000, 0),
        six_to_four | 0x5EFE_0808_0808,
    ]
}

proptest! {
    #[test]
    fn every_embedding_agrees_with_the_oracle(
        lists in some_lists(),
        peers in prop::collection::vec((v4(), any::<u128>()), 64),
    ) {
        let policy = lists.policy();
        for (v4, noise) in peers {
            for address in wrapped(v4, noise).map(Ipv6Addr::from_bits) {
                assert_eq!(policy.judge(address.into()), lists.opinion(address.into()), "{address}");
            }
            assert_eq!(policy.judge(v4.into()), lists.opinion(v4.into()), "{v4}");
        }
    }

    #[test]
    fn the_policy_agrees_with_the_oracle(
        lists in some_lists(), peers in prop::collection::vec(address(), 64),
    ) {
        let policy = lists.policy();
        let nets = lists.allow.iter().chain(&lists.deny).chain(&lists.own);
        let ends = nets.flat_map(|net| [net.network(), net.broadcast()]);
        for peer in peers.into_iter().chain(ends) {
            assert_eq!(policy.judge(peer), lists.opinion(peer), "{peer}");
        }
    }

    #[test]
    fn the_default_agrees_with_the_oracle(peers in prop::collection::vec(address(), 64)) {
        let lists = Lists::default();
        for peer in peers {
            assert_eq!(lists.policy().judge(peer), lists.opinion(peer), "{peer}");
        }
    }

    // A wrapped address is never more open than the same address bare.
    #[test]
    fn wrapping_opens_nothing(v4 in v4(), noise: u128, own in prop::collection::vec(net(), 0..3)) {
        let lists = Lists { own, ..Lists::default() };
        let policy = lists.policy();
        let bare = policy.judge(v4.into());
        for address in wrapped(v4, noise).map(Ipv6Addr::from_bits) {
            let judgement = policy.judge(address.into());
            assert!(judgement != Judgement::Allowed || bare == Judgement::Allowed, "{address}");
        }
    }
}

// The embeddings above are where the oracle looks for them.
#[test]
fn every_embedding_holds_its_address() {
    let v4 = Ipv4Addr::new(203, 1, 2, 9);
    let embeds = |bits| inside(Ipv6Addr::from_bits(bits)).iter().any(|&(_, found)| found == v4);
    let found = wrapped(v4, u128::MAX / 3).map(embeds);
    // The second is IPv4-mapped, which is the address itself.
    assert_eq!(found, std::array::from_fn(|place| place != 1), "{found:?}");
}
