//! Rules about the source that no compiler checks: which floor may import which, where `unsafe`
//! lives, what the pure floors must not touch, how long a file may be.
//!
//! Each rule is a function from a file's text to its faults, so that each is tried on a bad sample
//! before it is believed about the tree.

#[path = "tidy/circles.rs"]
mod circles;
#[path = "tidy/functions.rs"]
mod functions;
#[path = "tidy/manifests.rs"]
mod manifests;
#[path = "tidy/names.rs"]
mod names;
#[path = "tidy/reasons.rs"]
mod reasons;

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Floors and what they may import besides themselves. `src/main.rs` stands on all of them.
const FLOORS: [(&str, &[&str]); 6] = [
    ("wire", &[]),
    ("turn", &["wire"]),
    ("stream", &["wire"]),
    ("io", &[]),
    ("worker", &["wire", "turn", "stream", "io"]),
    ("control", &["wire", "turn", "stream", "io", "worker"]),
];

/// The only folder that names the TLS library, which changes its interface with each version.
const TLS: &str = "src/stream/tls/";

/// The only files that own unsafe code; of the tests, those that implement an allocator or read the
/// counters of coverage.
const UNSAFE: [&str; 18] = [
    "loadgen/src/socket/inbox.rs",
    "loadgen/src/socket/outbox.rs",
    "loadgen/src/socket/poller.rs",
    "loadgen/src/socket/sys.rs",
    "src/io/epoll/mmsg.rs",
    "src/io/epoll/poll.rs",
    "src/io/memory/pool.rs",
    "src/io/memory/pool/tests.rs",
    "src/io/socket/steer.rs",
    "src/io/sys.rs",
    "src/io/uring/buffer_ring.rs",
    "src/io/uring/kernel.rs",
    "src/io/uring/ring.rs",
    "src/io/uring/stream_memory.rs",
    "src/io/uring/streams.rs",
    "tests/fuzz/coverage.rs",
    "tests/io_allocations.rs",
    "tests/no_alloc.rs",
];

/// Clocks, threads, sockets, files, logs and random sources: words the pure floors may not say.
const IMPURE: [&str; 25] = [
    "Instant",
    "SystemTime",
    "UNIX_EPOCH",
    "thread",
    "thread_local",
    "UdpSocket",
    "TcpStream",
    "TcpListener",
    "ToSocketAddrs",
    "socket2",
    "libc",
    "nix",
    "tokio",
    "getrandom",
    "RandomState",
    "DefaultHasher",
    "fs",
    "env",
    "process",
    "println",
    "eprintln",
    "tracing",
    "Mutex",
    "RwLock",
    "unsafe",
];

const MOST_LINES: usize = 500;
/// Columns of a line of comment; what rustfmt holds code to.
const MOST_COLUMNS: usize = 100;

/// A source file, with and without what the compiler does not read.
struct Source {
    /// From the root of the repository, with slashes.
    path: String,
    text: String,
    /// Comments, strings and character literals blanked out; line breaks kept.
    code: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned(), code: without_words(text) }
    }

    /// The floor it stands on; `None` for `lib.rs`, `main.rs` and what is outside of `src`.
    fn floor(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("src/")?;
        inside.split_once('/').map(|(floor, _)| floor)
    }

    /// Modules between the crate root and this file, itself included: 2 for `src/turn/nonce.rs`.
    fn depth(&self) -> usize {
        let names = self.path.matches('/').count();
        if self.path.ends_with("/mod.rs") { names - 1 } else { names }
    }
}

#[test]
fn floors_import_downwards() {
    assert_tidy(imports);
}

#[test]
fn unsafe_stays_in_the_files_that_own_it() {
    assert_tidy(unsafe_code);
}

#[test]
fn the_pure_floors_touch_no_clock_thread_socket_or_chance() {
    assert_tidy(impurities);
}

#[test]
fn the_tls_library_is_named_in_one_folder() {
    assert_tidy(tls_library);
}

#[test]
fn files_are_short_and_say_what_they_are() {
    assert_tidy(shape);
}

#[test]
fn comments_fit_the_columns() {
    assert_tidy(columns);
}

#[test]
fn nothing_names_the_machine_it_was_written_on() {
    assert_tidy(machine_paths);
}

