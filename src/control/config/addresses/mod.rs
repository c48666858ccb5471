//! Which addresses clients talk to, and which ones relay ports are opened on.
//!
//! What was asked for is written once; what it comes to is up to the machine, and changes with it.
//! Listening sockets are bound to concrete addresses, never to `0.0.0.0` or `[::]`: an answer
//! then leaves from the address that was asked, on a machine with any number of them.

pub(super) mod alternates;
pub(super) mod families;
mod listeners;
pub(super) mod machine;
mod public;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::file::source::{Remedy, WrittenAt};
use super::schema::{self, Key, Options};
use super::value::Value;
use super::value::address::{ExternalIp, TLS_PORT};
use super::value::external::ExternalAddress;
use super::value::raw::GivenList;
use crate::turn::RelayAddress;
use crate::wire::Family;
use machine::Machine;

/// Where listening happens when nothing is said: every address of both families.
const DEFAULT_LISTEN: [&str; 2] = ["0.0.0.0", "::"];
/// Most listening addresses; each costs two sockets on every worker.
const LISTEN_MAX: usize = 256;

/// The addresses that were asked for, as they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Where clients are to be heard; `0.0.0.0` and `[::]` are every address of their family.
    pub(in crate::control::config) listen: Vec<SocketAddr>,
    /// Where relay ports are to be; `None` for wherever the machine is reached.
    pub(in crate::control::config) relay_ips: Option<Vec<IpAddr>>,
    pub(in crate::control::config) external_ips: Vec<ExternalAddress>,
    /// Where TLS clients are to be heard; none without a certificate.
    pub(in crate::control::config) listen_tls: Vec<SocketAddr>,
    /// Nobody wrote that down: it is where all others are heard.
    pub(in crate::control::config) is_tls_by_default: bool,
    /// TLS is taken at every address of `listen`.
    pub(in crate::control::config) listen_takes_tls: bool,
    /// Where numbers are to be shown.
    pub(in crate::control::config) metrics: Vec<SocketAddr>,
}

/// What the addresses that were asked for come to on a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// Concrete, sorted, each once; those that are missing, too.
    pub listen: Vec<SocketAddr>,
    /// Those for TLS alone, likewise; none of `listen`.
    pub listen_tls: Vec<SocketAddr>,
    /// Of one family the first is preferred.
    pub relays: Vec<RelayAddress>,
    /// Relay addresses that nobody wrote down and that were no default route's when they were
    /// chosen: they make room for one that is.
    pub stand_ins: Vec<IpAddr>,
    /// Addresses that were written down and that the machine does not have now; each once.
    pub missing: Vec<IpAddr>,
}

/// Why addresses cannot be served.
pub(in crate::control::config) struct Unfit {
    pub(in crate::control::config) key: &'static Key,
    /// Which of the key's values it is about.
    nth: Option<usize>,
    pub(in crate::control::config) problem: String,
    pub(in crate::control::config) remedy: Remedy,
}

/// Says what the addresses that were asked for come to on this machine: something to listen on and
/// something to relay on.
pub(in crate::control::config) fn addresses(
    options: &Options,
    machine: &Machine,
) -> Result<(Asked, Addresses), Unfit> {
    let asked = Asked::of(options);
    let addresses = asked.on(machine, &Addresses::default())?;
    asked.must_serve(&addresses, machine)?;
    Ok((asked, addresses))
}

impl Unfit {
    /// Where the value was written that it is about.
    pub(in crate::control::config) fn place(&self, options: &Options) -> Option<WrittenAt> {
        self.nth.and_then(|nth| place_of(options, self.key, nth))
    }
}

