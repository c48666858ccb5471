//! Which peers may be reached: coturn's ranges, as networks that cover exactly the same.
//!
//! To coturn an address in both lists is allowed, to us it is denied: so what is allowed is taken
//! out of what is denied. And coturn asks about loopback, group and zero addresses before it looks
//! at its lists: so they are taken out of what is allowed.

use ipnet::IpNet;

use super::draft::Draft;
use super::networks::AddressRanges;
use super::notes::{Fate, Notes};
use super::options::CoturnSetting;
use super::said::Said;
use crate::control::config::Value;
use crate::control::config::schema;

const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1"];
/// To coturn a group is whatever is no unicast address.
const GROUPS: [&str; 2] = ["224.0.0.0/3", "ff00::/8"];
const ZERO: [&str; 2] = ["0.0.0.0/8", "::"];
/// To coturn these are addresses of IPv6 and no peer of IPv4 is among them; to us each is the IPv4
/// address in it.
const MAPPED: [&str; 1] = ["::ffff:0:0/96"];

pub(super) fn carry(said: &Said<'_>, draft: &mut Draft, notes: &mut Notes) {
    let closed = "coturn reaches none of it, whatever its lists say";
    let mut allowed = set(said, CoturnSetting::AllowedPeer, (&never_reached(said), closed), notes);
    let opened = "allowed-peer-ip opens all of it";
    let denied = set(said, CoturnSetting::DeniedPeer, (&allowed, opened), notes);
    closed_behind_nat(said, &denied, notes);
    if said.flag(CoturnSetting::AllowLoopbackPeers, notes).is_some() {
        allowed.join(networks(&LOOPBACK));
    }
    if let Some(word) = said.flag(CoturnSetting::NoMulticastPeers, notes) {
        let why = "multicast peers are always denied";
        notes.add(word.line, Fate::NotNeeded, &word.name, why);
    }
    draft.list(&schema::ALLOW_PEERS, allowed.networks());
    draft.list(&schema::DENY_PEERS, denied.networks());
    notes.differs(
        "private networks and the server's own addresses",
        "coturn reaches peers in them unless they are denied, uturn only where allow-peers opens them",
    );
}

/// coturn opens the private address of a pair whatever its lists say, since it looks for its own
/// clients there. We know ours by either address.
fn closed_behind_nat(said: &Said<'_>, denied: &AddressRanges, notes: &mut Notes) {
    for word in said.all(CoturnSetting::ExternalIp) {
        let Some((_, private)) = word.value.split_once('/') else { continue };
        let mut one = AddressRanges::default();
        if one.add(private).is_ok() && one.without(denied).is_empty() {
            let why = format!(
                "coturn reaches every service at {private} although denied-peer-ip closes it; here \
                 it stays closed, and clients reach each other by the public address"
            );
            notes.add(word.line, Fate::Differs, &word.name, why);
        }
    }
}

/// What coturn asks about before it looks at its lists.
fn never_reached(said: &Said<'_>) -> AddressRanges {
    let mut never = networks(&ZERO);
    if !said.is_on(CoturnSetting::AllowLoopbackPeers) {
        never.join(networks(&LOOPBACK));
    }
    if said.is_on(CoturnSetting::NoMulticastPeers) {
        never.join(networks(&GROUPS));
    }
    never
}

/// All the addresses of some lines, without others; a line of which nothing is left is noted.
fn set(
    said: &Said<'_>,
    about: CoturnSetting,
    (others, why): (&AddressRanges, &str),
    notes: &mut Notes,
) -> AddressRanges {
    let mapped = networks(&MAPPED);
    let mut set = AddressRanges::default();
    for word in said.all(about) {
        let mut one = AddressRanges::default();
        if let Err(problem) = one.add(&word.value) {
            notes.add(word.line, Fate::Lost, &word.name, problem);
            continue;
        }
        if one.without(&mapped).is_empty() {
            let why = "an IPv4 address written as IPv6 is judged by the entries for IPv4";
            notes.add(word.line, Fate::NotNeeded, &word.name, why);
        } else if one.without(others).is_empty() {
            notes.add(word.line, Fate::NotNeeded, &word.name, why);
        }
        set.join(one);
    }
    set.without(&mapped).without(others)
}

fn networks(texts: &[&str]) -> AddressRanges {
    let mut set = AddressRanges::default();
    texts.iter().for_each(|text| set.add_network(network(text)));
    set
}

fn network(text: &str) -> IpNet {
    IpNet::read(text).expect("the constants of this file are networks")
}