#[test]
fn the_rules_find_what_they_look_for() {
    let faults = |rule: Rule, path: &str, text: &str| rule(&Source::new(path, text)).len();
    for text in [
        "use crate::io::Lease;",
        "use crate::{wire, io};",
        "use crate::{\n    wire::{Message},\n    worker::{Worker, io},\n};",
        "fn f() -> crate::control::Config {}",
        "use super::super::io::Lease;",
        "mod tests {\n    use super::super::super::io;\n}",
    ] {
        assert_eq!(faults(imports, "src/turn/nonce.rs", text), 1, "{text}");
    }
    for text in [
        "use crate::{turn::io, wire::{Message, io}};\nuse super::Now;",
        "// crate::io\n/* crate::io /* crate::io */ crate::io */ \"crate::io\" r#\"crate::io \"\"#",
        "mod tests {\n    use super::super::Now;\n}",
        "fn f<'a>(c: char) -> bool { c == '\"' || c == '\\'' } use crate::wire; // '\"' crate::io",
    ] {
        assert_eq!(faults(imports, "src/turn/nonce.rs", text), 0, "{text}");
    }
    assert_eq!(faults(imports, "loadgen/src/main.rs", "use uturn::{wire, turn};"), 1);
    assert_eq!(faults(imports, "loadgen/src/main.rs", "use uturn::stream::ClientFault;"), 1);
    assert_eq!(faults(imports, "loadgen/src/stream/tls.rs", "use uturn::{stream, turn};"), 1);
    assert_eq!(faults(imports, "loadgen/src/command/run.rs", "use uturn::control::serve;"), 1);
    assert_eq!(faults(imports, "src/wire/header.rs", "use crate::turn::Now;"), 1);
    assert_eq!(faults(unsafe_code, "src/worker/spawn.rs", "fn f() { unsafe { g() } }"), 1);
    assert_eq!(faults(unsafe_code, "src/worker/spawn.rs", "// unsafe\n#[expect(unsafe_code)]"), 0);
    assert_eq!(faults(impurities, "src/turn/a.rs", "use std::time::Instant;\nstd::thread::x()"), 2);
    assert_eq!(faults(impurities, "src/turn/a.rs", "let x = HashMap::new();"), 1);
    let tests = "#[cfg(test)]\nmod tests {\n    use std::{thread, time::Instant};\n}";
    assert_eq!(faults(impurities, "src/turn/a.rs", tests), 1, "the clock");
    assert_eq!(faults(impurities, "src/io/a.rs", "use std::time::Instant;"), 0);
    assert_eq!(faults(impurities, "src/stream/a.rs", "use std::time::Instant;"), 1);
    assert_eq!(faults(tls_library, "src/stream/a.rs", "use rustls::Error;"), 1);
    assert_eq!(faults(tls_library, "src/stream/tls/a.rs", "use rustls::Error;"), 0);
    assert_eq!(faults(shape, "src/turn/a.rs", &format!("//! What.\n{}", "\n".repeat(500))), 1);
    assert_eq!(faults(shape, "src/turn/a.rs", "use std::fmt;"), 1);
    // The attributes that the rule forbids, put together here so that no file holds one.
    for name in [["al", "low(dead_code)"], ["ig", "nore"]].map(|parts| parts.concat()) {
        assert_eq!(faults(shape, "tests/a.rs", &format!("//! What.\n#[{name}]\nfn f() {{}}")), 1);
    }
    let wide = format!("{}wide\n", "x ".repeat(50));
    for (text, count) in
        [("//! {}", 1), ("    /// {}", 1), ("// {}", 1), ("//! | {}", 0), ("{}", 0)]
    {
        assert_eq!(faults(columns, "src/turn/a.rs", &text.replace("{}", &wide)), count, "{text}");
    }
    assert_eq!(faults(columns, "src/turn/a.rs", &format!("// {}", "x".repeat(97))), 0);
    let path = ["see ", "/ro", "ot/notes"].concat();
    assert_eq!(faults(machine_paths, "README.md", &path), 1);
}

type Rule = fn(&Source) -> Vec<String>;

