//! Which addresses clients talk to, and which ones relay ports are opened on.
//!
//! Listening sockets are bound to concrete addresses, never to `0.0.0.0` or `[::]`: an answer
//! then leaves from the address that was asked, on a machine with any number of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::raw::{Given, Place};
use super::schema;
use super::settle::Settling;
use super::source::ConfigError;
use super::value::{ExternalIp, MetricsAddress, Value};
use crate::turn::RelayAddress;

/// Where listening happens when nothing is said: every address of both families.
const DEFAULT_LISTEN: [&str; 2] = ["0.0.0.0", "::"];
/// Most listening addresses; each costs one socket on every worker.
const LISTEN_MAX: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

impl Family {
    fn of(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    fn loopback(self) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::LOCALHOST.into(),
            Self::V6 => Ipv6Addr::LOCALHOST.into(),
        }
    }
}

impl Settling<'_> {
    /// Expands the listening addresses; every one can be bound.
    pub(super) fn listen(
        &self,
        given: Option<&[Given<SocketAddr>]>,
    ) -> Result<Vec<SocketAddr>, ConfigError> {
        let asked: Vec<_> = match given {
            Some(given) => given.iter().map(|given| (given.value, Some(given.place))).collect(),
            None => DEFAULT_LISTEN.into_iter().filter_map(default_listen).collect(),
        };
        self.expand_all(&schema::LISTEN, asked).and_then(|listen| self.bounded(listen))
    }

    /// Expands the addresses that numbers are shown on; every one can be bound.
    pub(super) fn metrics(
        &self,
        given: &[Given<MetricsAddress>],
    ) -> Result<Vec<SocketAddr>, ConfigError> {
        let asked = given.iter().map(|given| (given.value.0, Some(given.place)));
        self.expand_all(&schema::METRICS, asked)
    }

    fn expand_all(
        &self,
        key: &schema::Key,
        asked: impl IntoIterator<Item = (SocketAddr, Option<Place>)>,
    ) -> Result<Vec<SocketAddr>, ConfigError> {
        let mut addresses = Vec::new();
        for (address, place) in asked {
            addresses.extend(self.expand(key, address, place)?);
        }
        addresses.sort();
        addresses.dedup();
        Ok(addresses)
    }

    fn expand(
        &self,
        key: &schema::Key,
        address: SocketAddr,
        place: Option<Place>,
    ) -> Result<Vec<SocketAddr>, ConfigError> {
        let ip = address.ip();
        if ip.is_unspecified() {
            let own =
                self.machine.addresses.iter().filter(|own| Family::of(**own) == Family::of(ip));
            return Ok(own.map(|own| SocketAddr::new(*own, address.port())).collect());
        }
        self.must_bind(key, address, place, "")?;
        Ok(vec![address])
    }

    fn must_bind(
        &self,
        key: &schema::Key,
        address: SocketAddr,
        place: Option<Place>,
        hint: &str,
    ) -> Result<(), ConfigError> {
        if (self.machine.binds)(address) {
            return Ok(());
        }
        let ip = address.ip();
        let own: Vec<String> = self.machine.addresses.iter().map(IpAddr::to_string).collect();
        let own = own.join(", ");
        let problem = format!("{ip} is not an address of this machine: write one of {own}{hint}");
        self.fail(key, place, problem)
    }

    fn bounded(&self, listen: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, ConfigError> {
        let count = listen.len();
        if (1..=LISTEN_MAX).contains(&count) {
            return Ok(listen);
        }
        let problem = format!("that makes {count} addresses: write 1 to {LISTEN_MAX}");
        self.fail(&schema::LISTEN, None, problem)
    }

    /// Chooses the relay addresses and what clients are told instead of them.
    pub(super) fn relays(
        &self,
        listen: &[SocketAddr],
        given: Option<&[Given<IpAddr>]>,
        externals: &[Given<ExternalIp>],
    ) -> Result<Vec<RelayAddress>, ConfigError> {
        let locals = match given {
            Some(given) => self.given_relays(given)?,
            None => self.derived_relays(listen, externals)?,
        };
        let mut relays: Vec<_> =
            locals.into_iter().map(|local| RelayAddress { local, advertised: local }).collect();
        for external in externals {
            self.advertise(external, &mut relays)?;
        }
        Ok(relays)
    }

    fn given_relays(&self, given: &[Given<IpAddr>]) -> Result<Vec<IpAddr>, ConfigError> {
        let mut relays = Vec::new();
        for &Given { value, place } in given {
            let hint = format!("; behind 1:1 NAT write external-ip {value} beside it");
            self.must_bind(&schema::RELAY_IP, SocketAddr::new(value, 0), Some(place), &hint)?;
            if !relays.contains(&value) {
                relays.push(value);
            }
        }
        if relays.is_empty() {
            return self.fail(
                &schema::RELAY_IP,
                None,
                "the list is empty: write an address".into(),
            );
        }
        Ok(relays)
    }

    /// Takes one address of each family, or those that `external-ip` names as private.
    fn derived_relays(
        &self,
        listen: &[SocketAddr],
        externals: &[Given<ExternalIp>],
    ) -> Result<Vec<IpAddr>, ConfigError> {
        let mut relays = Vec::new();
        for family in [Family::V4, Family::V6] {
            let named = privates(externals).filter(|(ip, _)| Family::of(*ip) == family);
            let named: Vec<_> = named.collect();
            for &(ip, place) in &named {
                self.must_bind(&schema::EXTERNAL_IP, SocketAddr::new(ip, 0), Some(place), "")?;
            }
            let derived = || self.derived_relay(family, listen).into_iter().collect();
            let named: Vec<_> = named.into_iter().map(|(ip, _)| ip).collect();
            relays.extend(if named.is_empty() { derived() } else { named });
        }
        if relays.is_empty() {
            let problem = "no address of this machine can be derived: write relay-ip".to_owned();
            return self.fail(&schema::RELAY_IP, None, problem);
        }
        Ok(relays)
    }

    /// Prefers the default route's source among the addresses listened on, and one that stays to one
    /// that is deprecated; a server that listens on loopback alone stays on loopback.
    fn derived_relay(&self, family: Family, listen: &[SocketAddr]) -> Option<IpAddr> {
        let same = |ip: &IpAddr| Family::of(*ip) == family;
        let heard: Vec<IpAddr> = listen.iter().map(SocketAddr::ip).filter(same).collect();
        let routed = self.machine.routed.iter().copied().find(same);
        if listen.iter().all(|address| address.ip().is_loopback()) {
            let own = self.machine.addresses.contains(&family.loopback());
            return heard.first().copied().or(own.then(|| family.loopback()));
        }
        if heard.is_empty() {
            return routed;
        }
        let (passing, lasting): (Vec<IpAddr>, Vec<IpAddr>) = heard
            .iter()
            .filter(|ip| !ip.is_loopback())
            .partition(|ip| self.machine.deprecated.contains(ip));
        let heard_and_routed = routed.filter(|ip| heard.contains(ip));
        heard_and_routed.or(lasting.first().copied()).or(routed).or(passing.first().copied())
    }

    fn advertise(
        &self,
        external: &Given<ExternalIp>,
        relays: &mut [RelayAddress],
    ) -> Result<(), ConfigError> {
        let ExternalIp { public, private } = external.value;
        let fits = |relay: &&mut RelayAddress| match private {
            Some(private) => relay.local == private,
            None => Family::of(relay.local) == Family::of(public),
        };
        let mut fitting: Vec<_> = relays.iter_mut().filter(fits).collect();
        let problem = match fitting.as_mut_slice() {
            [relay] if relay.advertised == relay.local => {
                relay.advertised = public;
                return Ok(());
            }
            [relay] => format!(
                "{public} would be the second external address of {}: write one",
                relay.local
            ),
            [] => no_relay_for(external.value),
            [..] => {
                format!("{public} could stand for several relay addresses: write {public}/PRIVATE")
            }
        };
        self.fail(&schema::EXTERNAL_IP, Some(external.place), problem)
    }
}

fn default_listen(any: &str) -> Option<(SocketAddr, Option<Place>)> {
    SocketAddr::read(any).ok().map(|address| (address, None))
}

fn privates(externals: &[Given<ExternalIp>]) -> impl Iterator<Item = (IpAddr, Place)> {
    externals.iter().filter_map(|given| given.value.private.map(|ip| (ip, given.place)))
}

fn no_relay_for(external: ExternalIp) -> String {
    let ExternalIp { public, private } = external;
    match private {
        Some(private) => format!("{private} is not a relay address: add relay-ip {private}"),
        None => {
            format!("there is no relay address of the family of {public}: add one with relay-ip")
        }
    }
}
