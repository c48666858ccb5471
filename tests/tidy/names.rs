//! One name, one thing: a type that others than its own folder may name has its name alone.
//!
//! A name that only a file or a folder can say may be said elsewhere, too: nobody meets both. What
//! stands on two floors all the same is listed with its reason.

use std::collections::BTreeMap;

use super::{Source, outside_tests, sources};

/// Names that several types have, and why none of them is renamed.
const SHARED: [(&str, &str); 6] = [
    ("Counters", "what each floor counts, always said with its floor: `io::Counters`"),
    ("Kernel", "the trait, and the two that implement it: `uring::Kernel`, `epoll::Kernel`"),
    ("Key", "io's, of a slot in a table of sockets, never meets an option of the configuration"),
    ("Report", "a worker's report carries its turn's: `Report::Turn(turn::Report)`"),
    ("Sent", "what each of the two kernels remembers of a send"),
    ("Settings", "what each floor is set to, always said with its floor: `io::Settings`"),
];

/// Who may name a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    InItsFile,
    InItsFolder,
    Beyond,
}

#[test]
fn types_that_meet_have_names_of_their_own() {
    let sources = sources();
    let declared = declared(&sources);
    assert!(declared.len() > 300, "the walk finds the types");
    let shared = shared(&declared);
    let is_listed = |name: &str| SHARED.iter().any(|(listed, _)| *listed == name);
    let faults: Vec<String> = shared
        .iter()
        .filter(|(name, _)| !is_listed(name))
        .map(|(name, paths)| format!("{name} is declared in {}", paths.join(" and ")))
        .collect();
    assert!(faults.is_empty(), "rename one, or say in SHARED why not:\n{}", faults.join("\n"));
    for (name, _) in SHARED {
        assert!(shared.contains_key(name), "{name} is one type: take it out of SHARED");
    }
}

#[test]
fn a_second_type_of_a_name_is_found_where_it_can_be_met() {
    let one = Source::new("src/turn/a.rs", "pub(crate) struct Slot<T>(T);");
    let is_found = |path: &str, text: &str| {
        let sources = [Source::new(&one.path, &one.text), Source::new(path, text)];
        shared(&declared(&sources)).contains_key("Slot")
    };
    for text in [
        "pub struct Slot {\n}",
        "pub(crate) enum Slot {\n}",
        "#[derive(Debug)]\npub(super) type Slot = u32;",
        "pub(in crate::io) trait Slot {\n}",
    ] {
        assert!(is_found("src/io/b.rs", text), "{text}");
    }
    for text in [
        "struct Slot;",
        "pub struct Slots;",
        "// pub struct Slot;",
        "#[cfg(test)]\nmod tests {\npub struct Slot;\n}",
    ] {
        assert!(!is_found("src/io/b.rs", text), "{text}");
    }
    assert!(!is_found("src/turn/scenario/b.rs", "pub struct Slot;"), "a test's");
    let folders = [
        Source::new("src/io/a/b.rs", "pub(super) struct Slot;"),
        Source::new("src/turn/a/b.rs", "pub(in crate::turn::a) struct Slot;"),
    ];
    assert!(!shared(&declared(&folders)).contains_key("Slot"), "each stays in its folder");
}

/// The types of the crate by name: where each is declared, and who may name it.
fn declared(sources: &[Source]) -> BTreeMap<String, Vec<(String, Seen)>> {
    let is_test = |path: &str| path.contains("/scenario/") || path.ends_with("/tests.rs");
    let inside = sources.iter().filter(|it| it.path.starts_with("src/") && !is_test(&it.path));
    let mut declared: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for source in inside {
        for line in outside_tests(&source.code).lines() {
            if let Some((name, seen)) = declaration(line, &source.path) {
                declared.entry(name).or_default().push((source.path.clone(), seen));
            }
        }
    }
    declared
}

/// Names that more than one type has, of which somebody can meet two.
fn shared(declared: &BTreeMap<String, Vec<(String, Seen)>>) -> BTreeMap<&str, Vec<&str>> {
    let met = declared.iter().filter_map(|(name, all)| {
        let seen = all.iter().filter(|(_, seen)| *seen != Seen::InItsFile);
        let paths: Vec<&str> = seen.clone().map(|(path, _)| path.as_str()).collect();
        let is_met = paths.len() > 1 && seen.clone().any(|(_, seen)| *seen == Seen::Beyond);
        is_met.then_some((name.as_str(), paths))
    });
    met.collect()
}

/// The type that a line declares, unless it is indented and so part of something else.
fn declaration(line: &str, path: &str) -> Option<(String, Seen)> {
    let (seen, rest) = match line.strip_prefix("pub") {
        None => (Seen::InItsFile, line),
        Some(rest) => match rest.strip_prefix('(').and_then(|rest| rest.split_once(") ")) {
            None => (Seen::Beyond, rest.trim_start()),
            Some((whom, rest)) => (seen_by(whom, path), rest),
        },
    };
    let kinds = ["struct ", "enum ", "trait ", "type ", "union "];
    let rest = kinds.iter().find_map(|kind| rest.strip_prefix(kind))?;
    let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
    Some((name.to_owned(), seen))
}

fn seen_by(whom: &str, path: &str) -> Seen {
    let folder = path.trim_start_matches("src/").rsplit_once('/').map_or("", |(folder, _)| folder);
    match whom.strip_prefix("in crate::") {
        Some(module) if module.replace("::", "/") == folder => Seen::InItsFolder,
        None if whom == "super" => Seen::InItsFolder,
        Some(_) | None => Seen::Beyond,
    }
}