impl Asked {
    fn of(options: &Options) -> Self {
        let default = || DEFAULT_LISTEN.into_iter().filter_map(|any| SocketAddr::read(any).ok());
        let listen: Vec<SocketAddr> = match &options.listen {
            Some(given) => given.iter().map(|it| it.value).collect(),
            None => default().collect(),
        };
        let relay_ips = options.relay_ip.as_ref();
        Self {
            listen_tls: listen_tls(options, &listen),
            is_tls_by_default: options.listen_tls.is_none(),
            listen_takes_tls: options.tcp.as_ref().is_none_or(|given| given.value.0),
            listen,
            relay_ips: relay_ips.map(|given| given.iter().map(|it| it.value).collect()),
            external_ips: options.external_ip.iter().flatten().map(|it| it.value.clone()).collect(),
            metrics: options.metrics.iter().flatten().map(|it| it.value.0).collect(),
        }
    }

    /// What it comes to on a machine, which may be nothing. Of several addresses that would do,
    /// those stay that are in use.
    pub(in crate::control::config) fn on(
        &self,
        machine: &Machine,
        in_use: &Addresses,
    ) -> Result<Addresses, Unfit> {
        let mut addresses = Addresses { missing: self.missing(machine), ..Addresses::default() };
        addresses.listen = listen_on(&schema::LISTEN, &self.listen, machine, &in_use.listen)?;
        addresses.listen_tls = self.tls_on(machine, &addresses.listen, &in_use.listen_tls)?;
        let locals = match &self.relay_ips {
            Some(given) if given.is_empty() => {
                return written(
                    &schema::RELAY_IP,
                    None,
                    "the list is empty: write an address".into(),
                );
            }
            Some(given) => given.clone(),
            None => self.derived_relays(machine, &mut addresses, in_use),
        };
        for local in locals {
            let is_known = addresses.relays.iter().any(|relay| relay.local == local);
            if !is_known && !addresses.missing.contains(&local) {
                addresses.relays.push(RelayAddress { local, advertised: local });
            }
        }
        self.advertise(&mut addresses)?;
        self.ask(&mut addresses, machine, in_use)?;
        Ok(addresses)
    }

    /// Where TLS clients alone are heard on a machine that listens there.
    pub(in crate::control::config) fn tls_on(
        &self,
        machine: &Machine,
        listen: &[SocketAddr],
        in_use: &[SocketAddr],
    ) -> Result<Vec<SocketAddr>, Unfit> {
        let mut tls = listen_on(&schema::LISTEN_TLS, &self.listen_tls, machine, in_use)?;
        if self.is_tls_by_default && self.listen_takes_tls {
            tls.retain(|at| !listen.contains(at));
        }
        Ok(tls)
    }

    /// Has TLS clients heard beside others that are heard elsewhere than was asked for, as long as
    /// nobody wrote where.
    pub(in crate::control::config) fn hear_tls_beside(&mut self, listen: &[SocketAddr]) {
        if self.is_tls_by_default && !self.listen_tls.is_empty() {
            self.listen_tls = at_the_port_of_tls(listen);
        }
    }

    /// How many relay addresses it may come to on any machine.
    pub(in crate::control::config) fn most_relays(&self) -> usize {
        if let Some(given) = &self.relay_ips {
            return given.len();
        }
        let most = |is_v4: bool| {
            let privates = self.told().filter_map(|(_, external)| external.private);
            let named = privates.filter(|ip| ip.is_ipv4() == is_v4).count();
            named.max(usize::from(self.listen.iter().any(|at| at.is_ipv4() == is_v4)))
        };
        most(true) + most(false)
    }

    /// Addresses that were written down and cannot be bound.
    fn missing(&self, machine: &Machine) -> Vec<IpAddr> {
        let listen = self.listen.iter().chain(&self.listen_tls).map(SocketAddr::ip);
        let privates = self.told().filter_map(|(_, external)| external.private);
        let relays = self.relay_ips.iter().flatten().copied();
        let metrics = self.metrics.iter().map(SocketAddr::ip);
        let mut missing: Vec<IpAddr> = Vec::new();
        let all = listen.chain(relays).chain(privates).chain(metrics);
        for ip in all.filter(|ip| !ip.is_unspecified()) {
            if !missing.contains(&ip) && !(machine.binds)(SocketAddr::new(ip, 0)) {
                missing.push(ip);
            }
        }
        missing
    }

