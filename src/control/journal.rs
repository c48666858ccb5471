//! Log lines of allocations: opened and closed, as structured fields, a bounded number a second.

use std::time::Instant;

use tracing::info;

use super::rate::{Admission, Rate};
use super::reports::{Closed, Opened};

/// Lines about allocations that are logged each second; the rest is one more line.
const ALLOCATION_LINES_PER_SECOND: u32 = 50;

/// Logs allocations.
#[derive(Debug)]
pub(super) struct Journal {
    rate: Rate,
}

impl Journal {
    /// Starts with a full budget.
    pub(super) fn new(now: Instant) -> Self {
        Self { rate: Rate::new(ALLOCATION_LINES_PER_SECOND, now) }
    }

    /// Logs that an allocation began, or counts it.
    pub(super) fn opened(&mut self, now: Instant, opened: &Opened) {
        if self.admit(now) == Admission::Log {
            log_opened(opened);
        }
    }

    /// Logs that an allocation ended, or counts it.
    pub(super) fn closed(&mut self, now: Instant, closed: &Closed) {
        if self.admit(now) == Admission::Log {
            log_closed(closed);
        }
    }

    /// Logs how many lines were left out, if a second with such lines is over.
    pub(super) fn settle(&mut self, now: Instant) {
        if let Some(lines) = self.rate.left_out(now) {
            info!(lines, "allocation lines left out");
        }
    }

    /// Says when [`Journal::settle`] has something to log.
    pub(super) fn due(&self) -> Option<Instant> {
        self.rate.due()
    }

    fn admit(&mut self, now: Instant) -> Admission {
        self.settle(now);
        self.rate.admit(now)
    }
}

/// Strings of clients are given as string fields, which the log quotes and escapes.
fn log_opened(opened: &Opened) {
    info!(
        user = opened.user.as_str(),
        transport = opened.transport,
        client = %opened.client,
        server = %opened.server,
        relayed = %opened.relayed,
        also_relayed = opened.also_relayed.map(tracing::field::display),
        worker = opened.worker,
        "allocation opened"
    );
}

fn log_closed(closed: &Closed) {
    let Closed { opened, duration, to_peers, to_client, reason } = closed;
    info!(
        user = opened.user.as_str(),
        transport = opened.transport,
        client = %opened.client,
        server = %opened.server,
        relayed = %opened.relayed,
        also_relayed = opened.also_relayed.map(tracing::field::display),
        worker = opened.worker,
        reason,
        duration_s = duration.as_secs_f64(),
        to_peers_packets = to_peers.packets,
        to_peers_bytes = to_peers.bytes,
        to_client_packets = to_client.packets,
        to_client_bytes = to_client.bytes,
        "allocation closed"
    );
}
