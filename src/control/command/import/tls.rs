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
    let no_tcp = said.flag(CoturnSetting::NoTcp, notes);
    if no_tcp.is_some() {
        draft.word(&schema::TCP, "off");
    }
    tcp_relay(said, notes);
    let certificate = file(said.last(CoturnSetting::Certificate, notes), notes);
    let key = file(said.last(CoturnSetting::PrivateKey, notes), notes);
    let at = said.last(CoturnSetting::TlsListeningPort, notes);
    let no_tls = said.flag(CoturnSetting::NoTls, notes);
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
    let port = at.and_then(|word| port(word, 1, notes)).unwrap_or(TLS_PORT);
    let heard = heard_at(said, port);
    let apart: Vec<SocketAddr> = heard
        .iter()
        .copied()
        .filter(|address| no_tcp.is_some() || !is_heard(*address, listen))
        .collect();
    match apart.as_slice() {
        [] => {
            draft.none(&schema::LISTEN_TLS);
            if let Some(word) = at {
                left_out(word, "the addresses of listen take TLS on their own ports", notes);
            }
        }
        apart if port == TLS_PORT && apart == heard => {}
        apart => draft.list(&schema::LISTEN_TLS, apart),
    }
}

/// A word that names a file; one that names none is noted.
fn file<'a>(word: Option<&'a Word>, notes: &mut Notes) -> Option<&'a Word> {
    word.filter(|word| read::<FilePath>(word, notes).is_some())
}

/// Says whether an address is one of those that are listened on already, which take TLS, too.
fn is_heard(address: SocketAddr, listen: &[SocketAddr]) -> bool {
    listen.iter().any(|other| {
        let is_one = other.ip() == address.ip()
            || other.ip().is_unspecified()
            || address.ip().is_unspecified();
        other.port() == address.port() && other.is_ipv4() == address.is_ipv4() && is_one
    })
}

/// To coturn relaying over TCP is on until it is told otherwise, to us it is off.
fn tcp_relay(said: &Said<'_>, notes: &mut Notes) {
    if let Some(word) = said.flag(CoturnSetting::NoTcpRelay, notes) {
        return left_out(word, "tcp-relay is off by default", notes);
    }
    let why = "coturn relays TCP unless no-tcp-relay is set; set tcp-relay = \"on\" if you need it";
    notes.differs("tcp-relay", why);
}

fn left_out(word: &Word, why: &'static str, notes: &mut Notes) {
    notes.add(word.line, Fate::NotNeeded, &word.name, why);
}
