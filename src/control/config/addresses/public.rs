//! What private relay addresses are called outside, where others say: a STUN server or a name.

use std::net::{IpAddr, SocketAddr};

use super::machine::Machine;
use super::{Addresses, Asked, Unfit, lacking, written};
use crate::control::config::file::source::Remedy;
use crate::control::config::schema;
use crate::control::config::value::address::{STUN_PORT, is_private};
use crate::control::config::value::external::ExternalAddress;
use crate::turn::RelayAddress;

/// Why a relay address is not known by another: who mends it, and one line.
type Unsaid = (Remedy, String);

impl Asked {
    /// Has a STUN server, or a name, say what those private relay addresses are called that nobody
    /// has told of. Of one that does not answer, the last answer holds.
    pub(super) fn ask(
        &self,
        addresses: &mut Addresses,
        machine: &Machine,
        in_use: &Addresses,
    ) -> Result<(), Unfit> {
        let mut sources = self.asked_sources();
        let Some((nth, source)) = sources.next() else { return Ok(()) };
        if let Some((nth, other)) = sources.next() {
            let problem = format!("{source} and {other} are two: write one STUN server or name");
            return written(&schema::EXTERNAL_IP, Some(nth), problem);
        }
        let is_unknown =
            |relay: &&mut RelayAddress| relay.advertised == relay.local && is_private(relay.local);
        for relay in addresses.relays.iter_mut().filter(is_unknown) {
            let known = in_use.relays.iter().find(|known| known.local == relay.local);
            relay.advertised = match public_address(source, relay.local, machine, &in_use.relays) {
                Ok(public) => public.unwrap_or(relay.local),
                Err((remedy, problem)) => match known {
                    Some(known) => known.advertised,
                    None => {
                        let problem = format!("{source}: {problem}");
                        let unfit = lacking(&schema::EXTERNAL_IP, problem);
                        return Err(Unfit { nth: Some(nth), remedy, ..unfit });
                    }
                },
            };
        }
        Ok(())
    }
}

/// What a relay address is called outside; nothing where there is no such address of its family.
fn public_address(
    source: &ExternalAddress,
    local: IpAddr,
    machine: &Machine,
    in_use: &[RelayAddress],
) -> Result<Option<IpAddr>, Unsaid> {
    match source {
        ExternalAddress::Told(_) => Ok(None),
        ExternalAddress::Asked(server) => {
            (machine.asks)(server, local).map_err(|problem| (Remedy::Time, problem))
        }
        ExternalAddress::Named(host) => {
            let found = (machine.looks_up_own)(host, STUN_PORT);
            // It begins with the name, which is said anyway.
            let found = found.map_err(|problem| problem.replacen(&format!("{host} "), "", 1));
            let found = found.map_err(|problem| (Remedy::Time, problem))?;
            let of_family = found.iter().map(SocketAddr::ip);
            let of_family = of_family.filter(|ip| ip.is_ipv4() == local.is_ipv4());
            the_one(of_family.collect(), local, in_use)
        }
    }
}

/// The address that a name with these stands for here. With several the one in use goes on, in
/// whatever order they come; at a start nobody knows which of them leads here, and clients sent to
/// another machine would be lost.
fn the_one(
    mut named: Vec<IpAddr>,
    local: IpAddr,
    in_use: &[RelayAddress],
) -> Result<Option<IpAddr>, Unsaid> {
    let leads_nowhere = |ip: &IpAddr| ip.is_loopback() || ip.is_unspecified() || ip.is_multicast();
    if let Some(ip) = named.iter().find(|ip| leads_nowhere(ip)) {
        let problem = format!(
            "it is {ip} here, where no client finds this server: write its public address, or \
             mend /etc/hosts or the name server"
        );
        return Err((Remedy::Operator, problem));
    }
    let goes_on = in_use.iter().filter(|relay| named.contains(&relay.advertised));
    if let Some(relay) = goes_on.min_by_key(|relay| relay.local != local) {
        return Ok(Some(relay.advertised));
    }
    named.sort();
    named.dedup();
    match named.as_slice() {
        [] => Ok(None),
        [only] => Ok(Some(*only)),
        [..] => {
            let all = named.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ");
            let problem = format!("it has several addresses ({all}): write the one of this server");
            Err((Remedy::Operator, problem))
        }
    }
}
