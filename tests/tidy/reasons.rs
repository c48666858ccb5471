//! Each reason to drop a datagram has a test that names it.

use super::{Source, sources};

const LIST: &str = "src/turn/api/reason.rs";

#[test]
fn every_reason_is_named_by_a_test() {
    let sources = sources();
    let list = sources.iter().find(|it| it.path == LIST).expect("the list of reasons");
    let reasons = reasons(&list.text);
    assert!(reasons.len() > 20, "the reasons are found");
    let tests: Vec<&str> = sources.iter().filter(|it| it.path != LIST).map(tests).collect();
    let untested = untested(&reasons, &tests);
    assert!(untested.is_empty(), "no test names {}", untested.join(", "));
}

#[test]
fn the_rule_finds_a_reason_without_a_test() {
    let list = "reasons! {\n    /// What.\n    NoRoom => \"no_room\",\n    /// What.\n    \
                NoRelay => \"no_relay\",\n}\n";
    let reasons = reasons(list);
    assert_eq!(reasons, ["NoRoom", "NoRelay"]);
    assert_eq!(untested(&reasons, &["drop(Reason::NoRoom)", "Reason::NoRelays"]), ["NoRelay"]);
    let source = Source::new("src/turn/a.rs", "NoRoom\n#[cfg(test)]\nmod tests { NoRelay }\n");
    assert!(!tests(&source).contains("NoRoom") && tests(&source).contains("NoRelay"));
}

/// The variants of the macro's list.
fn reasons(list: &str) -> Vec<&str> {
    let lines = list.lines().filter_map(|line| line.split_once(" => \""));
    let names = lines.map(|(name, _)| name.trim());
    names.filter(|name| name.chars().all(char::is_alphanumeric)).collect()
}

/// The part of a source that is tests.
fn tests(source: &Source) -> &str {
    let path = &source.path;
    if path.starts_with("tests/") || path.contains("/scenario/") || path.ends_with("/tests.rs") {
        return &source.code;
    }
    source.code.find("#[cfg(test)]").map_or("", |at| &source.code[at..])
}

fn untested<'a>(reasons: &[&'a str], tests: &[&str]) -> Vec<&'a str> {
    let names =
        |reason: &str| tests.iter().any(|code| super::words(code).any(|(_, word)| word == reason));
    reasons.iter().copied().filter(|reason| !names(reason)).collect()
}