    /// Takes one address of each family, or those that `external-ip` names as private.
    fn derived_relays(
        &self,
        machine: &Machine,
        addresses: &mut Addresses,
        in_use: &Addresses,
    ) -> Vec<IpAddr> {
        let here = addresses.listen_here();
        let mut relays = Vec::new();
        for family in [Family::V4, Family::V6] {
            let privates = self.told().filter_map(|(_, external)| external.private);
            let mut named = privates.filter(|ip| Family::of(*ip) == family).peekable();
            match named.peek() {
                Some(_) => relays.extend(named),
                None => {
                    let best = routed_relay(machine, family, &here);
                    let kept = in_use.kept_relay(machine, family);
                    // One that was the default route's stays while it is here, wherever that goes:
                    // a tunnel that takes all routes is not where clients find this server.
                    let kept = kept.filter(|ip| best.is_none() || !in_use.stands_in(*ip, machine));
                    let chosen = kept.or_else(|| derived_relay(machine, family, &here));
                    let stands_in = |ip: &IpAddr| in_use.stands_in(*ip, machine);
                    addresses.stand_ins.extend(chosen.filter(stands_in));
                    relays.extend(chosen);
                }
            }
        }
        relays
    }

    fn advertise(&self, addresses: &mut Addresses) -> Result<(), Unfit> {
        let (relays, missing) = (&mut addresses.relays, &addresses.missing);
        for (nth, external) in self.told() {
            let ExternalIp { public, private } = external;
            let fits = |relay: &&mut RelayAddress| match private {
                Some(private) => relay.local == private,
                None => Family::of(relay.local) == Family::of(public),
            };
            let mut fitting: Vec<_> = relays.iter_mut().filter(fits).collect();
            let problem = match fitting.as_mut_slice() {
                [relay] if relay.advertised == relay.local => {
                    relay.advertised = public;
                    continue;
                }
                [relay] => format!(
                    "{public} would be the second external address of {}: write one",
                    relay.local
                ),
                [] if self.may_come(external, missing) => continue,
                [] => no_relay_for(external),
                [..] => {
                    format!(
                        "{public} could stand for several relay addresses: write {public}/PRIVATE"
                    )
                }
            };
            return written(&schema::EXTERNAL_IP, Some(nth), problem);
        }
        Ok(())
    }

    /// The external addresses that were written down, and where among all.
    pub(in crate::control::config) fn told(&self) -> impl Iterator<Item = (usize, ExternalIp)> {
        self.external_ips.iter().enumerate().filter_map(|(nth, external)| match external {
            ExternalAddress::Told(told) => Some((nth, *told)),
            ExternalAddress::Asked(_) | ExternalAddress::Named(_) => None,
        })
    }

    /// Whether anybody else is asked for external addresses.
    pub(in crate::control::config) fn asks_others(&self) -> bool {
        self.asked_sources().next().is_some()
    }

    fn asked_sources(&self) -> impl Iterator<Item = (usize, &ExternalAddress)> {
        let all = self.external_ips.iter().enumerate();
        all.filter(|(_, external)| !matches!(external, ExternalAddress::Told(_)))
    }

    /// True when the machine lacks the relay address of an external one, and what was written does
    /// not.
    fn may_come(&self, external: ExternalIp, missing: &[IpAddr]) -> bool {
        match (external.private, &self.relay_ips) {
            (Some(private), Some(given)) => given.contains(&private) && missing.contains(&private),
            (Some(private), None) => missing.contains(&private),
            (None, Some(given)) => {
                given.iter().any(|ip| Family::of(*ip) == Family::of(external.public))
            }
            (None, None) => true,
        }
    }

