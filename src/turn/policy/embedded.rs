//! The IPv4 addresses that IPv6 addresses carry inside.
//!
//! ```text
//! IPv4-compatible   ::a.b.c.d                         RFC 4291 §2.5.5.1
//! IPv4-translated   ::ffff:0:a.b.c.d                  RFC 2765 §2.1
//! NAT64             64:ff9b::a.b.c.d                  RFC 6052 §2.1
//! NAT64, local      64:ff9b:1::/48, four layouts      RFC 8215, RFC 6052 §2.2
//! 6to4              2002:ab:cd::/48                   RFC 3056 §2
//! Teredo            2001:0:server:…:!client           RFC 4380 §4
//! ISATAP            any prefix, [ug]00:5efe:a.b.c.d   RFC 5214 §6.1
//! ```
//!
//! IPv4-mapped addresses are not here: they are IPv4, and the canonical form of it.

use super::ranges::canonical_v4;

/// One way of putting an IPv4 address into an IPv6 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Embedding {
    Compatible,
    Translated,
    Nat64,
    Nat64Local48,
    Nat64Local56,
    Nat64Local64,
    Nat64Local96,
    SixToFour,
    TeredoServer,
    TeredoClient,
    Isatap,
}

/// Longest "address" of `::/96` that is none: `::` and `::1` are addresses of their own, and with
/// all of `0.0.0.0/16` they stay in the special ranges anyway.
const COMPATIBLE_FIRST: u128 = 0x1_0000;

/// The interface identifier of ISATAP, universal and group bits left out.
const ISATAP: u128 = 0x0000_5EFE;
const ISATAP_MASK: u128 = 0xFCFF_FFFF;

impl Embedding {
    pub(super) const ALL: [Embedding; 11] = [
        Embedding::Compatible,
        Embedding::Translated,
        Embedding::Nat64,
        Embedding::Nat64Local48,
        Embedding::Nat64Local56,
        Embedding::Nat64Local64,
        Embedding::Nat64Local96,
        Embedding::SixToFour,
        Embedding::TeredoServer,
        Embedding::TeredoClient,
        Embedding::Isatap,
    ];

    /// Bits a prefix must fix to speak of this form alone.
    pub(super) const fn prefix_len(self) -> u8 {
        match self {
            Embedding::Compatible
            | Embedding::Translated
            | Embedding::Nat64
            | Embedding::Isatap => 96,
            Embedding::Nat64Local48
            | Embedding::Nat64Local56
            | Embedding::Nat64Local64
            | Embedding::Nat64Local96 => 48,
            Embedding::TeredoServer | Embedding::TeredoClient => 32,
            Embedding::SixToFour => 16,
        }
    }

    /// True when the address is of this form.
    pub(super) const fn covers(self, address: u128) -> bool {
        match self {
            Embedding::Compatible => address >> 32 == 0 && address >= COMPATIBLE_FIRST,
            Embedding::Translated => address >> 32 == 0xFFFF_0000,
            Embedding::Nat64 => address >> 32 == 0x0064_FF9B << 64,
            Embedding::Nat64Local48
            | Embedding::Nat64Local56
            | Embedding::Nat64Local64
            | Embedding::Nat64Local96 => address >> 80 == 0x0064_FF9B_0001,
            Embedding::SixToFour => address >> 112 == 0x2002,
            Embedding::TeredoServer | Embedding::TeredoClient => address >> 96 == 0x2001_0000,
            Embedding::Isatap => (address >> 32) & ISATAP_MASK == ISATAP,
        }
    }

    /// The bits of the IPv4 address. In the layouts of RFC 6052, bits 64 to 71 are none of it.
    const fn inside(self, address: u128) -> u32 {
        match self {
            Embedding::Compatible
            | Embedding::Translated
            | Embedding::Nat64
            | Embedding::Nat64Local96
            | Embedding::Isatap => address as u32,
            Embedding::Nat64Local48 => join(address >> 64, address >> 40, 16),
            Embedding::Nat64Local56 => join(address >> 64, address >> 32, 24),
            Embedding::Nat64Local64 => (address >> 24) as u32,
            Embedding::SixToFour => (address >> 80) as u32,
            Embedding::TeredoServer => (address >> 64) as u32,
            Embedding::TeredoClient => !(address as u32),
        }
    }
}

/// The lowest bits of `high` in front of the lowest `low_bits` of `low`.
const fn join(high: u128, low: u128, low_bits: u32) -> u32 {
    (high as u32) << low_bits | (low as u32) & ((1 << low_bits) - 1)
}

/// Every IPv4 address inside an address, in canonical form, with the form it is carried in.
pub(super) fn embedded(address: u128) -> impl Iterator<Item = (Embedding, u128)> {
    let forms = Embedding::ALL.into_iter().filter(move |form| form.covers(address));
    forms.map(move |form| (form, canonical_v4(form.inside(address))))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    fn inside(address: &str) -> Vec<(Embedding, Ipv4Addr)> {
        let bits = address.parse::<Ipv6Addr>().unwrap().to_bits();
        embedded(bits).map(|(form, v4)| (form, Ipv4Addr::from_bits(v4 as u32))).collect()
    }

    // RFC 6052 §2.4, with 64:ff9b:1 in place of 2001:db8:122.
    #[test]
    fn layouts_of_rfc_6052() {
        let address = Ipv4Addr::new(192, 0, 2, 33);
        assert!(inside("64:ff9b:1:c000:2:2100::").contains(&(Embedding::Nat64Local48, address)));
        assert!(inside("64:ff9b:1:3c0:0:221::").contains(&(Embedding::Nat64Local56, address)));
        assert!(inside("64:ff9b:1:344:c0:2:2100::").contains(&(Embedding::Nat64Local64, address)));
        assert!(inside("64:ff9b:1:344::192.0.2.33").contains(&(Embedding::Nat64Local96, address)));
        assert_eq!(inside("64:ff9b::192.0.2.33"), [(Embedding::Nat64, address)]);
    }

    // RFC 4380 §4: server 65.54.227.120, client 192.0.2.45.
    #[test]
    fn teredo_carries_its_server_and_its_client() {
        let found = inside("2001:0:4136:e378:8000:63bf:3fff:fdd2");
        let server = (Embedding::TeredoServer, Ipv4Addr::new(65, 54, 227, 120));
        let client = (Embedding::TeredoClient, Ipv4Addr::new(192, 0, 2, 45));
        assert_eq!(found, [server, client]);
    }

    #[test]
    fn addresses_that_carry_none() {
        for address in ["::", "::1", "2a00::1", "fe80::1", "::ffff:10.0.0.1", "64:ff9b:2::1"] {
            assert_eq!(inside(address), [], "{address}");
        }
    }

    #[test]
    fn the_place_of_a_form_in_the_list_is_its_number() {
        for (place, form) in Embedding::ALL.into_iter().enumerate() {
            assert_eq!(form as usize, place);
        }
    }
}
