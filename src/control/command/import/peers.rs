//! Which peers may be reached: coturn's ranges, as networks that cover exactly the same.
//!
//! To coturn an address in both lists is allowed, to us it is denied: so what is allowed is taken
//! out of what is denied. And coturn asks about loopback, group and zero addresses before it looks
//! at its lists: so they are taken out of what is allowed.

use ipnet::IpNet;

use super::draft::Draft;
use super::networks::Addresses;
use super::notes::{Fate, Notes};
use super::options::Setting;
use super::translate::Said;
use crate::control::config::Value;
use crate::control::config::schema;

const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1"];
const GROUPS: [&str; 2] = ["224.0.0.0/4", "ff00::/8"];
const ZERO: [&str; 2] = ["0.0.0.0", "::"];

pub(super) fn carry(said: &Said<'_>, draft: &mut Draft, notes: &mut Notes) {
    let allowed = set(said, Setting::AllowedPeer, notes);
    let denied = set(said, Setting::DeniedPeer, notes).without(&allowed);
    let mut allowed = allowed.without(&networks(&ZERO));
    if said.has(Setting::AllowLoopbackPeers) {
        LOOPBACK.iter().for_each(|text| allowed.add_network(network(text)));
    } else {
        allowed = allowed.without(&networks(&LOOPBACK));
    }
    if said.has(Setting::NoMulticastPeers) {
        allowed = allowed.without(&networks(&GROUPS));
    }
    draft.list(&schema::ALLOW_PEERS, allowed.networks());
    draft.list(&schema::DENY_PEERS, denied.networks());
    notes.differs(
        "private networks and the server's own addresses",
        "coturn reaches peers in them unless they are denied, uturn only where allow-peers opens them",
    );
}

fn set(said: &Said<'_>, about: Setting, notes: &mut Notes) -> Addresses {
    let mut set = Addresses::default();
    for word in said.all(about) {
        if let Err(problem) = set.add(&word.value) {
            notes.add(word.line, Fate::Lost, &word.name, problem);
        }
    }
    set
}

fn networks(texts: &[&str]) -> Addresses {
    let mut set = Addresses::default();
    texts.iter().for_each(|text| set.add_network(network(text)));
    set
}

fn network(text: &str) -> IpNet {
    IpNet::read(text).expect("the constants of this file are networks")
}
