//! The text format of Prometheus, version 0.0.4: a head of two lines, then a line for each sample.
//!
//! ```text
//! # HELP uturn_packets_total Packets relayed.
//! # TYPE uturn_packets_total counter
//! uturn_packets_total{worker="0",direction="to_peers"} 17
//! ```
//!
//! A sample can only be written under its family's head, and a head only once, because the family
//! borrows the text. Source: the "Exposition formats" page of Prometheus.

use std::fmt::{Display, Write as _};

/// What the text says of itself.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A text in the making.
#[derive(Debug, Default)]
pub(super) struct Text(String);

/// What the values of a family do in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// They only grow; by convention the name ends in `_total`.
    Counter,
    /// They rise and fall.
    Gauge,
}

/// A family whose samples are being written.
#[derive(Debug)]
pub(super) struct Family<'a> {
    text: &'a mut String,
    name: &'a str,
}

impl Text {
    /// Begins a family. The name has only letters, digits and underscores; no other has it.
    pub(super) fn family<'a>(&'a mut self, name: &'a str, kind: Kind, help: &str) -> Family<'a> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        self.0.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        Family { text: &mut self.0, name }
    }

    /// Gives the text out.
    pub(super) fn finish(self) -> String {
        self.0
    }
}

impl Family<'_> {
    /// Writes a sample. No other of the family has the same labels.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(self.name);
        for (place, (label, word)) in labels.iter().enumerate() {
            let before = if place == 0 { '{' } else { ',' };
            let word = word.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            self.push(format_args!("{before}{label}=\"{word}\""));
        }
        let after = if labels.is_empty() { "" } else { "}" };
        self.push(format_args!("{after} {value}\n"));
    }

    fn push(&mut self, words: std::fmt::Arguments<'_>) {
        self.text.write_fmt(words).expect("a string takes everything");
    }
}

#[cfg(test)]
pub(super) mod parser {
    //! A reader of the format, written from its description and as strict as it allows.

    use std::collections::{BTreeMap, BTreeSet};

    /// The samples of one family by their labels.
    #[derive(Debug, Default, PartialEq, Eq)]
    pub(in crate::control::metrics) struct Read {
        pub(in crate::control::metrics) kind: String,
        pub(in crate::control::metrics) help: String,
        pub(in crate::control::metrics) samples: BTreeMap<Labels, String>,
    }

    pub(in crate::control::metrics) type Labels = Vec<(String, String)>;

    /// Reads every family; panics at whatever Prometheus might refuse.
    pub(in crate::control::metrics) fn parse(text: &str) -> BTreeMap<String, Read> {
        let mut families: BTreeMap<String, Read> = BTreeMap::new();
        let mut current = String::new();
        assert!(text.ends_with('\n'));
        for line in text.split_terminator('\n') {
            if let Some(head) = line.strip_prefix("# HELP ") {
                let (name, help) = head.split_once(' ').unwrap();
                assert!(is_name(name), "{line}");
                let read = Read { help: unescape(help), ..Read::default() };
                assert!(families.insert(name.to_owned(), read).is_none(), "twice: {line}");
                current = name.to_owned();
            } else if let Some(head) = line.strip_prefix("# TYPE ") {
                let (name, kind) = head.split_once(' ').unwrap();
                let family = families.get_mut(name).unwrap();
                assert!(name == current && family.kind.is_empty() && family.samples.is_empty());
                assert!(["counter", "gauge"].contains(&kind), "{line}");
                family.kind = kind.to_owned();
            } else {
                let (labels, value) = sample(line, &current);
                value.parse::<f64>().unwrap_or_else(|_| panic!("{line}"));
                let family = families.get_mut(&current).unwrap();
                assert!(!family.kind.is_empty(), "{line}");
                assert!(family.samples.insert(labels, value.to_owned()).is_none(), "twice: {line}");
            }
        }
        families
    }

