//! Everything that is told, by family: its name, what it means, and where its numbers come from.
//!
//! What says how evenly the workers are loaded has a sample for each of them; what says what the
//! clients do is summed. Names follow the conventions of Prometheus: the program first, the unit
//! next, `_total` where a number only grows.

use std::sync::atomic::Ordering;
use std::time::UNIX_EPOCH;

use super::sampler::Sample;
use super::text::{Kind, Text};
use super::{About, Losses};
use crate::control::totals::drops;
use crate::io;
use crate::turn::{Counters, Load, METHODS};
use crate::wire::{ErrorCode, Method};
use crate::worker::Snapshot;

/// The one counter of a driver that is a level.
const LEVEL: &str = "buffers_low";
/// Driver counters with this in front are among the drops by reason.
const DROPS: &str = "dropped_";

/// Writes everything.
pub(super) fn text(about: &About, sample: &Sample) -> String {
    let mut text = Text::default();
    server(&mut text, about, sample);
    traffic(&mut text, &sample.answered);
    allocations(&mut text, about, &sample.answered);
    requests(&mut text, &sample.known);
    dropped(&mut text, &sample.known);
    faults(&mut text, &sample.answered);
    losses(&mut text, &about.losses);
    driver(&mut text, &sample.answered);
    text.finish()
}

fn server(text: &mut Text, about: &About, sample: &Sample) {
    let one = [("version", env!("CARGO_PKG_VERSION")), ("driver", about.driver)];
    text.family("uturn_build_info", Kind::Gauge, "1; the labels say what runs.").sample(&one, 1);
    let started = about.started.duration_since(UNIX_EPOCH).unwrap_or_default();
    text.family(
        "process_start_time_seconds",
        Kind::Gauge,
        "Start of the server since the Unix epoch.",
    )
    .sample(&[], started.as_secs_f64());
    text.family("uturn_uptime_seconds", Kind::Gauge, "Time since the start of the server.")
        .sample(&[], about.begun.elapsed().as_secs_f64());
    text.family("uturn_workers", Kind::Gauge, "Workers that were started.")
        .sample(&[], about.workers);
    text.family(
        "uturn_workers_answering",
        Kind::Gauge,
        "Workers that answered within a second; the others are missing where each is told.",
    )
    .sample(&[], sample.answered.len());
}

fn traffic(text: &mut Text, workers: &[Snapshot]) {
    let help = "Packets relayed: to_peers and to_clients through a relay socket, hairpin between \
                clients of one worker, handed_over to and taken_over from another worker.";
    loads(text, "uturn_packets_total", help, workers, |load| load.packets);
    let help = "Payload bytes of those packets, headers not counted.";
    loads(text, "uturn_bytes_total", help, workers, |load| load.bytes);
}

fn loads(text: &mut Text, name: &str, help: &str, workers: &[Snapshot], of: fn(Load) -> u64) {
    let mut family = text.family(name, Kind::Counter, help);
    for snapshot in workers {
        for (direction, load) in directions(&snapshot.turn) {
            let worker = worker(snapshot);
            family.sample(&[("worker", &worker), ("direction", direction)], of(load));
        }
    }
}

fn directions(turn: &Counters) -> [(&'static str, Load); 5] {
    [
        ("to_peers", turn.to_peers),
        ("to_clients", turn.to_clients),
        ("hairpin", turn.hairpin),
        ("handed_over", turn.handed_over),
        ("taken_over", turn.taken_over),
    ]
}

fn allocations(text: &mut Text, about: &About, workers: &[Snapshot]) {
    let help = "Allocations that the server holds at most.";
    text.family("uturn_allocations_limit", Kind::Gauge, help).sample(&[], about.allocations_limit);
    let help = "Allocations that live.";
    each(text, ("uturn_allocations", Kind::Gauge, help), workers, |it| it.turn.live);
    let help = "Allocations made.";
    let head = ("uturn_allocations_opened_total", Kind::Counter, help);
    each(text, head, workers, |it| it.turn.opened);
    let help = "Allocations ended.";
    let head = ("uturn_allocations_closed_total", Kind::Counter, help);
    each(text, head, workers, |it| it.turn.closed);
    let help = "Ports reserved for a later allocation (EVEN-PORT).";
    let head = ("uturn_reservations_made_total", Kind::Counter, help);
    each(text, head, workers, |it| it.turn.reserved);
    let help = "Reserved ports that became an allocation's (RESERVATION-TOKEN).";
    let head = ("uturn_reservations_redeemed_total", Kind::Counter, help);
    each(text, head, workers, |it| it.turn.redeemed);
}

fn requests(text: &mut Text, workers: &[Snapshot]) {
    let help = "Requests answered with success.";
    let mut family = text.family("uturn_requests_succeeded_total", Kind::Counter, help);
    for method in METHODS {
        let sum: u64 = workers.iter().map(|it| it.turn.successes(method)).sum();
        family.sample(&[("method", word(method))], sum);
    }
    let help = "Requests answered with an error, by its code; a 401 comes before every login.";
    let mut family = text.family("uturn_requests_failed_total", Kind::Counter, help);
    for method in METHODS {
        for code in ErrorCode::ALL {
            let sum: u64 = workers.iter().map(|it| it.turn.errors(method, code)).sum();
            let number = code.number().to_string();
            family.sample(&[("method", word(method)), ("code", &number)], sum);
        }
    }
}

fn word(method: Method) -> &'static str {
    match method {
        Method::Binding => "binding",
        Method::Allocate => "allocate",
        Method::Refresh => "refresh",
        Method::Send => "send",
        Method::Data => "data",
        Method::CreatePermission => "create_permission",
        Method::ChannelBind => "channel_bind",
        Method::Unknown(_) => "unknown",
    }
}

