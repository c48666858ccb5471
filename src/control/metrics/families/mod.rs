//! Everything that is told, by family: its name, what it means, and where its numbers come from.
//!
//! What says how evenly the workers are loaded has a sample for each of them; what says what the
//! clients do is summed. Names follow the conventions of Prometheus: the program first, the unit
//! next, `_total` where a number only grows.
//!
//! ```text
//! server.rs   the program and its state, what the control thread loses
//! clients.rs  traffic, allocations, ports, logins, requests, drops
//! streams.rs  connections of clients on TCP and TLS
//! driver.rs   datagrams in and out, trains, buffers, the time they are held
//! ```

mod clients;
mod driver;
mod server;
mod streams;

use super::About;
use super::sampler::Sample;
use super::text::{MetricKind, Text};
use crate::control::admin::commands::ServerStatus;
use crate::worker::Snapshot;

/// What is told: of one moment, all of it.
pub(super) struct Moment<'a> {
    pub(super) about: &'a About,
    pub(super) status: &'a ServerStatus,
    /// Whether clients should be sent here.
    pub(super) is_ready: bool,
    pub(super) sample: &'a Sample,
}

/// Writes everything.
pub(super) fn text(moment: &Moment<'_>) -> String {
    let mut text = Text::default();
    server::tell(&mut text, moment);
    clients::tell(&mut text, moment);
    streams::tell(&mut text, moment);
    driver::tell(&mut text, &moment.sample.answered);
    text.finish()
}

/// A family with one sample for each worker.
fn each(
    text: &mut Text,
    (name, kind, help): (&str, MetricKind, &str),
    workers: &[Snapshot],
    value: fn(&Snapshot) -> u64,
) {
    let mut family = text.family(name, kind, help);
    for snapshot in workers {
        family.sample(&[("worker", &worker(snapshot))], value(snapshot));
    }
}

