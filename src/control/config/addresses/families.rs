//! Of which families addresses are listened on and relayed on, or should be.

use std::net::{IpAddr, SocketAddr};

use crate::control::config::settled::Config;
use crate::wire::Family;

/// Some families, for both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::control) struct ServedFamilies {
    listen: PerFamily,
    relay: PerFamily,
}

/// IPv4, IPv6.
type PerFamily = [bool; 2];

impl ServedFamilies {
    fn of(listen: impl Iterator<Item = IpAddr>, relay: impl Iterator<Item = IpAddr>) -> Self {
        Self { listen: per_family(listen), relay: per_family(relay) }
    }

    /// These and others.
    pub(in crate::control) fn with(self, other: Self) -> Self {
        self.each(other, |one, other| one || other)
    }

    /// These, less others.
    pub(in crate::control) fn without(self, other: Self) -> Self {
        self.each(other, |one, other| one && !other)
    }

    /// What they are, for people.
    pub(in crate::control) fn named(self) -> Vec<String> {
        let uses = [(self.listen, "to listen on"), (self.relay, "to relay on")];
        let all = uses.into_iter().flat_map(|(families, what)| {
            ["IPv4", "IPv6"].into_iter().zip(families).map(move |(family, has)| (family, what, has))
        });
        let these = all.filter(|(_, _, has)| *has);
        these.map(|(family, what, _)| format!("no {family} address {what}")).collect()
    }

    fn each(self, other: Self, both: fn(bool, bool) -> bool) -> Self {
        let merged = |one: PerFamily, other: PerFamily| [0, 1].map(|at| both(one[at], other[at]));
        Self { listen: merged(self.listen, other.listen), relay: merged(self.relay, other.relay) }
    }
}

impl Config {
    /// Families of which an address was asked for by name.
    pub(in crate::control) fn promised_families(&self) -> ServedFamilies {
        let asked = &self.asked;
        let externals = asked.told().map(|(_, external)| external.public);
        let relay = asked.relay_ips.iter().flatten().copied().chain(externals);
        ServedFamilies::of(asked.listen.iter().map(SocketAddr::ip), relay)
    }

    /// Families of which an address is there, among those that are listened on and among the
    /// relays. Loopback counts for nothing: it is always there.
    pub(in crate::control) fn served_families(&self, listen: &[SocketAddr]) -> ServedFamilies {
        let listen = listen.iter().map(SocketAddr::ip);
        let here = listen.filter(|ip| !self.missing.contains(ip));
        ServedFamilies::of(here, self.relays.iter().map(|relay| relay.local))
    }
}

fn per_family(ips: impl Iterator<Item = IpAddr>) -> PerFamily {
    let mut families = [false; 2];
    for ip in ips.filter(|ip| !ip.is_unspecified() && !ip.is_loopback()) {
        match Family::of(ip) {
            Family::V4 => families[0] = true,
            Family::V6 => families[1] = true,
        }
    }
    families
}
