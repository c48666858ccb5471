//! Modules that import each other in a circle: none of them can be read, tested or moved without
//! the others.
//!
//! A file imports the module that the longest known part of a path leads to. What tests import is
//! left out.

use std::collections::{BTreeMap, BTreeSet};

use super::{Source, outside_tests, sources};

/// Crates without a circle.
const FREE_OF_CIRCLES: [&str; 2] = ["loadgen/src/", "src/"];

/// What each module imports.
type Imports = BTreeMap<String, BTreeSet<String>>;

#[test]
fn no_module_imports_itself_by_way_of_others() {
    let sources = sources();
    for root in FREE_OF_CIRCLES {
        let imports = imports(&sources, root);
        assert!(imports.len() > 20, "the walk finds {root}");
        assert_eq!(circle(&imports), None, "{root}");
    }
}

#[test]
fn a_circle_is_found_by_every_kind_of_path() {
    let circle_of = |files: &[(&str, &str)]| {
        let sources: Vec<_> = files.iter().map(|(path, text)| Source::new(path, text)).collect();
        circle(&imports(&sources, "src/")).map(|circle| circle.join(" > "))
    };
    let found = Some("a > b::c > a".to_owned());
    for (a, c) in [
        ("use crate::b::c::X;", "use crate::a;"),
        ("use crate::{d, b::{self, c::{X, Y}}};", "fn f() -> crate::a::A {}"),
        ("fn f() { crate::b::c::g() }", "use super::super::a::{self, A};"),
    ] {
        let files = [("src/a.rs", a), ("src/b/mod.rs", "mod c;"), ("src/b/c.rs", c)];
        assert_eq!(circle_of(&files), found, "{a} {c}");
    }
    let folder = [("src/b/mod.rs", "mod c;\npub use c::X;"), ("src/b/c.rs", "use super::Y;")];
    assert_eq!(circle_of(&folder), Some("b > b::c > b".to_owned()));
    let visibility =
        [("src/b/mod.rs", "mod c;\nuse c::X;"), ("src/b/c.rs", "pub(in crate::b) struct X;")];
    assert_eq!(circle_of(&visibility), None);
    let folder = [
        ("src/control/config/key.rs", "use super::value::V;"),
        ("src/control/config/value.rs", "use super::key::Key; use crate::control::log::L;"),
        ("src/control/log.rs", ""),
    ];
    assert_eq!(
        circle_of(&folder).as_deref(),
        Some("control::config::key > control::config::value > control::config::key")
    );
    let declared = [
        ("src/b/mod.rs", "mod c;\n#[cfg(test)]\nmod tests;\nuse c::X;"),
        ("src/b/c.rs", "use super::Y;"),
    ];
    assert_eq!(circle_of(&declared), Some("b > b::c > b".to_owned()));
    let tests = "use super::*;\n#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}";
    let free = [("src/a.rs", "use crate::b::X;"), ("src/b.rs", tests), ("src/main.rs", "mod a;")];
    assert_eq!(circle_of(&free), None);
}

/// The imports of all modules below `root`.
fn imports(sources: &[Source], root: &str) -> Imports {
    let inside = sources.iter().filter_map(|source| Some((module(source, root)?, source)));
    let modules: BTreeMap<String, &Source> = inside.collect();
    let known = |path: &str| {
        let mut path = path;
        loop {
            if modules.contains_key(path) {
                return Some(path.to_owned());
            }
            path = path.rsplit_once("::")?.0;
        }
    };
    let of = |(module, source): (&String, &&Source)| {
        let paths = paths(outside_tests(&source.code), module);
        let found = paths.iter().filter_map(|path| known(path)).filter(|other| other != module);
        (module.clone(), found.collect())
    };
    modules.iter().map(of).collect()
}

/// The module a file is: `a::b` for `a/b.rs`; `None` for the root of the crate and what is
/// elsewhere.
fn module(source: &Source, root: &str) -> Option<String> {
    let path = source.path.strip_prefix(root)?.strip_suffix(".rs")?;
    let path = path.strip_suffix("/mod").unwrap_or(path);
    (path != "main" && path != "lib").then(|| path.replace('/', "::"))
}

/// Every path in the code of a module, from the root of the crate.
fn paths(code: &str, module: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for (at, _) in code.match_indices(|c: char| c.is_alphabetic() || c == '_') {
        let begins = !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
        // Who may see an item is no import.
        let is_visibility = code[..at].ends_with("pub(in ");
        if begins && !is_visibility {
            let is_use = code[..at].ends_with("use ");
            let rooted = |path: &String| rooted(path, module, is_use);
            paths.extend(expanded(&code[at..]).0.iter().filter_map(rooted));
        }
    }
    paths
}

/// A path from the root of the crate; `None` when it leads elsewhere.
fn rooted(path: &str, module: &str, is_use: bool) -> Option<String> {
    let (mut base, mut rest) = (module, path);
    let mut climbed = false;
    while let Some(above) = rest.strip_prefix("super::") {
        (base, rest) = (base.rsplit_once("::").map_or("", |(above, _)| above), above);
        climbed = true;
    }
    let joined = |rest: &str| format!("{base}::{rest}").trim_start_matches("::").to_owned();
    match (rest.strip_prefix("crate::"), rest.strip_prefix("self::")) {
        (Some(rest), _) => Some(rest.to_owned()),
        (None, Some(rest)) => Some(joined(rest)),
        (None, None) => (climbed || is_use).then(|| joined(rest)),
    }
}

/// All paths that a text begins with, groups taken apart, and what follows them.
fn expanded(text: &str) -> (Vec<String>, &str) {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let Some(behind) = rest.strip_prefix("::") else { return (vec![name.to_owned()], rest) };
    let Some(mut rest) = behind.strip_prefix('{') else {
        let (tails, rest) = expanded(behind);
        return (tails.iter().map(|tail| format!("{name}::{tail}")).collect(), rest);
    };
    let mut paths = Vec::new();
    while let Some(at) = rest.find(|c: char| c.is_alphabetic() || c == '_' || c == '}') {
        if rest[at..].starts_with('}') {
            return (paths, &rest[at + 1..]);
        }
        let (tails, behind) = expanded(&rest[at..]);
        paths.extend(tails.iter().map(|tail| format!("{name}::{tail}")));
        rest = behind;
    }
    (paths, rest)
}

/// The modules of a circle in the order they import each other, the first again at the end.
fn circle(imports: &Imports) -> Option<Vec<String>> {
    let mut done = BTreeSet::new();
    imports.keys().find_map(|module| walk(module, imports, &mut Vec::new(), &mut done))
}

fn walk<'a>(
    module: &'a String,
    imports: &'a Imports,
    way: &mut Vec<&'a String>,
    done: &mut BTreeSet<&'a String>,
) -> Option<Vec<String>> {
    if let Some(at) = way.iter().position(|before| *before == module) {
        return Some(way[at..].iter().chain([&module]).map(|name| (*name).clone()).collect());
    }
    if done.contains(module) {
        return None;
    }
    way.push(module);
    let below = imports.get(module).into_iter().flatten();
    let found = below.into_iter().find_map(|other| walk(other, imports, way, done));
    way.pop();
    done.insert(module);
    found
}