#[track_caller]
fn assert_tidy(rule: Rule) {
    let sources = sources();
    assert!(sources.len() > 50, "the walk finds the tree");
    let faults: Vec<_> = sources.iter().flat_map(rule).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

fn imports(source: &Source) -> Vec<String> {
    let (root, mine): (&str, &[&str]) = match source.floor() {
        // How a certificate is verified: what is measured is the other end.
        None if source.path.starts_with("loadgen/src/stream/") => ("uturn", &["stream", "wire"]),
        // Both manual pages are made by one hand.
        None if source.path == "loadgen/src/command/manual.rs" => ("uturn", &["control"]),
        None if source.path.starts_with("loadgen/src/") => ("uturn", &["wire"]),
        None => return Vec::new(),
        Some(floor) => ("crate", &[floor]),
    };
    let below = FLOORS.iter().find(|(floor, _)| mine == [*floor]).map_or(&[][..], |(_, b)| b);
    let is_open = |floor: &String| mine.contains(&&**floor) || below.contains(&&**floor);
    let mut faults: Vec<_> = heads_behind(&source.code, root)
        .into_iter()
        .filter(|head| !is_open(head))
        .map(|head| format!("{}: imports {head}", source.path))
        .collect();
    if root == "crate" && climbs_out(source) {
        faults.push(format!("{}: climbs to the crate root with super", source.path));
    }
    faults
}

/// The first names of all paths that begin with `root::`, in groups too.
fn heads_behind(code: &str, root: &str) -> Vec<String> {
    let behind = code.match_indices(root).filter_map(|(at, _)| {
        let stands_alone = !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        code[at + root.len()..].strip_prefix("::").filter(|_| stands_alone)
    });
    behind.flat_map(heads).collect()
}

/// The first name of a path, or of each path of a group `{a, b::{c, d}}`.
fn heads(path: &str) -> Vec<String> {
    let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    let Some(group) = path.strip_prefix('{') else { return vec![name(path)] };
    let mut open = 1;
    let end = group.find(|c| {
        open += i32::from(c == '{') - i32::from(c == '}');
        open == 0
    });
    let mut open = 0;
    let members = group[..end.unwrap_or(group.len())].split(|c| {
        open += i32::from(c == '{') - i32::from(c == '}');
        open == 0 && c == ','
    });
    members
        .map(|member| name(member.trim_start()))
        .filter(|name: &String| !name.is_empty())
        .collect()
}

/// True when a chain of `super` is as long as the file is deep; within an inline module, one more.
fn climbs_out(source: &Source) -> bool {
    let inline = source.code.find("mod tests {").unwrap_or(source.code.len());
    (0..source.code.len()).filter(|at| source.code.is_char_boundary(*at)).any(|at| {
        let mut chain = 0;
        let mut rest = &source.code[at..];
        while let Some(behind) = rest.strip_prefix("super::") {
            chain += 1;
            rest = behind;
        }
        chain > 0 && chain >= source.depth() + usize::from(at > inline)
    })
}

fn unsafe_code(source: &Source) -> Vec<String> {
    let owns = UNSAFE.contains(&&*source.path);
    let faults = words(&source.code).filter(|(_, word)| *word == "unsafe" && !owns);
    faults.map(|(line, _)| format!("{}:{line}: unsafe", source.path)).collect()
}

fn impurities(source: &Source) -> Vec<String> {
    if !matches!(source.floor(), Some("wire" | "turn" | "stream")) {
        return Vec::new();
    }
    // What several workers share is tested with several threads.
    let begins_tests = outside_tests(&source.code).lines().count();
    let may_be_said = |line: usize, word: &str| word == "thread" && line > begins_tests;
    let said = words(&source.code)
        .filter(|(line, word)| IMPURE.contains(word) && !may_be_said(*line, word));
    let mut faults: Vec<_> =
        said.map(|(line, word)| format!("{}:{line}: {word}", source.path)).collect();
    // These two draw their seed from the system; a hasher of one's own is given one.
    if ["HashMap::new", "HashSet::new"].iter().any(|new| outside_tests(&source.code).contains(new))
    {
        faults.push(format!("{}: a map with a random hasher", source.path));
    }
    faults
}

fn tls_library(source: &Source) -> Vec<String> {
    let may_be_said = !source.path.starts_with("src/") || source.path.starts_with(TLS);
    let faults = words(&source.code).filter(|(_, word)| *word == "rustls" && !may_be_said);
    faults.map(|(line, _)| format!("{}:{line}: rustls", source.path)).collect()
}

fn shape(source: &Source) -> Vec<String> {
    if !source.path.ends_with(".rs") {
        return Vec::new();
    }
    let lines = source.text.lines().count();
    let faults = [
        (lines > MOST_LINES).then(|| format!("{}: {lines} lines", source.path)),
        (!source.text.starts_with("//!")).then(|| format!("{}: says not what it is", source.path)),
        ["#[allow", "#![allow"]
            .iter()
            .any(|allow| source.code.contains(allow))
            .then(|| format!("{}: allow in place of expect", source.path)),
        source
            .code
            .contains(concat!("#[ig", "nore"))
            .then(|| format!("{}: a test that is not run", source.path)),
    ];
    faults.into_iter().flatten().collect()
}

/// A row of a table is as wide as it is.
fn columns(source: &Source) -> Vec<String> {
    if !source.path.ends_with(".rs") {
        return Vec::new();
    }
    let is_wide = |line: &&str| {
        let comment = line.trim_start().strip_prefix("//");
        let comment = comment.map(|text| text.trim_start_matches(['/', '!']).trim_start());
        comment.is_some_and(|text| !text.starts_with('|')) && line.chars().count() > MOST_COLUMNS
    };
    let faults = source.text.lines().enumerate().filter(|(_, line)| is_wide(line));
    faults.map(|(at, line)| format!("{}:{}: {line}", source.path, at + 1)).collect()
}

fn machine_paths(source: &Source) -> Vec<String> {
    // Put together here, or this file would be the first to fail.
    let paths =
        ["work", "root", "home/[a-z]"].map(|name| format!("/{}", name.replace("[a-z]", "")));
    let is_path = |line: &&str| {
        paths.iter().any(|path| {
            let found = line.match_indices(path.as_str());
            found.into_iter().any(|(at, _)| {
                let before = line[..at].chars().next_back();
                let after = line[at + path.len()..].chars().next();
                let begins = before.is_none_or(|c| c.is_whitespace() || "\"'`(=:".contains(c));
                begins && (path.ends_with('/') || after.is_none_or(|c| c == '/'))
            })
        })
    };
    let faults = source.text.lines().enumerate().filter(|(_, line)| is_path(line));
    faults.map(|(at, line)| format!("{}:{}: {line}", source.path, at + 1)).collect()
}

fn outside_tests(code: &str) -> &str {
    code.find("#[cfg(test)]\nmod tests {").map_or(code, |at| &code[..at])
}

/// The identifiers of some code and their lines.
fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    code.lines().enumerate().flat_map(|(at, line)| {
        let words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
        words.map(move |word| (at + 1, word))
    })
}

