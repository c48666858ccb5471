//! The text format of Prometheus, version 0.0.4: a head of two lines, then a line for each sample.
//!
//! ```text
//! # HELP uturn_packets_total Packets relayed.
//! # TYPE uturn_packets_total counter
//! uturn_packets_total{worker="0",direction="to_peers"} 17
//! ```
//!
//! A histogram's samples are distributions, each of a line for every bucket, with its upper bound
//! as label `le` and how many values are not above it, then the sum of the values and their number.
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
pub(super) enum MetricKind {
    /// They only grow; by convention the name ends in `_total`.
    Counter,
    /// They rise and fall.
    Gauge,
    /// Each of its samples is a [distribution](MetricFamily::distribution).
    Histogram,
}

/// All values of a distribution together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Total {
    /// Their sum.
    pub(super) sum: f64,
    /// How many there are.
    pub(super) count: u64,
}

/// A family whose samples are being written.
#[derive(Debug)]
pub(super) struct MetricFamily<'a> {
    text: &'a mut String,
    name: &'a str,
}

impl Text {
    /// Begins a family. The name has only letters, digits and underscores; no other has it.
    pub(super) fn family<'a>(
        &'a mut self,
        name: &'a str,
        kind: MetricKind,
        help: &str,
    ) -> MetricFamily<'a> {
        let kind = match kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        self.0.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        MetricFamily { text: &mut self.0, name }
    }

    /// Gives the text out.
    pub(super) fn finish(self) -> String {
        self.0
    }
}

impl MetricFamily<'_> {
    /// Writes a sample. No other of the family has the same labels.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.line("", labels, value);
    }

    /// Writes a distribution: for each bucket its upper bound and how many values are not above it,
    /// bounds rising; what is above the last is known from the total.
    pub(super) fn distribution(
        &mut self,
        labels: &[(&str, &str)],
        buckets: impl Iterator<Item = (f64, u64)>,
        total: Total,
    ) {
        for (up_to, count) in buckets {
            self.bucket(labels, &up_to.to_string(), count);
        }
        self.bucket(labels, "+Inf", total.count);
        self.line("_sum", labels, total.sum);
        self.line("_count", labels, total.count);
    }

    fn bucket(&mut self, labels: &[(&str, &str)], up_to: &str, count: u64) {
        let labels = [labels, &[("le", up_to)]].concat();
        self.line("_bucket", &labels, count);
    }

    fn line(&mut self, part: &str, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(self.name);
        self.text.push_str(part);
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

    /// Stands where a label's name does and says which part of a histogram a sample is.
    pub(in crate::control::metrics) const PART: &str = "__part";

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
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                family.kind = kind.to_owned();
            } else {
                let family = families.get_mut(&current).unwrap();
                let (labels, value) = match family.kind.as_str() {
                    "histogram" => part(line, &current),
                    _ => sample(line, &current),
                };
                value.parse::<f64>().unwrap_or_else(|_| panic!("{line}"));
                assert!(!family.kind.is_empty(), "{line}");
                assert!(family.samples.insert(labels, value.to_owned()).is_none(), "twice: {line}");
            }
        }
        families.values().filter(|family| family.kind == "histogram").for_each(adds_up);
        families
    }

    /// A line of a histogram; which part of it is told by a label that no sample can have.
    fn part<'a>(line: &'a str, name: &str) -> (Labels, &'a str) {
        let part = ["_bucket", "_sum", "_count"]
            .into_iter()
            .find(|part| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(part)));
        let part = part.unwrap_or_else(|| panic!("{line} not of {name}"));
        let (mut labels, value) = sample(line, &format!("{name}{part}"));
        assert_eq!(labels.iter().any(|(label, _)| label == "le"), part == "_bucket", "{line}");
        labels.push((PART.to_owned(), part.to_owned()));
        (labels, value)
    }

    /// Buckets rise, the last has no bound and holds as many as there are.
    fn adds_up(family: &Read) {
        let mut series: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
        for (labels, value) in &family.samples {
            let label = |name: &str| labels.iter().find(|(label, _)| label == name);
            let Some((_, bound)) = label("le") else { continue };
            let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap() };
            let own = labels.iter().filter(|(label, _)| !["le", PART].contains(&label.as_str()));
            let buckets = series.entry(own.cloned().collect()).or_default();
            buckets.push((bound, value.parse().unwrap()));
        }
        for (labels, mut buckets) in series {
            buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
            assert!(buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{labels:?} {buckets:?}");
            let part = |name: &str| {
                let labels = [&*labels, &[(PART.to_owned(), name.to_owned())]].concat();
                family.samples[&labels].parse::<f64>().unwrap()
            };
            assert_eq!(buckets.last(), Some(&(f64::INFINITY, part("_count"))), "{labels:?}");
            assert!(part("_sum") >= 0.0);
        }
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
    use super::{MetricKind, Text, Total};

    #[test]
    fn a_family_to_the_byte() {
        let mut text = Text::default();
        let mut family = text.family("a_total", MetricKind::Counter, "One\\two\nthree.");
        family.sample(&[("worker", "0"), ("word", "say \"\\\n\"")], 7_u64);
        text.family("b", MetricKind::Gauge, "B.").sample(&[], 1.5);
        let expected = "# HELP a_total One\\\\two\\nthree.\n# TYPE a_total counter\n\
                        a_total{worker=\"0\",word=\"say \\\"\\\\\\n\\\"\"} 7\n\
                        # HELP b B.\n# TYPE b gauge\nb 1.5\n";
        assert_eq!(text.finish(), expected);
    }

    #[test]
    fn a_distribution_to_the_byte() {
        let mut text = Text::default();
        let mut family = text.family("a_seconds", MetricKind::Histogram, "A.");
        let buckets = [(0.00005, 2), (1.0, 3)].into_iter();
        family.distribution(&[("worker", "0")], buckets, Total { sum: 4.25, count: 5 });
        let text = text.finish();
        let expected = "# HELP a_seconds A.\n# TYPE a_seconds histogram\n\
                        a_seconds_bucket{worker=\"0\",le=\"0.00005\"} 2\n\
                        a_seconds_bucket{worker=\"0\",le=\"1\"} 3\n\
                        a_seconds_bucket{worker=\"0\",le=\"+Inf\"} 5\n\
                        a_seconds_sum{worker=\"0\"} 4.25\na_seconds_count{worker=\"0\"} 5\n";
        assert_eq!(text, expected);
        assert_eq!(parse(&text)["a_seconds"].samples.len(), 5);
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
                let kind = if *grows { MetricKind::Counter } else { MetricKind::Gauge };
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
