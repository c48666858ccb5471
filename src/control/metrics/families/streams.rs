//! Clients on TCP and TLS: their connections, and how those end.

use super::{Moment, each};
use crate::control::metrics::text::{MetricKind, Text};
use crate::stream::HangUp;
use crate::worker::{HANDSHAKES, Snapshot};

pub(super) fn tell(text: &mut Text, moment: &Moment<'_>) {
    let (answered, known) = (&moment.sample.answered, &moment.sample.known);
    let help = "Connections of clients now.";
    let head = ("uturn_streams", MetricKind::Gauge, help);
    each(text, head, answered, |it| it.streams.open);
    let help = "Of these, those that have shown no credentials that were good.";
    let head = ("uturn_streams_unauthenticated", MetricKind::Gauge, help);
    each(text, head, answered, |it| it.streams.strangers);
    let help = "Plaintext bytes that wait for clients on TCP or TLS to read.";
    let head = ("uturn_stream_queued_bytes", MetricKind::Gauge, help);
    each(text, head, answered, |it| it.streams.queued_bytes);
    let help = "Connections taken.";
    let head = ("uturn_streams_accepted_total", MetricKind::Counter, help);
    each(text, head, answered, |it| it.streams.accepted);
    handshakes(text, known);
    closed(text, known);
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

fn closed(text: &mut Text, workers: &[Snapshot]) {
    let help = "Connections closed, or refused when they came, by reason.";
    let mut family = text.family("uturn_streams_closed_total", MetricKind::Counter, help);
    for reason in HangUp::ALL {
        let sum: u64 = workers.iter().map(|it| it.streams.hang_ups(*reason)).sum();
        family.sample(&[("reason", reason.name())], sum);
    }
}