/// Blanks comments, strings and character literals.
fn without_words(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = word_bytes(rest, code.chars().next_back());
        if skipped == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            code.push(' ');
            code.extend(rest[..skipped].chars().filter(|c| *c == '\n'));
            rest = &rest[skipped..];
        }
    }
    code
}

/// Bytes of the comment or literal that `rest` begins with; 0 when it begins with code.
fn word_bytes(rest: &str, before: Option<char>) -> usize {
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment_bytes(rest);
    }
    if rest.starts_with('"') {
        return escaped_bytes(rest, '"');
    }
    if !in_word && (rest.starts_with("r\"") || rest.starts_with("r#\"")) {
        let end = if rest.starts_with("r\"") { "\"" } else { "\"#" };
        let begin = end.len() + 1;
        return rest[begin..].find(end).map_or(rest.len(), |at| begin + at + end.len());
    }
    // A lifetime has no quote behind its first character.
    let is_char = rest.starts_with("'\\") || rest.chars().nth(2) == Some('\'');
    if rest.starts_with('\'') && is_char { escaped_bytes(rest, '\'') } else { 0 }
}

fn block_comment_bytes(rest: &str) -> usize {
    let mut open = 0;
    for (at, _) in rest.char_indices() {
        open += i32::from(rest[at..].starts_with("/*"));
        if at > 0 && rest[at - 1..].starts_with("*/") {
            open -= 1;
            if open == 0 {
                return at + 1;
            }
        }
    }
    rest.len()
}

fn escaped_bytes(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        if c == quote && !escaped {
            return at + c.len_utf8();
        }
        escaped = c == '\\' && !escaped;
    }
    rest.len()
}

/// Every text of the repository that this rule book is about.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    walk(root, &mut files);
    files.sort();
    let read = |path: PathBuf| {
        let inside = path.strip_prefix(root).ok()?.to_str()?;
        Some(Source::new(inside, &fs::read_to_string(&path).ok()?))
    };
    files.into_iter().filter_map(read).collect()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).expect("the tree can be read");
    for entry in entries.map(|entry| entry.expect("the tree can be read")) {
        let path = entry.path();
        let name = entry.file_name();
        let is_left_out = name == "target" || name == ".git" || name == "proptest-regressions";
        if is_left_out {
            continue;
        }
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|e| ["rs", "md", "toml"].iter().any(|x| e == *x)) {
            files.push(path);
        }
    }
}
