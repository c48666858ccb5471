//! A stranger, and the cells of the budget's tables that his answers are counted in.

use std::{
    hash::BuildHasher,
    net::{IpAddr, SocketAddr},
};

use foldhash::quality::FixedState;

use super::{
    kind::Purse,
    network::{IPV4_NETWORK_LEN, IPV6_NETWORK_LEN},
};

/// What one host holds.
const IPV6_ADDRESS_LEN: u8 = 64;

/// The bits that the addresses of one network, or of one host, have in common.
const IPV4_NETWORK: u128 = u128::MAX << (32 - IPV4_NETWORK_LEN);
const IPV6_NETWORK: u128 = u128::MAX << (128 - IPV6_NETWORK_LEN);
const IPV6_ADDRESS: u128 = u128::MAX << (128 - IPV6_ADDRESS_LEN);

/// Whoever asks, and for which kind of answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) client: SocketAddr,
    pub(super) purse: Purse,
}

/// What is hashed, so that the three hashes of one source have nothing in common.
#[derive(Clone, Copy)]
enum Scope {
    Network,
    Address,
    Port(u16),
}

impl Source {
    /// Hash of the network, IPv4 /24 or IPv6 /56.
    pub(super) fn network(&self, hasher: &FixedState) -> u64 {
        self.hash(hasher, IPV4_NETWORK, IPV6_NETWORK, Scope::Network)
    }

    /// Hash of the address, of IPv6 the /64.
    pub(super) fn address(&self, hasher: &FixedState) -> u64 {
        self.hash(hasher, u128::MAX, IPV6_ADDRESS, Scope::Address)
    }

    /// Hash of the address with its port.
    pub(super) fn socket(&self, hasher: &FixedState) -> u64 {
        self.hash(hasher, u128::MAX, u128::MAX, Scope::Port(self.client.port()))
    }

    /// Two words for the hasher: the derived form costs a call for every field of the address.
    fn hash(&self, hasher: &FixedState, v4_mask: u128, v6_mask: u128, scope: Scope) -> u64 {
        let (family, ip) = match self.client.ip() {
            IpAddr::V4(ip) => (0, u128::from(ip.to_bits()) & v4_mask),
            IpAddr::V6(ip) => (1, ip.to_bits() & v6_mask),
        };
        let scope = match scope {
            Scope::Network => 0,
            Scope::Address => 1 << 16,
            Scope::Port(port) => 2 << 16 | u64::from(port),
        };
        hasher.hash_one((ip, family << 32 | (self.purse as u64) << 40 | scope))
    }
}
