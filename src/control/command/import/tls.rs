//! Clients over TCP and TLS: which there are, and what they are shown.

use std::net::SocketAddr;

use super::conf::Word;
use super::draft::Draft;
use super::notes::{Fate, Notes};
use super::options::CoturnSetting;
use super::said::{Said, heard_at, port, read};
use crate::control::config::{FilePath, schema};

/// coturn's port for TLS, and ours.
const TLS_PORT: u16 = 5349;

pub(super) fn carry(said: &Said<'_>, listen: &[SocketAddr], draft: &mut Draft, notes: &mut Notes) {
    let no_tcp = said.last(CoturnSetting::NoTcp, notes);
    if no_tcp.is_some() {
        draft.word(&schema::TCP, "off");
    }
    tcp_relay(said, notes);
    let certificate = file(said.last(CoturnSetting::Certificate, notes), notes);
    let key = file(said.last(CoturnSetting::PrivateKey, notes), notes);
    let at = said.last(CoturnSetting::TlsListeningPort, notes);
    let no_tls = said.last(CoturnSetting::NoTls, notes);
    if let Some(word) = no_tls {
        left_out(word, "there is no TLS without tls-certificate", notes);
    }
    let (Some(certificate), Some(key), None) = (certificate, key, no_tls) else {
        let why = match no_tls {
            Some(_) => "no-tls leaves it out",
            None => "there is no TLS without both cert and pkey",
        };
        [certificate, key, at].into_iter().flatten().for_each(|word| left_out(word, why, notes));
        return;
    };
    draft.list(&schema::TLS_CERTIFICATE, [&certificate.value]);
    draft.list(&schema::TLS_KEY, [&key.value]);
    let told = at.and_then(|word| port(word, 1, notes));
    let Some((word, port)) = at.zip(told).filter(|(_, port)| *port != TLS_PORT) else { return };
    let mut heard = heard_at(said, port);
    if no_tcp.is_none() {
        heard.retain(|address| !is_heard(address, listen));
    }
    if heard.is_empty() {
        left_out(word, "the addresses of listen take TLS on their own ports", notes);
    }
    draft.list(&schema::LISTEN_TLS, heard);
}

/// A word that names a file; one that names none is noted.
fn file<'a>(word: Option<&'a Word>, notes: &mut Notes) -> Option<&'a Word> {
    word.filter(|word| read::<FilePath>(word, notes).is_some())
}

/// Says whether an address is one of those that are listened on already, which take TLS, too.
fn is_heard(address: &str, listen: &[SocketAddr]) -> bool {
    let Ok(address) = address.parse::<SocketAddr>() else { return false };
    listen.iter().any(|other| {
        let is_one = other.ip() == address.ip()
            || other.ip().is_unspecified()
            || address.ip().is_unspecified();
        other.port() == address.port() && other.is_ipv4() == address.is_ipv4() && is_one
    })
}

/// To coturn relaying over TCP is on until it is told otherwise, to us it is off.
fn tcp_relay(said: &Said<'_>, notes: &mut Notes) {
    if let Some(word) = said.last(CoturnSetting::NoTcpRelay, notes) {
        return left_out(word, "tcp-relay is off by default", notes);
    }
    let why = "coturn relays TCP unless no-tcp-relay is set; set tcp-relay = \"on\" if you need it";
    notes.differs("tcp-relay", why);
}

fn left_out(word: &Word, why: &'static str, notes: &mut Notes) {
    notes.add(word.line, Fate::NotNeeded, &word.name, why);
}