    /// Refuses addresses of which none can be listened on, or none relayed on: for now.
    fn must_serve(&self, addresses: &Addresses, machine: &Machine) -> Result<(), Unfit> {
        let nth_missing = |ips: &mut dyn Iterator<Item = IpAddr>| {
            ips.enumerate().find(|(_, ip)| addresses.missing.contains(ip))
        };
        if addresses.listen_here().is_empty() {
            let problem = "this machine has no address that can be listened on".to_owned();
            return Err(match nth_missing(&mut self.listen.iter().map(SocketAddr::ip)) {
                Some((nth, ip)) => not_here(&schema::LISTEN, nth, ip, machine, ""),
                None => lacking(&schema::LISTEN, problem),
            });
        }
        if !addresses.relays.is_empty() {
            return Ok(());
        }
        if let Some((nth, ip)) = nth_missing(&mut self.relay_ips.iter().flatten().copied()) {
            let hint = format!("; behind 1:1 NAT write external-ip {ip} beside it");
            return Err(not_here(&schema::RELAY_IP, nth, ip, machine, &hint));
        }
        let unnamed = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let mut privates = self.external_ips.iter().map(|external| match external {
            ExternalAddress::Told(told) => told.private.unwrap_or(unnamed),
            ExternalAddress::Asked(_) | ExternalAddress::Named(_) => unnamed,
        });
        Err(match nth_missing(&mut privates) {
            Some((nth, ip)) => not_here(&schema::EXTERNAL_IP, nth, ip, machine, ""),
            None => {
                let problem = "no address of this machine can be derived: write relay-ip";
                lacking(&schema::RELAY_IP, problem.to_owned())
            }
        })
    }
}

impl Addresses {
    /// The relay address of a family that stays, because the machine has it for as long as it
    /// likes.
    fn kept_relay(&self, machine: &Machine, family: Family) -> Option<IpAddr> {
        let of_family = self.relays.iter().map(|relay| relay.local);
        let mut lasting = of_family.filter(|ip| {
            let passes = machine.deprecated.contains(ip) || !machine.present.contains(ip);
            Family::of(*ip) == family && !passes && !ip.is_loopback()
        });
        lasting.next()
    }

    /// True for an address that was no default route's when it was chosen, and is none now.
    fn stands_in(&self, local: IpAddr, machine: &Machine) -> bool {
        let is_chosen = self.relays.iter().any(|relay| relay.local == local);
        let is_settled = is_chosen && !self.stand_ins.contains(&local);
        !is_settled && !machine.routed.contains(&local)
    }

    /// Those listening addresses that the machine has.
    fn listen_here(&self) -> Vec<SocketAddr> {
        let here = self.listen.iter().filter(|address| !self.missing.contains(&address.ip()));
        here.copied().collect()
    }
}

/// Where TLS clients are to be heard: by default where all others are, at the port that is meant
/// for it.
fn listen_tls(options: &Options, listen: &[SocketAddr]) -> Vec<SocketAddr> {
    match (&options.tls_certificate, &options.listen_tls) {
        (None, _) => Vec::new(),
        (Some(certificates), _) if certificates.is_empty() => Vec::new(),
        (Some(_), Some(given)) => given.iter().map(|it| it.value.0).collect(),
        (Some(_), None) => at_the_port_of_tls(listen),
    }
}

fn at_the_port_of_tls(listen: &[SocketAddr]) -> Vec<SocketAddr> {
    listen.iter().map(|at| SocketAddr::new(at.ip(), TLS_PORT)).collect()
}

