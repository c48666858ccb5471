//! The model of coturn's reader against an installed coturn, which says what it has read.
//!
//! It names every option that it does not know, and its realm. A capacity without a limit, which
//! the command line asks for, ends it before it opens a socket.

use std::fs;
use std::process::Command;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};

use model::seen;

use super::{Folder, skip};

#[path = "../../src/control/command/import/tests/model.rs"]
#[expect(dead_code, reason = "what coturn makes of the values is no matter here")]
mod model;

/// The last thing that it says of the command line, before it goes through the file once more.
const BEFORE: &[u8] = b"0 bytes per second allowed per session\n";
const UNKNOWN: &[u8] = b"Bad configuration format: ";
const REALM: &[u8] = b"Default realm: ";
/// Of a text that is long it does not show everything.
const SHOWN_BYTES: usize = 100;

/// What a file may be made of: nothing that an option could do harm with.
fn token() -> impl Strategy<Value = Vec<u8>> {
    let word: [&[u8]; 8] =
        [b"realm", b"user", b"realm=", b"colour", b"Realm", b"a b", b"x\"y", b"0"];
    let mark: [&[u8]; 6] = [b"\"", b"\"\"", b"#", b";", b"\xFC", b"\xEF\xBB\xBF"];
    let blank: [&[u8]; 8] = [b" ", b"\t", b"=", b" = ", b"\r", b"\x0B", b"\x0C", b"\xC2\xA0"];
    prop_oneof![
        4 => select(word.to_vec()).prop_map(<[u8]>::to_vec),
        2 => select(mark.to_vec()).prop_map(<[u8]>::to_vec),
        4 => select(blank.to_vec()).prop_map(<[u8]>::to_vec),
        4 => select(vec![&b"\n"[..], b"\r\n", b"\nrealm=", b"\0"]).prop_map(<[u8]>::to_vec),
        1 => (select(&b" ax#=\"\t"[..]), 1_015..1_030_usize).prop_map(|(b, n)| vec![b; n]),
    ]
}

/// Newer versions make one blank of several in what they say.
fn shown(text: &[u8]) -> Vec<u8> {
    let is_shown = |byte: &u8| !matches!(byte, b' ' | b'\r');
    text.iter().copied().filter(is_shown).take(SHOWN_BYTES).collect()
}

/// What stands behind a text wherever it is; a long one may have no line to itself.
fn behind<'a>(said: &'a [u8], text: &'a [u8]) -> impl Iterator<Item = Vec<u8>> + 'a {
    let starts = said.windows(text.len()).enumerate().filter(move |(_, window)| *window == text);
    let rests = starts.map(move |(at, _)| &said[at + text.len()..]);
    rests.map(|rest| shown(rest.split(|byte| *byte == b'\n').next().unwrap_or_default()))
}

#[test]
fn an_installed_coturn_reads_files_as_the_model_does() {
    if Command::new("turnserver").arg("--version").output().is_err() {
        return skip("an_installed_coturn_reads_files_as_the_model_does", "coturn");
    }
    let folder = Folder::new("import-real");
    let path = folder.file("turnserver.conf");
    let files = prop::collection::vec(token(), 1..30).prop_map(|tokens| tokens.concat());
    let mut runner =
        TestRunner::new(Config { cases: 48, failure_persistence: None, ..Config::default() });
    let held = runner.run(&files, |file| {
        fs::write(&path, &file).unwrap();
        let words = ["60", "turnserver", "-c", &path, "-l", "stdout", "--max-bps=0"];
        let output = Command::new("timeout").args(words).arg("--bps-capacity=1").output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let at = said.windows(BEFORE.len()).rposition(|window| window == BEFORE);
        prop_assert!(at.is_some(), "{}", String::from_utf8_lossy(&said));
        let said = &said[at.unwrap_or_default()..];
        let seen = seen(&file);
        let is_known = |name: &[u8]| name == b"realm" || name == b"user";
        let unknown = seen.iter().map(|seen| &seen.name[..]).filter(|name| !is_known(name));
        let unknown: Vec<Vec<u8>> = unknown.map(shown).collect();
        prop_assert_eq!(behind(said, UNKNOWN).collect::<Vec<_>>(), unknown);
        // Without one it takes the machine's domain.
        let realm = seen.iter().rfind(|seen| seen.name == b"realm").map(|seen| &seen.value);
        if let Some(realm) = realm.filter(|realm| !realm.is_empty()) {
            prop_assert_eq!(behind(said, REALM).next(), Some(shown(realm)));
        }
        Ok(())
    });
    assert!(held.is_ok(), "{held:?}");
}