/// Every worker has the reasons in the same order.
fn dropped(text: &mut Text, workers: &[Snapshot]) {
    let help = "Datagrams dropped, by reason.";
    let mut family = text.family("uturn_dropped_total", Kind::Counter, help);
    let mut all: Vec<_> = workers.iter().map(drops).collect();
    while let Some(row) = all.iter_mut().map(Iterator::next).collect::<Option<Vec<_>>>()
        && let Some(&(reason, _)) = row.first()
    {
        let sum: u64 = row.iter().map(|(_, packets)| packets).sum();
        family.sample(&[("reason", reason)], sum);
    }
}

fn faults(text: &mut Text, workers: &[Snapshot]) {
    let help = "Relay sockets that the driver refused or lost.";
    let head = ("uturn_relays_broken_total", Kind::Counter, help);
    each(text, head, workers, |it| it.worker.relays_broken);
    let help = "Datagrams handed to the worker that has their client (steer = cpu).";
    each(text, ("uturn_strays_total", Kind::Counter, help), workers, |it| it.worker.strays);
}

fn losses(text: &mut Text, losses: &Losses) {
    let help =
        "Reports of workers, for the log and the usage records, that were not taken in time.";
    text.family("uturn_reports_lost_total", Kind::Counter, help)
        .sample(&[], losses.reports.load(Ordering::Relaxed));
    let help = "Usage records that are in their file.";
    text.family("uturn_usage_records_written_total", Kind::Counter, help)
        .sample(&[], losses.usage.written());
    let help = "Usage records that are not, because the disk is too slow or full.";
    text.family("uturn_usage_records_lost_total", Kind::Counter, help)
        .sample(&[], losses.usage.lost());
}

/// What the driver counts is told under its own names and in its own words.
fn driver(text: &mut Text, workers: &[Snapshot]) {
    let values: Vec<_> = workers.iter().map(|it| (worker(it), it.io.values())).collect();
    for (place, (name, doc)) in io::Counters::NAMES.iter().zip(io::Counters::DOCS).enumerate() {
        if name.starts_with(DROPS) {
            continue;
        }
        let (kind, end) =
            if *name == LEVEL { (Kind::Gauge, "") } else { (Kind::Counter, "_total") };
        let full = format!("uturn_io_{name}{end}");
        let mut family = text.family(&full, kind, doc.trim());
        for (worker, values) in &values {
            family.sample(&[("worker", worker)], values[place]);
        }
    }
}

fn each(
    text: &mut Text,
    (name, kind, help): (&str, Kind, &str),
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
    use std::time::{Instant, SystemTime};

    use super::super::sampler::snapshot;
    use super::super::text::parser::{Labels, parse};
    use super::*;

    fn about() -> About {
        About {
            driver: "io_uring",
            workers: 2,
            allocations_limit: 100,
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
        known[1].io.turns = 9;
        Sample { answered: known[1..].to_vec(), known }
    }

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(label, word)| ((*label).into(), (*word).into())).collect()
    }

    #[test]
    fn workers_are_told_one_by_one_or_summed() {
        let families = parse(&text(&about(), &sample()));
        let value = |name: &str, pairs: &[(&str, &str)]| {
            families[name].samples.get(&labels(pairs)).map(String::as_str)
        };
        assert_eq!(value("uturn_workers", &[]), Some("2"));
        assert_eq!(value("uturn_workers_answering", &[]), Some("1"));
        assert_eq!(value("uturn_allocations_opened_total", &[("worker", "0")]), None);
        assert_eq!(value("uturn_allocations_opened_total", &[("worker", "1")]), Some("4"));
        let hairpin = [("worker", "1"), ("direction", "hairpin")];
        assert_eq!(value("uturn_packets_total", &hairpin), Some("7"));
        assert_eq!(value("uturn_bytes_total", &hairpin), Some("8"));
        assert_eq!(value("uturn_dropped_total", &[("reason", "no_buffer")]), Some("11"));
        assert_eq!(value("uturn_io_turns_total", &[("worker", "1")]), Some("9"));
    }

    #[test]
    fn what_only_grows_says_so_in_its_name() {
        for (name, family) in parse(&text(&about(), &sample())) {
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
    fn the_readme_and_the_dashboard_name_what_is_told() {
        let told = parse(&text(&about(), &sample()));
        for text in
            [include_str!("../../../README.md"), include_str!("../../../tuning/grafana.json")]
        {
            assert!(names(text).count() > 10);
            names(text).for_each(|name| assert!(told.contains_key(name), "{name}"));
        }
    }

    #[test]
    fn every_reason_is_told_before_it_has_happened() {
        let families = parse(&text(&about(), &sample()));
        let reasons = families["uturn_dropped_total"].samples.len();
        assert_eq!(reasons, drops(&snapshot(0, 0)).count());
        let failed = families["uturn_requests_failed_total"].samples.len();
        assert_eq!(failed, METHODS.len() * ErrorCode::ALL.len());
    }
}