/// The sockets of what was asked for: one on each address of a family where that was. Those in use
/// stay as long as their address does.
fn listen_on(
    key: &'static Key,
    asked: &[SocketAddr],
    machine: &Machine,
    in_use: &[SocketAddr],
) -> Result<Vec<SocketAddr>, Unfit> {
    let mut listen: Vec<SocketAddr> = Vec::new();
    for asked in asked {
        if !asked.ip().is_unspecified() {
            listen.push(*asked);
            continue;
        }
        let fits = |ip: &IpAddr| ip.is_ipv4() == asked.ip().is_ipv4();
        let is_kept = |at: &&SocketAddr| {
            at.port() == asked.port() && fits(&at.ip()) && machine.present.contains(&at.ip())
        };
        let own = machine.addresses.iter().copied().filter(fits);
        listen.extend(own.map(|own| SocketAddr::new(own, asked.port())));
        listen.extend(in_use.iter().filter(is_kept));
    }
    listen.sort();
    listen.dedup();
    if listen.len() > LISTEN_MAX {
        let problem = format!("that makes {} addresses: write {LISTEN_MAX} at most", listen.len());
        return written(key, None, problem);
    }
    Ok(listen)
}

/// Prefers the default route's source among the addresses listened on, and one that stays to one
/// that is deprecated; a server that listens on loopback alone stays on loopback.
fn derived_relay(machine: &Machine, family: Family, listen: &[SocketAddr]) -> Option<IpAddr> {
    let same = |ip: &IpAddr| Family::of(*ip) == family;
    let heard: Vec<IpAddr> = listen.iter().map(SocketAddr::ip).filter(same).collect();
    let routed = machine.routed.iter().copied().find(same);
    if listen.iter().all(|address| address.ip().is_loopback()) {
        let loopback = loopback(family);
        let own = machine.addresses.contains(&loopback);
        return heard.first().copied().or(own.then_some(loopback));
    }
    if heard.is_empty() {
        return routed;
    }
    let (passing, lasting): (Vec<IpAddr>, Vec<IpAddr>) =
        heard.iter().filter(|ip| !ip.is_loopback()).partition(|ip| machine.deprecated.contains(ip));
    let heard_and_routed = routed_relay(machine, family, listen);
    heard_and_routed.or(lasting.first().copied()).or(routed).or(passing.first().copied())
}

/// The first address of the default route's interface that is listened on.
fn routed_relay(machine: &Machine, family: Family, listen: &[SocketAddr]) -> Option<IpAddr> {
    let mut of_family = machine.routed.iter().filter(|ip| Family::of(**ip) == family);
    of_family.find(|ip| listen.iter().any(|at| at.ip() == **ip)).copied()
}

fn loopback(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::LOCALHOST.into(),
        Family::V6 => Ipv6Addr::LOCALHOST.into(),
    }
}

/// Where a value of one of the keys above was written.
fn place_of(options: &Options, key: &Key, nth: usize) -> Option<WrittenAt> {
    fn nth_of<T>(given: Option<&GivenList<T>>, nth: usize) -> Option<WrittenAt> {
        given.and_then(|given| given.get(nth)).map(|given| given.place)
    }
    if key.name == schema::LISTEN.name {
        nth_of(options.listen.as_ref(), nth)
    } else if key.name == schema::RELAY_IP.name {
        nth_of(options.relay_ip.as_ref(), nth)
    } else {
        nth_of(options.external_ip.as_ref(), nth)
    }
}

/// What is wrong whatever the machine has.
fn written<T>(key: &'static Key, nth: Option<usize>, problem: String) -> Result<T, Unfit> {
    Err(Unfit { key, nth, problem, remedy: Remedy::Operator })
}

fn lacking(key: &'static Key, problem: String) -> Unfit {
    Unfit { key, nth: None, problem, remedy: Remedy::Time }
}

fn not_here(key: &'static Key, nth: usize, ip: IpAddr, machine: &Machine, hint: &str) -> Unfit {
    let own: Vec<String> = machine.addresses.iter().map(IpAddr::to_string).collect();
    let own = own.join(", ");
    let problem = format!("{ip} is not an address of this machine: write one of {own}{hint}");
    Unfit { nth: Some(nth), ..lacking(key, problem) }
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
