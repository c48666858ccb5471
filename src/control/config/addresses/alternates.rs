//! The servers that new clients are sent to while this one drains, by address.
//!
//! Their names are looked up when the configuration is read and, beside the control loop, once a
//! minute: a drain that begins must not wait for a name server.

use std::net::SocketAddr;

use super::machine::Machine;
use crate::control::config::value::server::ServerAddress;

/// What servers come to now.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::control) struct FoundAlternates {
    /// One of each family at most, in the order in which they were written.
    pub(in crate::control) servers: Vec<SocketAddr>,
    /// Names that could not be looked up, a line each.
    pub(in crate::control) problems: Vec<String>,
}

/// Finds the servers' addresses, none of them an own one. While a name cannot be looked up, what
/// was `known` before goes on.
pub(in crate::control::config) fn find(
    servers: &[ServerAddress],
    own: &[SocketAddr],
    machine: &Machine,
    known: &[SocketAddr],
) -> FoundAlternates {
    let mut found = FoundAlternates::default();
    for server in servers {
        let addresses = match server {
            ServerAddress::At(server) => vec![*server],
            ServerAddress::Named { host, port } => {
                (machine.looks_up)(host, *port).unwrap_or_else(|problem| {
                    found.problems.push(problem);
                    known.to_vec()
                })
            }
        };
        for address in addresses {
            let is_of_family = |other: &SocketAddr| other.is_ipv4() == address.is_ipv4();
            if !own.contains(&address) && !found.servers.iter().any(is_of_family) {
                found.servers.push(address);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMED: &str = "192.0.2.7:7";

    fn found(
        looks_up: crate::control::config::addresses::machine::LooksUp,
        known: &[&str],
    ) -> FoundAlternates {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let servers = [
            ServerAddress::At(at("[2001:db8::1]:3478")),
            ServerAddress::Named { host: "relay.example.org".to_owned(), port: 7 },
        ];
        let known: Vec<SocketAddr> = known.iter().map(|text| at(text)).collect();
        let machine = Machine { looks_up, ..Machine::with(&["10.0.0.5"]) };
        find(&servers, &[at("10.0.0.5:7")], &machine, &known)
    }

    fn told(found: &FoundAlternates) -> Vec<String> {
        found.servers.iter().map(SocketAddr::to_string).collect()
    }

    #[test]
    fn a_name_gives_one_address_of_each_family_that_nobody_else_gives_and_no_own_one() {
        let found = found(
            |host, port| {
                assert_eq!((host, port), ("relay.example.org", 7));
                let all = ["[2001:db8::9]:7", "10.0.0.5:7", NAMED, "192.0.2.8:7"];
                Ok(all.iter().map(|text| text.parse().unwrap()).collect())
            },
            &[],
        );
        assert_eq!(told(&found), ["[2001:db8::1]:3478", NAMED]);
    }

    #[test]
    fn what_was_known_goes_on_while_the_name_cannot_be_looked_up() {
        let fails = |_: &str, _| Err("it cannot be resolved".to_owned());
        let found = [found(fails, &[]), found(fails, &[NAMED])];
        assert_eq!(told(&found[0]), ["[2001:db8::1]:3478"]);
        assert_eq!(told(&found[1]), ["[2001:db8::1]:3478", NAMED]);
        assert_eq!(found[1].problems, ["it cannot be resolved"]);
    }
}
