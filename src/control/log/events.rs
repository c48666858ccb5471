//! Everything that workers report, as log lines and usage records: all of it noted, none of it in a
//! flood.

use std::time::Instant;

use tracing::{error, info, warn};

use super::allocations::AllocationLog;
use super::refused::recent::RecentRefusals;
use super::refused::refusals::Refusals;
use super::refused::strangers::Strangers;
use super::refused::streams::StreamLog;
use super::sockets::{NamedSocket, SocketLog};
use super::totals::Totals;
use crate::control::usage::UsageRecords;
use crate::turn::{self, WorkerIndex};
use crate::worker::{Listen, ListenKind, Report, Role};

/// Logs reports.
#[derive(Debug)]
pub(in crate::control) struct EventLog {
    allocations: AllocationLog,
    sockets: SocketLog,
    strangers: Strangers,
    refusals: Refusals,
    streams: StreamLog,
    recent: RecentRefusals,
    usage: UsageRecords,
    totals: Totals,
}

/// Whether a worker has more to report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::control) enum Liveness {
    Alive,
    Gone,
}

impl EventLog {
    /// Starts empty, with the workers' listeners in their order.
    pub(in crate::control) fn new(now: Instant, listen: Vec<Listen>, usage: UsageRecords) -> Self {
        let (allocations, sockets) = (AllocationLog::new(now, listen), SocketLog::new(now));
        let (strangers, refusals) = (Strangers::new(now), Refusals::new(now));
        let (streams, totals) = (StreamLog::new(now), Totals::default());
        let recent = RecentRefusals::default();
        Self { allocations, sockets, strangers, refusals, streams, recent, usage, totals }
    }

    /// Takes over the listeners, in the order of their names.
    pub(in crate::control) fn follow(&mut self, listen: &[Listen]) {
        self.allocations.follow(listen);
    }

    /// Notes a report, and says whether it was the worker's last one.
    pub(in crate::control) fn note(
        &mut self,
        now: Instant,
        worker: WorkerIndex,
        report: Report,
    ) -> Liveness {
        self.recent.note(worker, &report);
        match report {
            Report::Turn(turn::Report::Opened(opened)) => {
                self.allocations.opened(now, worker, &opened);
            }
            Report::Turn(turn::Report::Closed(closed)) => {
                self.usage.ended(&closed);
                self.allocations.closed(now, worker, &closed);
            }
            Report::Turn(turn::Report::StrangersRefused(refused)) => {
                self.strangers.refused(now, worker, &refused);
            }
            Report::Turn(turn::Report::RequestRefused(refused)) => {
                self.refusals.refused(now, worker, &refused);
            }
            Report::SegmentationOff => warn!(
                worker = worker.0,
                "the kernel refuses segmentation offload: every datagram leaves by itself, and once a \
                 minute it is tried again"
            ),
            Report::SegmentationOn => info!(
                worker = worker.0,
                "the kernel takes segmentation offload again: datagrams leave in trains"
            ),
            Report::SocketBroken { role, local, errno } => {
                let socket = match role {
                    Role::Listener(listener) => {
                        let listen = self.allocations.listener(listener);
                        NamedSocket {
                            kind: listen.map_or("listener", |listen| kind(listen.kind)),
                            address: listen.map(|listen| listen.address),
                        }
                    }
                    Role::Relay(_) => NamedSocket { kind: "relay", address: local },
                };
                self.sockets.note(now, worker, socket, errno);
            }
            Report::WebBackendFailed { errno } => {
                self.sockets.note_web_backend(now, worker, errno);
            }
            Report::StreamRefused(refused) => self.streams.refused(now, worker, &refused),
            Report::SourceRefused(refused) => StreamLog::source_refused(worker, &refused),
            Report::Failed(error) => {
                error!(worker = worker.0, %error, "a worker failed");
                return Liveness::Gone;
            }
            Report::Stopped(snapshot) => {
                self.totals += &*snapshot;
                return Liveness::Gone;
            }
        }
        Liveness::Alive
    }

    /// The last refusals, as they will be.
    pub(in crate::control) fn recent_refusals(&self) -> RecentRefusals {
        self.recent.clone()
    }

    /// Waits until the next report can be noted as a whole, with its record.
    pub(in crate::control) async fn room(&self) {
        self.usage.room().await;
    }

    /// Goes on in a new file of records, if there is one.
    pub(in crate::control) fn reopen(&self) {
        self.usage.reopen();
    }

    /// What the workers that have ended did in their lives.
    pub(in crate::control) fn totals(&self) -> Totals {
        self.totals
    }

    /// Says when there is something to sum up.
    pub(in crate::control) fn due(&self) -> Option<Instant> {
        let lines = [self.strangers.due(), self.refusals.due(), self.streams.due()];
        let due = [self.allocations.due(), self.sockets.due()].into_iter().chain(lines);
        due.flatten().min()
    }

    /// Sums up what is due, and says how many reports never arrived.
    pub(in crate::control) fn settle(&mut self, now: Instant, lost_reports: u64) {
        self.allocations.settle(now);
        self.sockets.settle(now);
        self.strangers.settle(now);
        self.refusals.settle(now);
        self.streams.settle(now);
        if lost_reports > 0 {
            warn!(reports = lost_reports, "reports of workers were lost");
        }
    }
}

/// A listener, as an operator knows it.
fn kind(listen: ListenKind) -> &'static str {
    match listen {
        ListenKind::Datagrams => "listener",
        ListenKind::Streams => "TCP listener",
        ListenKind::TlsStreams => "TLS listener",
    }
}
