//! One name, one thing: two types of one name stand where nobody can meet both.
//!
//! A name that only its file or its folder can say may be said elsewhere, too; so may one that
//! only its floor can say, on a floor that does not import it. What a floor offers (`pub`, and
//! named in its `mod.rs`) is met by itself and by every floor above. What is met all the same is
//! listed with its reason.

use std::collections::BTreeMap;

use super::{FLOORS, Source, outside_tests, sources, words};

/// Names that several types have, and why none of them is renamed.
const SHARED: [(&str, &str); 6] = [
    ("Counters", "what each floor counts, always said with its floor: `io::Counters`"),
    ("Kernel", "the trait, and the two that implement it: `uring::Kernel`, `epoll::Kernel`"),
    ("Limits", "what a stream may hold, and what the users of all workers: `stream::Limits`"),
    ("Report", "a worker's report carries its turn's: `Report::Turn(turn::Report)`"),
    ("Sent", "what each of the two kernels remembers of a send"),
    ("Settings", "what each floor is set to, always said with its floor: `io::Settings`"),
];

/// Who may name a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    InItsFile,
    InItsFolder,
    OnItsFloor,
    Above,
}

/// A type: the file that declares it, and who may name it.
#[derive(Clone, Debug)]
struct Declared {
    path: String,
    floor: String,
    seen: Seen,
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
        assert!(declared.contains_key(name), "{name} is gone: take it out of SHARED");
    }
}

#[test]
fn a_second_type_of_a_name_is_found_where_it_can_be_met() {
    let is_found = |files: &[(&str, &str)]| {
        let sources: Vec<_> = files.iter().map(|(path, text)| Source::new(path, text)).collect();
        shared(&declared(&sources)).contains_key("Slot")
    };
    let offered = ("src/turn/a.rs", "pub struct Slot<T>(T);");
    let edge = ("src/turn/mod.rs", "pub use a::Slot;");
    for text in [
        "pub struct Slot {\n}",
        "pub(crate) enum Slot {\n}",
        "#[derive(Debug)]\npub(super) type Slot = u32;",
        "pub(in crate::worker) trait Slot {\n}",
    ] {
        assert!(is_found(&[offered, edge, ("src/worker/b/c.rs", text)]), "{text}");
        assert!(!is_found(&[offered, ("src/worker/b/c.rs", text)]), "not offered: {text}");
        assert!(!is_found(&[offered, edge, ("src/io/b.rs", text)]), "io does not import turn");
    }
    for text in [
        "struct Slot;",
        "pub struct Slots;",
        "// pub struct Slot;",
        "#[cfg(test)]\nmod tests {\npub struct Slot;\n}",
    ] {
        assert!(!is_found(&[offered, edge, ("src/worker/b.rs", text)]), "{text}");
    }
    assert!(!is_found(&[offered, ("src/turn/scenario/b.rs", "pub struct Slot;")]), "a test's");
    let folder = |path| (path, "pub(super) struct Slot;");
    assert!(!is_found(&[folder("src/io/a/b.rs"), folder("src/io/c/d.rs")]), "in their folders");
    assert!(is_found(&[folder("src/io/a/b.rs"), ("src/io/c.rs", "pub struct Slot;")]));
}

/// The types of the crate by name.
fn declared(sources: &[Source]) -> BTreeMap<String, Vec<Declared>> {
    let is_test = |path: &str| path.contains("/scenario/") || path.ends_with("/tests.rs");
    let inside = sources.iter().filter(|it| it.path.starts_with("src/") && !is_test(&it.path));
    let mut declared: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for source in inside {
        let Some(floor) = source.floor() else { continue };
        let edge = sources.iter().find(|it| it.path == format!("src/{floor}/mod.rs"));
        for line in outside_tests(&source.code).lines() {
            let Some((name, seen)) = declaration(line, &source.path) else { continue };
            let is_offered = edge.is_some_and(|it| words(&it.code).any(|(_, word)| word == name));
            let seen = if seen == Seen::Above && !is_offered { Seen::OnItsFloor } else { seen };
            let (path, floor) = (source.path.clone(), floor.to_owned());
            declared.entry(name).or_default().push(Declared { path, floor, seen });
        }
    }
    declared
}

/// Names that more than one type has, of which somebody can meet two, and where those stand.
fn shared(declared: &BTreeMap<String, Vec<Declared>>) -> BTreeMap<&str, Vec<&str>> {
    let met = declared.iter().filter_map(|(name, all)| {
        let is_met = |at: usize| {
            let others = all.iter().enumerate().filter(|(other, _)| *other != at);
            others.into_iter().any(|(_, other)| meet(&all[at], other))
        };
        let those = (0..all.len()).filter(|at| is_met(*at));
        let paths: Vec<&str> = those.map(|at| all[at].path.as_str()).collect();
        (!paths.is_empty()).then_some((name.as_str(), paths))
    });
    met.collect()
}

/// Whether there is a place where both may be named.
fn meet(one: &Declared, other: &Declared) -> bool {
    let reaches = |from: &Declared, to: &Declared| {
        let above = FLOORS.iter().find(|(floor, _)| *floor == to.floor).map_or(&[][..], |it| it.1);
        from.floor == to.floor || from.seen == Seen::Above && above.contains(&from.floor.as_str())
    };
    let is_in_a_file = one.seen == Seen::InItsFile || other.seen == Seen::InItsFile;
    let are_in_folders = one.seen == Seen::InItsFolder && other.seen == Seen::InItsFolder;
    let both_above = one.seen == Seen::Above && other.seen == Seen::Above;
    let common = FLOORS
        .iter()
        .any(|(_, below)| [one, other].iter().all(|it| below.contains(&it.floor.as_str())));
    let has_place = reaches(one, other) || reaches(other, one) || both_above && common;
    !is_in_a_file && !are_in_folders && has_place
}

/// The type that a line declares, unless it is indented and so part of something else.
fn declaration(line: &str, path: &str) -> Option<(String, Seen)> {
    let (seen, rest) = match line.strip_prefix("pub") {
        None => (Seen::InItsFile, line),
        Some(rest) => match rest.strip_prefix('(').and_then(|rest| rest.split_once(") ")) {
            None => (Seen::Above, rest.trim_start()),
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
        Some(_) => Seen::OnItsFloor,
        None => Seen::Above,
    }
}
