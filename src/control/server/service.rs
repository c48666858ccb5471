//! What the service manager is told: that the server serves, reads its configuration again, stops,
//! how it is, and that it is alive (sd_notify(3)).
//!
//! It is alive when every worker has answered just now. A worker that hangs keeps the watchdog from
//! being fed, and the service manager starts the server again: a control thread alone that is well
//! relays nothing.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;
use tracing::debug;

use crate::control::log::totals::Totals;
use crate::worker::Snapshot;

/// How often the service manager is told how the server is.
const STATUS_EVERY: Duration = Duration::from_secs(5);
/// How much longer a start may take that was just said to go on, in microseconds.
const START_US: u32 = 30_000_000;
/// Beats in the time the watchdog allows: one may be late and another one lost.
const BEATS: u32 = 3;

/// The service manager, or nobody.
#[derive(Debug)]
pub(in crate::control) struct Service {
    /// How often it is told something; `None` where nobody listens.
    pub(in crate::control) every: Option<Duration>,
    packets: Option<(Instant, u64)>,
}

impl Service {
    /// Finds out whether there is a service manager that listens.
    pub(in crate::control) fn of_this_process() -> Self {
        let watchdog = sd_notify::watchdog_enabled().map(|allowed| allowed / BEATS);
        let listens = std::env::var_os("NOTIFY_SOCKET").is_some();
        let every = watchdog.unwrap_or(STATUS_EVERY).min(STATUS_EVERY);
        Self { every: listens.then_some(every), packets: None }
    }

    /// As if somebody listened.
    #[cfg(test)]
    pub(in crate::control) fn heard() -> Self {
        Self { every: Some(STATUS_EVERY), packets: None }
    }

    /// Whether the watchdog was ever fed.
    #[cfg(test)]
    pub(in crate::control) fn has_beaten(&self) -> bool {
        self.packets.is_some()
    }

    /// The server serves.
    pub(in crate::control) fn ready(&self) {
        self.say(&[NotifyState::Ready]);
    }

    /// The machine lacks what it takes to serve; the start takes as long as that does.
    pub(in crate::control) fn waiting(&self, for_what: &str) {
        let longer = NotifyState::ExtendTimeoutUsec(START_US);
        self.say(&[longer, NotifyState::Status(&format!("waiting: {for_what}"))]);
    }

    /// The configuration is being read; [`Service::ready`] says when that is done.
    pub(in crate::control) fn reloading(&self) {
        // The clock that every process has cannot be missing.
        let now = NotifyState::monotonic_usec_now().unwrap_or(NotifyState::MonotonicUsec(0));
        self.say(&[NotifyState::Reloading, now]);
    }

    /// The server stops.
    pub(in crate::control) fn stopping(&self) {
        self.say(&[NotifyState::Stopping]);
    }

    /// Feeds the watchdog, and says how the server is. To be called when every worker has answered.
    pub(in crate::control) fn beat(
        &mut self,
        now: Instant,
        snapshots: &[Snapshot],
        is_draining: bool,
    ) {
        if self.every.is_none() {
            return;
        }
        let packets: u64 = snapshots.iter().map(relayed).sum();
        let before = self.packets.replace((now, packets));
        let status = status(now, snapshots, before, is_draining);
        self.say(&[NotifyState::Watchdog, NotifyState::Status(&status)]);
    }

    fn say(&self, state: &[NotifyState<'_>]) {
        if let Err(error) = sd_notify::notify(state) {
            debug!(%error, "the service manager does not listen");
        }
    }
}

fn status(
    now: Instant,
    snapshots: &[Snapshot],
    before: Option<(Instant, u64)>,
    is_draining: bool,
) -> String {
    let allocations: u64 = snapshots.iter().map(|snapshot| snapshot.turn.live).sum();
    let packets: u64 = snapshots.iter().map(relayed).sum();
    let rate = before.map_or(0.0, |(then, before)| {
        let elapsed_s = now.saturating_duration_since(then).as_secs_f64().max(0.001);
        packets.saturating_sub(before) as f64 / elapsed_s
    });
    let state = if is_draining { "draining, " } else { "" };
    format!("{state}{allocations} allocations, {rate:.0} packets/s")
}

fn relayed(snapshot: &Snapshot) -> u64 {
    let mut totals = Totals::default();
    totals += snapshot;
    totals.to_peers.packets + totals.to_clients.packets + totals.between_clients.packets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::turn::WorkerIndex;

    #[test]
    fn the_status_is_a_line_of_what_matters() {
        let mut snapshot = Snapshot::blank(WorkerIndex(0));
        snapshot.turn.live = 3;
        snapshot.turn.to_peers.add(1000, 0);
        snapshot.turn.to_clients.add(500, 0);
        let (then, now) = (Instant::now(), Instant::now() + Duration::from_secs(2));
        let snapshots = [snapshot.clone(), snapshot];
        let line = status(now, &snapshots, Some((then, 1000)), false);
        assert_eq!(line, "6 allocations, 1000 packets/s");
        assert_eq!(status(now, &snapshots, None, true), "draining, 6 allocations, 0 packets/s");
    }
}
