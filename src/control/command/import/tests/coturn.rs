//! What coturn would be after a file: a model of what its options do, line by line.
//!
//! It knows the options that are carried over. Where versions differ it follows 4.6: later ones
//! give up at some values that it takes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::model::{self, seen};

/// A line with an option.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) line: usize,
    pub(super) name: String,
    pub(super) value: String,
}

/// How coturn knows its clients.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// It asks for nothing.
    Open,
    /// By names with a password or `0x` and a key; of one name the last.
    Users(Vec<(String, String)>),
    /// By any of these secrets.
    Secrets(Vec<String>),
}

/// A file as coturn has read it.
pub(super) struct Coturn(pub(super) Vec<Told>);

impl Coturn {
    /// Reads a file.
    pub(super) fn read(file: &[u8]) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the file is text");
        let told = seen(file).into_iter().map(|seen| Told {
            line: seen.line,
            name: text(seen.name),
            value: text(seen.value),
        });
        Self(told.collect())
    }

    /// What it would be without some lines.
    pub(super) fn without(&self, is_left_out: impl Fn(&Told) -> bool) -> Self {
        Self(self.0.iter().filter(|told| !is_left_out(told)).cloned().collect())
    }

    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Told> {
        self.0.iter().filter(move |told| told.name == name)
    }

    pub(super) fn last(&self, name: &str) -> Option<&Told> {
        self.0.iter().rfind(|told| told.name == name)
    }

    /// A flag of which the last line holds.
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.last(name).is_some_and(|told| model::flag(&told.value) == Some(true))
    }

    /// Whether answers name the software; `None` where no line says it.
    pub(super) fn names_software(&self) -> Option<bool> {
        self.0.iter().fold(None, |names, told| match told.name.as_str() {
            "software-attribute" => model::flag(&told.value),
            "no-software-attribute" | "prod" => model::flag(&told.value).map(|is_on| !is_on),
            _ => names,
        })
    }

    pub(super) fn access(&self) -> Access {
        let (mut asks, mut is_long_term, mut is_anonymous) = (false, false, false);
        for told in &self.0 {
            // With what is neither on nor off it does not start.
            let is_on = model::flag(&told.value);
            match (told.name.as_str(), is_on) {
                ("use-auth-secret" | "static-auth-secret", _) => {
                    (asks, is_long_term) = (true, true);
                }
                ("lt-cred-mech", Some(is_on)) => (asks, is_long_term) = (is_on, is_on),
                ("no-auth", Some(is_on)) => (asks, is_anonymous) = (false, is_on),
                _ => {}
            }
        }
        let secrets = self.all("static-auth-secret").map(|told| told.value.clone()).collect();
        let is_by_secret = self.0.iter().any(|told| told.name.ends_with("-auth-secret"));
        let users = if is_by_secret { Vec::new() } else { self.users() };
        if !is_long_term && !is_anonymous && !users.is_empty() {
            asks = true;
        }
        match (asks, is_by_secret) {
            (false, _) => Access::Open,
            (true, true) => Access::Secrets(secrets),
            (true, false) => Access::Users(users),
        }
    }

    fn users(&self) -> Vec<(String, String)> {
        let mut users: Vec<(String, String)> = Vec::new();
        for told in self.all("user") {
            let Some((name, password)) = told.value.split_once(':') else { continue };
            if name.is_empty() || password.is_empty() {
                continue;
            }
            users.retain(|(other, _)| other != name);
            users.push((name.to_owned(), password.trim_start_matches([' ', '\t']).to_owned()));
        }
        users
    }

    /// The addresses on which it hears clients, at any of its ports.
    pub(super) fn ips(&self) -> Vec<IpAddr> {
        let all = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        let told: Vec<IpAddr> =
            self.all("listening-ip").filter_map(|told| ip(&told.value)).collect();
        let heard = told.iter().flat_map(|ip| if *ip == all[1] { all.to_vec() } else { vec![*ip] });
        if told.is_empty() { all.to_vec() } else { heard.collect() }
    }

    pub(super) fn auxiliary(&self) -> Vec<SocketAddr> {
        self.all("aux-server").filter_map(|told| told.value.parse().ok()).collect()
    }

    /// The addresses that it relays on; none where it looks for them.
    pub(super) fn relays(&self) -> Vec<IpAddr> {
        let told: Vec<IpAddr> = self.all("relay-ip").filter_map(|told| ip(&told.value)).collect();
        let heard = self.all("listening-ip").filter_map(|told| ip(&told.value));
        if told.is_empty() { heard.collect() } else { told }
    }

    /// What clients are told in place of a relay address, by the lines that make sense: without an
    /// address coturn tells them 0.0.0.0, and it pairs families as they come.
    pub(super) fn advertised(&self, relay: IpAddr) -> IpAddr {
        let externals: Vec<(IpAddr, Option<IpAddr>)> = self
            .all("external-ip")
            .filter_map(|told| match told.value.split_once('/') {
                Some((public, private)) => Some((one(public)?, Some(one(private)?))),
                None => Some((one(&told.value)?, None)),
            })
            .filter(|(public, private)| {
                private.is_none_or(|private| private.is_ipv4() == public.is_ipv4())
            })
            .collect();
        let pair = externals.iter().find(|(_, private)| *private == Some(relay));
        let single = externals.iter().find(|(_, private)| private.is_none());
        let single = single
            .filter(|(public, _)| public.is_ipv4() == relay.is_ipv4() && !relay.is_loopback());
        pair.or(single).map_or(relay, |(public, _)| *public)
    }

    /// Whether an address is the private one of a pair, which it opens.
    pub(super) fn is_behind_nat(&self, peer: IpAddr) -> bool {
        let pairs = self.all("external-ip").filter_map(|told| told.value.split_once('/'));
        pairs.into_iter().any(|(public, private)| ip(public).is_some() && ip(private) == Some(peer))
    }

    /// Whether a peer is reached, and whether it is on the list of those that are allowed.
    pub(super) fn reaches(&self, peer: IpAddr) -> (bool, bool) {
        let (is_group, is_zero) = match peer {
            IpAddr::V4(v4) => (v4.octets()[0] > 223, v4.octets()[0] == 0),
            IpAddr::V6(v6) => (v6.octets()[0] == 255, v6.is_unspecified()),
        };
        let is_closed = (self.is_on("no-multicast-peers") && is_group)
            || (!self.is_on("allow-loopback-peers") && peer.is_loopback())
            || is_zero;
        let covers = |told: &Told| range(&told.value).is_some_and(|range| covers(range, peer));
        let is_allowed = self.all("allowed-peer-ip").any(covers) || self.is_behind_nat(peer);
        let is_denied = self.all("denied-peer-ip").any(covers);
        (!is_closed && (is_allowed || !is_denied), !is_closed && is_allowed)
    }
}

/// An address, with the blanks that may be around it; none at all is all of IPv4.
fn ip(text: &str) -> Option<IpAddr> {
    match text.trim_matches(' ') {
        "" => Some(Ipv4Addr::UNSPECIFIED.into()),
        text => text.parse().ok(),
    }
}

/// An address that stands for itself alone.
fn one(text: &str) -> Option<IpAddr> {
    ip(text).filter(|ip| !ip.is_unspecified())
}

fn range(text: &str) -> Option<(IpAddr, IpAddr)> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    Some((ip(low)?, ip(high)?))
}

/// An end of zeroes is no end, and all of IPv4 is below all of IPv6.
fn covers((low, high): (IpAddr, IpAddr), peer: IpAddr) -> bool {
    (low.is_unspecified() || low <= peer) && (high.is_unspecified() || peer <= high)
}
