//! Clients over TCP and TLS: which there are, and what they are shown.

use super::conf::Word;
use super::draft::Draft;
use super::notes::{Fate, Notes};
use super::options::CoturnSetting;
use super::said::{Said, heard_at, port};
use crate::control::config::schema;

/// coturn's port for TLS, and ours.
const TLS_PORT: u16 = 5349;

pub(super) fn carry(said: &Said<'_>, draft: &mut Draft, notes: &mut Notes) {
    if said.last(CoturnSetting::NoTcp, notes).is_some() {
        draft.word(&schema::TCP, "off");
    }
    let certificate = said.last(CoturnSetting::Certificate, notes);
    let key = said.last(CoturnSetting::PrivateKey, notes);
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
    if let Some(port) = told.filter(|port| *port != TLS_PORT) {
        draft.list(&schema::LISTEN_TLS, heard_at(said, port));
    }
}

fn left_out(word: &Word, why: &'static str, notes: &mut Notes) {
    notes.add(word.line, Fate::NotNeeded, &word.name, why);
}
