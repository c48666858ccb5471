//! A dependency that no source names is removed: it costs a build, an audit and an update for
//! nothing.

use super::{Source, sources};

/// Crates whose library has another name than their package.
const NAMES: [(&str, &str); 1] = [("md-5", "md5")];

/// A package: its manifest, and the folders its sources are in.
const PACKAGES: [(&str, &[&str]); 2] =
    [("Cargo.toml", &["src/", "tests/", "benches/"]), ("loadgen/Cargo.toml", &["loadgen/"])];

#[test]
fn every_dependency_is_named_by_a_source() {
    let sources = sources();
    for (manifest, folders) in PACKAGES {
        let text = &sources.iter().find(|it| it.path == manifest).expect("a manifest").text;
        let code = |it: &&Source| folders.iter().any(|folder| it.path.starts_with(folder));
        let code: Vec<&str> = sources.iter().filter(code).map(|it| &*it.code).collect();
        let unnamed: Vec<_> = unnamed(text, &code);
        assert!(unnamed.is_empty(), "{manifest}: no source names {}", unnamed.join(", "));
    }
}

#[test]
fn the_rule_finds_a_dependency_that_no_source_names() {
    let manifest = "[package]\nname = 'x'\n\n[dependencies]\nserde_json.workspace = true\n\
                    md-5 = { version = '0.11' }\nhmac = '1'\n\n[dev-dependencies]\nrand-x = '1'\n";
    let code = ["use md5::Digest;\nlet a = serde_json::to_string(b);"];
    assert_eq!(unnamed(manifest, &code), ["hmac", "rand-x"]);
    assert_eq!(unnamed(manifest, &["use {hmac::Hmac, md5, rand_x, serde_json};"]), [""; 0]);
    assert_eq!(
        unnamed("[dependencies]\nhmac = '1'\n", &["my_hmac::f(); let hmacs = 1;"]),
        ["hmac"]
    );
}

/// The packages of a manifest's dependencies whose crates no code names.
fn unnamed<'a>(manifest: &'a str, code: &[&str]) -> Vec<&'a str> {
    let is_named = |package: &&str| {
        let known = NAMES.iter().find(|(name, _)| name == package);
        let krate = known.map_or(package.replace('-', "_"), |(_, krate)| (*krate).to_owned());
        code.iter().any(|code| super::words(code).any(|(_, word)| word == krate))
    };
    dependencies(manifest).filter(|package| !is_named(package)).collect()
}

fn dependencies(manifest: &str) -> impl Iterator<Item = &str> {
    let mut is_list = false;
    manifest.lines().filter_map(move |line| {
        if line.starts_with('[') {
            is_list = matches!(line, "[dependencies]" | "[dev-dependencies]");
            return None;
        }
        let name = line.split(['=', '.', ' ']).next().filter(|name| !name.is_empty())?;
        (is_list && !name.starts_with('#')).then_some(name)
    })
}