fn worker(snapshot: &Snapshot) -> String {
    snapshot.index.0.to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::{Instant, SystemTime};

    use super::super::sampler::snapshot;
    use super::super::text::parser::{Labels, PART, Read, parse};
    use super::super::{Losses, status};
    use super::*;
    use crate::control::log::totals::drops;
    use crate::io::SizeHistogram;
    use crate::turn::{
        Families, Load, METHODS, PortUse, QuotaHit, Refusal, ReplyKind, Transport, WorkerIndex,
    };
    use crate::wire::ErrorCode;

    fn about() -> About {
        About {
            driver: "io_uring",
            workers: 2,
            started: SystemTime::now(),
            begun: Instant::now(),
            losses: Losses::default(),
        }
    }

    /// Worker 1 of two; worker 0 answered once and is stuck since.
    fn sample() -> Sample {
        let mut known = vec![snapshot(0, 3), snapshot(1, 4)];
        known[0].worker.no_buffer = 5;
        known[1].worker.no_buffer = 6;
        known[1].turn.hairpin = Load { packets: 7, bytes: 8 };
        known[1].turn.closed = 4;
        known[1].turn.authenticated = 2;
        known[1].io.turns = 9;
        let local = "192.0.2.1".parse().unwrap();
        known[1].ports = vec![PortUse { local, ports: 64, in_use: 3 }];
        known[1].listener_overflow = 11;
        let cpu_us = [(WorkerIndex(1), 1_500_000)].into();
        Sample { answered: known[1..].to_vec(), known, cpu_us }
    }

    fn told() -> BTreeMap<String, Read> {
        let (about, status, sample) = (about(), status(), sample());
        let moment = Moment { about: &about, status: &status, is_ready: true, sample: &sample };
        parse(&text(&moment))
    }

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(label, word)| ((*label).into(), (*word).into())).collect()
    }

    #[test]
    fn workers_are_told_one_by_one_or_summed() {
        let families = told();
        let value = |name: &str, pairs: &[(&str, &str)]| {
            families[name].samples.get(&labels(pairs)).map(String::as_str)
        };
        assert_eq!(value("uturn_workers", &[]), Some("2"));
        assert_eq!(value("uturn_workers_answering", &[]), Some("1"));
        assert_eq!(value("uturn_allocations_limit", &[]), Some("100"));
        assert_eq!(
            (value("uturn_ready", &[]), value("uturn_draining", &[])),
            (Some("1"), Some("0"))
        );
        assert_eq!(value("uturn_allocations_closed_total", &[("worker", "0")]), None);
        assert_eq!(value("uturn_allocations_closed_total", &[("worker", "1")]), Some("4"));
        let slice = [("worker", "1"), ("address", "192.0.2.1")];
        assert_eq!(value("uturn_relay_ports", &slice), Some("64"));
        assert_eq!(value("uturn_relay_ports_in_use", &slice), Some("3"));
        assert_eq!(value("uturn_worker_cpu_seconds_total", &[("worker", "1")]), Some("1.5"));
        assert!(value("process_resident_memory_bytes", &[]).is_some());
        assert_eq!(value("uturn_listener_overflow_total", &[("worker", "1")]), Some("11"));
        let first = [("place", "1"), ("name", "turn.example.org")];
        let ends = value("uturn_certificate_not_after_seconds", &first);
        assert_eq!(ends, Some("4102444800"));
        let accepted = [("result", "accepted")];
        assert_eq!(value("uturn_authentications_total", &accepted), Some("2"));
        let hairpin = [("worker", "1"), ("direction", "hairpin")];
        assert_eq!(value("uturn_packets_total", &hairpin), Some("7"));
        assert_eq!(value("uturn_bytes_total", &hairpin), Some("8"));
        assert_eq!(value("uturn_dropped_total", &[("reason", "no_buffer")]), Some("11"));
        assert_eq!(value("uturn_io_turns_total", &[("worker", "1")]), Some("9"));
    }

    #[test]
    fn what_only_grows_says_so_in_its_name() {
        for (name, family) in told() {
            assert_eq!(family.kind == "counter", name.ends_with("_total"), "{name}");
            assert!(family.help.ends_with('.'), "{name}: {}", family.help);
            assert!(!family.samples.is_empty(), "{name}");
        }
    }

    /// The words of a text that look like one of our families.
    fn names(text: &str) -> impl Iterator<Item = &str> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        words.filter(|word| word.starts_with("uturn_") && !word.ends_with('_'))
    }

    #[test]
    fn the_docs_and_the_dashboard_name_what_is_told() {
        let told = told();
        for text in [
            include_str!("../../../../docs/metrics.md"),
            include_str!("../../../../docs/operating.md"),
            include_str!("../../../../docs/capacity.md"),
            include_str!("../../../../tuning/grafana.json"),
            include_str!("../../../../tuning/alerts.yml"),
        ] {
            assert_ne!(names(text).count(), 0);
            for name in names(text) {
                let whole = ["_bucket", "_sum", "_count"]
                    .into_iter()
                    .find_map(|part| told.get(name.strip_suffix(part)?));
                let is_part = whole.is_some_and(|family| family.kind == "histogram");
                assert!(is_part || told.contains_key(name), "{name}");
            }
        }
    }

    #[test]
    fn every_reason_is_told_before_it_has_happened() {
        let families = told();
        let reasons = families["uturn_dropped_total"].samples.len();
        assert_eq!(reasons, drops(&snapshot(0, 0)).count());
        let count = |name: &str| families[name].samples.len();
        let failed = count("uturn_requests_failed_total");
        assert_eq!(failed, METHODS.len() * ErrorCode::ALL.len());
        assert_eq!(count("uturn_authentications_total"), 1 + Refusal::ALL.len());
        assert_eq!(count("uturn_stranger_replies_refused_total"), ReplyKind::ALL.len());
        assert_eq!(count("uturn_quota_hits_total"), QuotaHit::ALL.len());
        let ends = Families::ALL.len() * Transport::ALL.len();
        assert_eq!(count("uturn_allocations"), ends);
    }

    #[test]
    fn buckets_count_what_is_up_to_their_bound() {
        let families = told();
        let sizes = SizeHistogram::<15>::default();
        let bounds = sizes.buckets().count();
        let turns = &families["uturn_turn_datagrams"].samples;
        // As many buckets, the last of which has no bound; the sum, and the count.
        assert_eq!(turns.len(), bounds + 2);
        let count = [("worker", "1"), (PART, "_count")];
        assert_eq!(turns.get(&labels(&count)).map(String::as_str), Some("0"));
        for up_to in ["0.00005", "1", "+Inf"] {
            let bucket = [("worker", "1"), ("le", up_to), (PART, "_bucket")];
            assert!(families["uturn_held_seconds"].samples.contains_key(&labels(&bucket)));
        }
    }
}
