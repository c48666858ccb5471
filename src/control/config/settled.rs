//! The settled configuration, and what the rest of the program asks it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;

use super::addresses::alternates::{self, FoundAlternates};
use super::addresses::machine::Machine;
use super::addresses::{Addresses, Asked, Unfit};
use super::file::exposure::Exposure;
use super::file::users::UsersFile;
use super::schema::{self, Values};
use super::value::address::is_private;
use super::value::credential::User;
use super::value::path::FilePath;
use super::value::server::ServerAddress;
use crate::turn::RelayAddress;
use crate::worker::WebPlace;

/// Everything the server was told, resolved.
#[derive(Clone, Debug)]
pub struct Config {
    /// The addresses that were asked for, which these five come from.
    pub asked: Asked,
    /// Addresses the STUN port is opened on; concrete, sorted, each once, at least one of them
    /// here.
    pub listen: Vec<SocketAddr>,
    /// Addresses that TLS clients alone are heard on, likewise; none without a certificate.
    pub listen_tls: Vec<SocketAddr>,
    /// Addresses relay ports are opened on, at least one; of one family the first is preferred.
    pub relays: Vec<RelayAddress>,
    /// Those of them that make room for one of the default route.
    pub stand_ins: Vec<IpAddr>,
    /// Addresses that were asked for by name and that this machine does not have yet.
    pub missing: Vec<IpAddr>,
    /// Where new clients are sent while draining, as far as names could be looked up; one of each
    /// family at most, none an own one.
    pub alternates: Vec<SocketAddr>,
    /// The value of every key; of total-quota no more than there are relay ports, of secret the one
    /// that was made for this run, too.
    pub values: Values,
    /// Realms that held before in this run, the latest first: allocations made under them go on.
    pub former_realms: Vec<String>,
    /// The file of further users, if there is one; shared, because it may have a million of them.
    pub users_file: Option<Arc<UsersFile>>,
    /// True when the first secret was made for this run: there was no user and no secret, or it
    /// was asked for.
    pub secret_is_generated: bool,
    /// True when one was asked for: `secret = "generate"`.
    pub secret_is_asked_for: bool,
    /// Where each worker runs, by worker index; at least one.
    pub workers: Vec<WorkerPlace>,
    /// What is routed to this machine, and so closed to clients; empty if the kernel does not say.
    pub local: Vec<IpNet>,
    /// Addresses that numbers are shown on, perhaps all of a family; sorted, each once, none by
    /// default.
    pub metrics: Vec<SocketAddr>,
    /// Files that others on this machine may read or change and should not.
    pub exposed: Vec<Exposure>,
}

/// Where a certificate and its key are; it may be one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairFiles {
    /// The certificate, and what leads from it to a root.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Where a worker runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerPlace {
    /// Index of the core that the worker is pinned to.
    pub core: usize,
}

impl Config {
    /// Every user with a fixed password or key.
    pub fn users(&self) -> impl Iterator<Item = User> {
        let in_file = self.users_file.iter().flat_map(|file| file.users());
        self.values.user.iter().cloned().chain(in_file)
    }

    /// How many users there are with a fixed password or key.
    pub fn user_count(&self) -> usize {
        self.values.user.len() + self.users_file.as_ref().map_or(0, |file| file.count())
    }

    /// As many allocations as there are relay ports.
    pub(super) fn most_allocations(&self) -> u32 {
        let relays = u32::try_from(self.relays.len()).unwrap_or(u32::MAX);
        self.values.relay_ports.count().saturating_mul(relays)
    }

    /// The files of each certificate and of its key.
    pub(in crate::control) fn tls_files(&self) -> Vec<PairFiles> {
        let Values { tls_certificate, tls_key, .. } = &self.values;
        let pairs = tls_certificate.iter().zip(tls_key);
        let paths = |(certificate, key): (&FilePath, &FilePath)| PairFiles {
            certificate: certificate.0.clone(),
            key: key.0.clone(),
        };
        pairs.map(paths).collect()
    }

    /// Names everything that leads to this machine: its own addresses, what it listens on even if
    /// an interface has it only later, and what it is called on the other side of a NAT. The web
    /// backend's is one, wherever that is: it trusts what comes from this machine.
    pub fn own(&self) -> Vec<IpNet> {
        let sockets = self.listen.iter().chain(&self.listen_tls).map(SocketAddr::ip);
        let relays = self.relays.iter().flat_map(|relay| [relay.local, relay.advertised]);
        let backend = self.web_backend().map(|socket| socket.ip());
        let named = sockets.chain(relays).chain(backend).map(IpNet::from);
        self.local.iter().copied().chain(named).collect()
    }

