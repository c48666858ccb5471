//! How long a function may be: one screen.

use super::{Source, assert_tidy, outside_tests};

/// Lines from the one that says `fn` to the closing brace, both included.
const MOST_LINES: usize = 60;

/// What may stand in front of `fn`.
const QUALIFIERS: [&str; 5] = ["async", "const", "extern", "pub", "unsafe"];

#[test]
fn functions_fit_a_screen() {
    assert_tidy(long_functions);
}

#[test]
fn a_long_function_is_found_wherever_it_stands() {
    let faults = |path: &str, text: &str| long_functions(&Source::new(path, text));
    let function = |head: &str, lines: usize| {
        let indent = &head[..head.len() - head.trim_start().len()];
        format!("{head} {{\n{}{indent}}}\n", "\n".repeat(lines - 2))
    };
    for head in
        ["fn f()", "pub(in crate::io) const fn f()", "    async fn f(&self)", "    pub fn f()"]
    {
        let long = function(head, 61);
        assert_eq!(faults("src/io/a.rs", &long), ["src/io/a.rs:1: 61 lines"], "{head}");
        assert_eq!(faults("loadgen/src/a.rs", &long).len(), 1, "{head}");
        assert!(faults("src/io/a.rs", &function(head, 60)).is_empty(), "{head}");
        assert!(faults("tests/a.rs", &long).is_empty(), "{head}");
        let tests = format!("#[cfg(test)]\nmod tests {{\n{long}}}\n");
        assert!(faults("src/io/a.rs", &tests).is_empty(), "{head}");
    }
    let declared = format!("    fn f(\n        &self,\n    ) -> u8;\n{}    }}\n", "\n".repeat(70));
    assert!(faults("src/io/a.rs", &declared).is_empty(), "a function without a body");
    let spread = format!("fn f(\n    a: u8,\n) {{\n{}}}\n", "\n".repeat(57));
    assert_eq!(faults("src/io/a.rs", &spread), ["src/io/a.rs:1: 61 lines"]);
}

fn long_functions(source: &Source) -> Vec<String> {
    let is_held = ["src/", "loadgen/src/"].iter().any(|root| source.path.starts_with(root));
    let is_test = source.path.ends_with("tests.rs") || source.path.contains("/scenario/");
    if !source.path.ends_with(".rs") || !is_held || is_test {
        return Vec::new();
    }
    let lines: Vec<_> = outside_tests(&source.code).lines().collect();
    let begins = (0..lines.len()).filter(|at| begins_a_function(lines[*at]));
    let lengths = begins.map(|at| (at + 1, function_lines(&lines[at..])));
    lengths
        .filter(|(_, length)| *length > MOST_LINES)
        .map(|(line, length)| format!("{}:{line}: {length} lines", source.path))
        .collect()
}

fn begins_a_function(line: &str) -> bool {
    let Some((before, _)) = line.split_once("fn ") else { return false };
    let is_qualifier = |word: &str| QUALIFIERS.iter().any(|known| word.starts_with(known));
    let mut words = before.split_whitespace().filter(|word| !word.starts_with("crate::"));
    before.is_empty() || (before.ends_with(' ') && words.all(is_qualifier))
}

/// Lines up to the first that ends the function: its brace, or the semicolon of one without a body.
fn function_lines(lines: &[&str]) -> usize {
    let indent = lines[0].len() - lines[0].trim_start().len();
    let ends = |line: &&str| {
        let rest = line.get(indent..).unwrap_or("");
        line[..indent.min(line.len())].trim().is_empty()
            && (rest.starts_with('}') || rest.starts_with(')') && rest.ends_with(';'))
    };
    let is_one_line = lines[0].ends_with('}') || lines[0].ends_with(';');
    if is_one_line {
        return 1;
    }
    lines.iter().skip(1).position(ends).map_or(lines.len(), |at| at + 2)
}
