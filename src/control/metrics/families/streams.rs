//! Clients on TCP and TLS: their connections, and how those end.

use super::{Moment, each, worker};
use crate::control::metrics::text::{MetricKind, Text, Total};
use crate::stream::HangUp;
use crate::worker::{HANDSHAKES, PipeCounters, Snapshot};

/// One count of a worker's pipes.
type Count = fn(&PipeCounters) -> u64;

pub(super) fn tell(text: &mut Text, moment: &Moment<'_>) {
    let (answered, known) = (&moment.sample.answered, &moment.sample.known);
    let help = "Connections of clients now.";
    let head = ("uturn_streams", MetricKind::Gauge, help);
    each(text, head, answered, |it| it.streams.open);
    let help = "Of these, those that have shown no credentials that were good.";
    let head = ("uturn_streams_unauthenticated", MetricKind::Gauge, help);
    each(text, head, answered, |it| it.streams.strangers);
    let help = "Memory that holds what waits for clients on TCP or TLS to read.";
    let head = ("uturn_stream_queued_bytes", MetricKind::Gauge, help);
    each(text, head, answered, |it| it.streams.queued_bytes);
    queue_ages(text, known);
    let help = "Connections taken.";
    let head = ("uturn_streams_accepted_total", MetricKind::Counter, help);
    each(text, head, answered, |it| it.streams.accepted);
    handshakes(text, known);
    pipes(text, moment);
    closed(text, known);
}

fn queue_ages(text: &mut Text, workers: &[Snapshot]) {
    let help = "How long the oldest frame of a write to a client on TCP or TLS had waited; one of each \
                write. More than a few milliseconds are a client that reads too slowly.";
    let mut family = text.family("uturn_stream_queue_age_seconds", MetricKind::Histogram, help);
    for snapshot in workers {
        let ages = &snapshot.streams.queue_ages_ms;
        let mut up_to = 0;
        let buckets = ages.buckets().filter_map(|(bound_ms, count)| {
            up_to += count;
            bound_ms.map(|bound_ms| (bound_ms as f64 / 1e3, up_to))
        });
        let total = Total { sum: ages.sum() as f64 / 1e3, count: ages.total() };
        family.distribution(&[("worker", &worker(snapshot))], buckets, total);
    }
}

fn handshakes(text: &mut Text, workers: &[Snapshot]) {
    let help = "TLS handshakes that led to a client, by version and by whether it resumed an earlier \
                session. Those that failed are closed connections.";
    let mut family = text.family("uturn_tls_handshakes_total", MetricKind::Counter, help);
    for handshake in HANDSHAKES {
        let version = if handshake.is_tls13 { "1.3" } else { "1.2" };
        let resumed = if handshake.is_resumed { "yes" } else { "no" };
        let sum: u64 = workers.iter().map(|it| it.streams.handshakes(handshake)).sum();
        family.sample(&[("version", version), ("resumed", resumed)], sum);
    }
}

fn pipes(text: &mut Text, moment: &Moment<'_>) {
    let (answered, known) = (&moment.sample.answered, &moment.sample.known);
    let help = "Pairs of connections whose bytes pass through now: to peers of TCP allocations, and \
                to the web backend.";
    let head = ("uturn_pipes", MetricKind::Gauge, help);
    each(text, head, answered, |it| it.streams.pipes.open);
    let help = "Connections to and from peers and to the web backend now: half of a worker's streams \
                at most.";
    let head = ("uturn_far_sides", MetricKind::Gauge, help);
    each(text, head, answered, |it| it.streams.pipes.far_sides);
    let help = "Of these, those that were not made or taken because there were as many already.";
    let mut family = text.family("uturn_far_sides_refused_total", MetricKind::Counter, help);
    let refused: u64 = known.iter().map(|it| it.streams.pipes.far_sides_refused).sum();
    family.sample(&[], refused);
    let help = "Connections to peers, from peers, and to the web backend, by what became of them.";
    let mut family = text.family("uturn_pipe_ends_total", MetricKind::Counter, help);
    let results: [(&str, &str, Count); 6] = [
        ("to_peer", "made", |it| it.connects_made),
        ("to_peer", "failed", |it| it.connects_failed),
        ("from_peer", "made", |it| it.peers_taken),
        ("from_peer", "refused", |it| it.peers_refused),
        ("to_web", "made", |it| it.web_made),
        ("to_web", "failed", |it| it.web_failed),
    ];
    for (end, result, count) in results {
        let sum: u64 = known.iter().map(|it| count(&it.streams.pipes)).sum();
        family.sample(&[("end", end), ("result", result)], sum);
    }
    let help =
        "Connections of clients that went to the worker whose peer connection they asked for.";
    let mut family = text.family("uturn_streams_moved_total", MetricKind::Counter, help);
    let results: [(&str, Count); 2] = [("moved", |it| it.moved), ("failed", |it| it.moves_failed)];
    for (result, count) in results {
        let sum: u64 = known.iter().map(|it| count(&it.streams.pipes)).sum();
        family.sample(&[("result", result)], sum);
    }
}

fn closed(text: &mut Text, workers: &[Snapshot]) {
    let help = "Connections closed, or refused when they came, by reason.";
    let mut family = text.family("uturn_streams_closed_total", MetricKind::Counter, help);
    for reason in HangUp::ALL {
        let sum: u64 = workers.iter().map(|it| it.streams.hang_ups(*reason)).sum();
        family.sample(&[("reason", reason.name())], sum);
    }
}