    /// Names the sockets of this process that no packet of a client comes from, as they are here
    /// and on the other side of a NAT.
    pub fn own_sockets(&self) -> Vec<SocketAddr> {
        let mut sockets = self.listen.clone();
        for relay in self.relays.iter().filter(|relay| relay.advertised != relay.local) {
            let here = self.listen.iter().filter(|socket| socket.ip() == relay.local);
            sockets.extend(here.map(|socket| SocketAddr::new(relay.advertised, socket.port())));
        }
        sockets
    }

    /// Names where this process serves TLS clients and numbers, and its web backend. What listens
    /// on all addresses is at every one of this machine; so may be what is reached at loopback.
    pub fn own_services(&self) -> Vec<(IpNet, u16)> {
        let advertised = self.relays.iter().flat_map(|relay| {
            let here = self.listen_tls.iter().filter(|socket| socket.ip() == relay.local);
            here.map(|socket| SocketAddr::new(relay.advertised, socket.port()))
        });
        let sockets = self.listen_tls.iter().chain(&self.metrics).copied();
        let sockets = sockets.chain(advertised).chain(self.web_backend());
        let loopback = [
            IpNet::new_assert(Ipv4Addr::new(127, 0, 0, 0).into(), 8),
            IpNet::from(IpAddr::from(Ipv6Addr::LOCALHOST)),
        ];
        let everywhere: Vec<IpNet> = self.own().into_iter().chain(loopback).collect();
        let at = |socket: SocketAddr| {
            let is_everywhere = socket.ip().is_unspecified() || socket.ip().is_loopback();
            let nets = if is_everywhere { everywhere.clone() } else { vec![socket.ip().into()] };
            nets.into_iter().map(move |net| (net, socket.port()))
        };
        sockets.flat_map(at).collect()
    }

    /// The web backend, unless it is none or a unix socket.
    fn web_backend(&self) -> Option<SocketAddr> {
        match &self.values.web_backend.as_ref()?.0 {
            WebPlace::Tcp(socket) => {
                Some(SocketAddr::new(socket.ip().to_canonical(), socket.port()))
            }
            WebPlace::Unix(_) => None,
        }
    }

    /// Says which of the keys about connections do nothing, since none is taken.
    pub fn idle_keys(&self) -> Option<String> {
        let Values { tcp, tcp_relay, proxy_from, web_backend, .. } = &self.values;
        if tcp.0 || !self.listen_tls.is_empty() {
            return None;
        }
        let keys = [
            (&schema::TCP_RELAY, tcp_relay.0),
            (&schema::PROXY_FROM, !proxy_from.is_empty()),
            (&schema::WEB_BACKEND, web_backend.is_some()),
        ];
        let set = keys.into_iter().filter(|(_, is_set)| *is_set);
        let names: Vec<&str> = set.map(|(key, _)| key.name).collect();
        let why = "tcp is off, and there is no TLS without tls-certificate";
        (!names.is_empty()).then(|| format!("without effect: {}: {why}", names.join(", ")))
    }

    /// Names the advertised relay addresses that no peer on the Internet can reach.
    pub fn private_relays(&self) -> impl Iterator<Item = IpAddr> {
        self.relays.iter().map(|relay| relay.advertised).filter(|ip| is_private(*ip))
    }

    /// How many relay addresses there may be at a time, now or later.
    pub(in crate::control) fn most_relays(&self) -> usize {
        self.asked.most_relays().max(self.relays.len())
    }

    /// What the servers that clients are sent to while draining come to now.
    pub(in crate::control) fn find_alternates(&self, machine: &Machine) -> FoundAlternates {
        alternates::find(&self.values.alternate_server, &self.listen, machine, &self.alternates)
    }

    /// Whether all of it is the same that a look at the machine, or at what others say, may change.
    pub(in crate::control) fn is_on_the_same_machine(&self, other: &Config) -> bool {
        let of = |config: &Config| (config.addresses(), config.alternates.clone());
        self.local == other.local && of(self) == of(other)
    }

    /// Whether there is anything that only name servers or STUN servers know.
    pub(in crate::control) fn asks_others(&self) -> bool {
        let is_named = |server: &ServerAddress| matches!(server, ServerAddress::Named { .. });
        self.asked.asks_others() || self.values.alternate_server.iter().any(is_named)
    }

    /// What the addresses that were asked for come to on a machine that may have changed.
    ///
    /// # Errors
    /// One line that says why they come to nothing that could be used. Then nothing has changed.
    pub(in crate::control) fn addresses_on(&self, machine: &Machine) -> Result<Addresses, String> {
        let unfit = |unfit: Unfit| format!("{}: {}", unfit.key.name, unfit.problem);
        self.asked.on(machine, &self.addresses()).map_err(unfit)
    }

    /// What the addresses that were asked for come to now.
    fn addresses(&self) -> Addresses {
        Addresses {
            listen: self.listen.clone(),
            listen_tls: self.listen_tls.clone(),
            relays: self.relays.clone(),
            stand_ins: self.stand_ins.clone(),
            missing: self.missing.clone(),
        }
    }
}
