//! What the drivers do: datagrams in and out, trains, buffers, and how long they hold a datagram.

use super::{each, worker};
use crate::control::metrics::text::{MetricFamily, MetricKind, Text, Total};
use crate::io::{self, SizeHistogram};
use crate::worker::Snapshot;

/// Driver counters that are levels.
const LEVELS: [&str; 3] = ["buffers", "buffers_free", "buffers_low"];
/// Driver counters with this in front are among the drops by reason.
const DROPS: &str = "dropped_";
/// Upper bounds of the buckets of the time held, in microseconds.
const HELD_US: [u64; 15] =
    [5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 1_000_000];

pub(super) fn tell(text: &mut Text, workers: &[Snapshot]) {
    held(text, workers);
    sizes(text, workers);
    let help = "Datagrams the kernel dropped because a listening socket's buffer was full.";
    let head = ("uturn_listener_overflow_total", MetricKind::Counter, help);
    each(text, head, workers, |it| it.listener_overflow);
    counters(text, workers);
}

fn held(text: &mut Text, workers: &[Snapshot]) {
    let help = "Longest time that datagrams can have been held by the server: the wait for a batch \
                and the work until the last send of their turn. Sampled, one turn in 16; the time \
                in the kernel's receive queue is not in it.";
    let mut family = text.family("uturn_held_seconds", MetricKind::Histogram, help);
    for snapshot in workers {
        let held = &snapshot.held;
        let buckets = HELD_US.iter().map(|micros| (seconds(*micros), held.up_to(*micros)));
        let total = Total { sum: seconds(held.sum_us()), count: held.total() };
        family.distribution(&[("worker", &worker(snapshot))], buckets, total);
    }
}

fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

fn sizes(text: &mut Text, workers: &[Snapshot]) {
    let help = "Datagrams that a turn of a worker's loop brought.";
    let mut family = text.family("uturn_turn_datagrams", MetricKind::Histogram, help);
    for snapshot in workers {
        size(&mut family, &[("worker", &worker(snapshot))], &snapshot.io.turn_sizes);
    }
    let help = "Datagrams of a receive (in) and of a send (out); more than one is a train.";
    let mut family = text.family("uturn_train_datagrams", MetricKind::Histogram, help);
    for snapshot in workers {
        let worker = worker(snapshot);
        for (direction, sizes) in
            [("in", &snapshot.io.trains_in_sizes), ("out", &snapshot.io.trains_out_sizes)]
        {
            size(&mut family, &[("worker", &worker), ("direction", direction)], sizes);
        }
    }
}

/// Buckets hold what is up to their bound, as Prometheus has it; ours hold what is above the last.
fn size<const BUCKETS: usize>(
    family: &mut MetricFamily<'_>,
    labels: &[(&str, &str)],
    sizes: &SizeHistogram<BUCKETS>,
) {
    let mut up_to = 0;
    let buckets = sizes.buckets().filter_map(|(bound, count)| {
        up_to += count;
        bound.map(|bound| (bound as f64, up_to))
    });
    family.distribution(labels, buckets, Total { sum: sizes.sum() as f64, count: sizes.total() });
}

/// What the driver counts is told under its own names and in its own words.
fn counters(text: &mut Text, workers: &[Snapshot]) {
    let values: Vec<_> = workers.iter().map(|it| (worker(it), it.io.values())).collect();
    for (place, (name, doc)) in io::Counters::NAMES.iter().zip(io::Counters::DOCS).enumerate() {
        if name.starts_with(DROPS) {
            continue;
        }
        let (kind, end) = if LEVELS.contains(name) {
            (MetricKind::Gauge, "")
        } else {
            (MetricKind::Counter, "_total")
        };
        let full = format!("uturn_io_{name}{end}");
        let mut family = text.family(&full, kind, doc.trim());
        for (worker, values) in &values {
            family.sample(&[("worker", worker)], values[place]);
        }
    }
}