    fn sample<'a>(line: &'a str, name: &str) -> (Labels, &'a str) {
        let mut rest = line.strip_prefix(name).unwrap_or_else(|| panic!("{line} not of {name}"));
        let mut labels = Vec::new();
        let mut opener = '{';
        while let Some(pair) = rest.strip_prefix(opener) {
            let (label, word) = pair.split_once("=\"").unwrap();
            assert!(is_name(label) && !label.starts_with("__"), "{line}");
            let end = closing_quote(word);
            labels.push((label.to_owned(), unescape(&word[..end])));
            rest = &word[end + 1..];
            opener = ',';
        }
        let names: BTreeSet<_> = labels.iter().map(|(label, _)| label).collect();
        assert_eq!(names.len(), labels.len(), "{line}");
        let rest = if labels.is_empty() { rest } else { rest.strip_prefix('}').unwrap() };
        (labels, rest.strip_prefix(' ').unwrap())
    }

    fn closing_quote(word: &str) -> usize {
        let mut escaped = false;
        let quote = word.find(|c| {
            let closes = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            closes
        });
        quote.unwrap()
    }

    fn unescape(text: &str) -> String {
        let mut chars = text.chars();
        let mut plain = String::new();
        while let Some(c) = chars.next() {
            plain.push(match (c, c == '\\') {
                (_, true) => match chars.next() {
                    Some('n') => '\n',
                    Some(c @ ('\\' | '"')) => c,
                    other => panic!("\\{other:?} in {text}"),
                },
                (c, false) => c,
            });
        }
        plain
    }

    fn is_name(word: &str) -> bool {
        let is_start = |c: char| c.is_ascii_alphabetic() || c == '_';
        word.starts_with(is_start) && word.chars().all(|c| is_start(c) || c.is_ascii_digit())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::parser::{Read, parse};
    use super::{Kind, Text};

    #[test]
    fn a_family_to_the_byte() {
        let mut text = Text::default();
        let mut family = text.family("a_total", Kind::Counter, "One\\two\nthree.");
        family.sample(&[("worker", "0"), ("word", "say \"\\\n\"")], 7_u64);
        text.family("b", Kind::Gauge, "B.").sample(&[], 1.5);
        let expected = "# HELP a_total One\\\\two\\nthree.\n# TYPE a_total counter\n\
                        a_total{worker=\"0\",word=\"say \\\"\\\\\\n\\\"\"} 7\n\
                        # HELP b B.\n# TYPE b gauge\nb 1.5\n";
        assert_eq!(text.finish(), expected);
    }

    type Samples = BTreeMap<[String; 2], u64>;

    proptest! {
        #[test]
        fn whatever_is_written_is_read_again(
            families in prop::collection::btree_map(
                "[a-z_][a-z0-9_]{0,8}",
                (any::<bool>(), "(?s).{0,12}", prop::collection::btree_map(
                    prop::array::uniform2("(?s).{0,8}|[\\\\\"\n{},= ]{0,8}"), any::<u64>(), 0..4,
                )),
                1..4,
            )
        ) {
            let mut text = Text::default();
            let mut expected = BTreeMap::new();
            for (name, (grows, help, samples)) in &families {
                let kind = if *grows { Kind::Counter } else { Kind::Gauge };
                let mut family = text.family(name, kind, help);
                let samples: &Samples = samples;
                for ([a, b], value) in samples {
                    family.sample(&[("a", a), ("b", b)], value);
                }
                let read = |([a, b], value): (&[String; 2], &u64)| {
                    (vec![("a".into(), a.clone()), ("b".into(), b.clone())], value.to_string())
                };
                let kind = if *grows { "counter" } else { "gauge" };
                let samples = samples.iter().map(read).collect();
                expected.insert(
                    name.clone(),
                    Read { kind: kind.into(), help: help.clone(), samples },
                );
            }
            prop_assert_eq!(parse(&text.finish()), expected);
        }
    }
}
