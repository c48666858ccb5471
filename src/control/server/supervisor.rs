//! The supervisor of a server, as the control thread sees it: serve, change, stop.
//!
//! ```text
//! banner ── reports, signals, commands ── first signal: stop every worker ── totals
//!                                  second signal: leave at once
//! ```

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, sleep_until, timeout_at};
use tracing::{error, info, warn};

use super::background::{Background, BackgroundOutcome};
use super::change::drain::{Drain, Left};
use super::change::follow::Followed;
use super::change::reload::{Reading, Reload};
use super::change::renewal::{ReadCause, Renewal};
use super::change::rules::Rules;
use super::reports::Reports;
use super::service::Service;
use super::signals::{Caught, Signals, StopSignal};
use crate::control::admin::commands::{Command, DrainRequest, ServerStatus, State};
use crate::control::log::drops::Drops;
use crate::control::log::events::{EventLog, Liveness};
use crate::control::log::output;
use crate::control::log::totals::Totals;
use crate::control::metrics::Readiness;
use crate::control::network::watch::Watch;
use crate::control::usage::LAST_RECORDS_WITHIN;
use crate::turn::{Alternates, ListenerId, RelayAddress, Settings, WorkerIndex};
use crate::worker::{Limits, Listen, Report, Role, Snapshot, SpawnError, StreamRules};

/// Time that workers get to end after the first signal; they only close sockets.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// How often workers are asked what they dropped.
const DROPS_EVERY: Duration = Duration::from_secs(60);
/// How long workers have to say how they are. A worker that is late by so much, three times in a
/// row, hangs.
const BEAT_WITHIN: Duration = Duration::from_secs(1);
/// How often it is looked who is left while draining.
const DRAIN_EVERY: Duration = Duration::from_secs(1);
/// How long whoever watches a drain has to read that it is over.
const LAST_LINE_WITHIN: Duration = Duration::from_millis(200);
/// Reports noted between two looks at everything else.
const REPORTS_AT_ONCE: usize = 256;
/// How long they have to answer.
const DROPS_WITHIN: Duration = Duration::from_millis(200);
/// How soon a command that found the inbox of a worker full is posted again.
const RETRY: Duration = Duration::from_millis(2);

/// The workers of a running server, as far as the control thread deals with them. Nothing here
/// waits for a worker.
pub(in crate::control) trait WorkerControl {
    /// Asks every worker to end.
    fn stop(&self);

    /// Posts the commands that found an inbox full once more; says whether some still wait.
    fn retry(&self) -> bool;

    /// Asks every worker for its counters; the answers come in time.
    fn snapshots(&self) -> crossbeam_channel::Receiver<Snapshot>;

    /// Has every worker send new clients there, or take them again.
    fn drain(&self, alternates: Option<Alternates>);

    /// Has every worker listen on one more address, or again on one.
    fn listen(&self, listener: ListenerId, listen: Listen) -> Result<(), SpawnError>;

    /// Gives every worker other rules for connections that come from now on.
    fn set_stream_rules(&self, rules: &Arc<StreamRules>);

    /// Has every worker open relays on these addresses from now on, and on no others.
    fn relay_on(&self, relays: &[RelayAddress]);

    /// Has no worker listen on an address any more.
    fn stop_listening(&self, listener: ListenerId);

    /// Gives every worker other rules; each says when they hold for it.
    fn reconfigure(
        &self,
        settings: &Arc<Settings>,
        limits: Limits,
    ) -> crossbeam_channel::Receiver<WorkerIndex>;
}

/// A server that is up.
pub(in crate::control) struct Supervisor<W> {
    pub(in crate::control) workers: W,
    /// Workers that have not ended.
    pub(in crate::control) alive: usize,
    pub(in crate::control) background: Background,
    pub(in crate::control) reports: Reports,
    pub(in crate::control) signals: Signals,
    pub(in crate::control) events: EventLog,
    pub(in crate::control) drops: Drops,
    pub(in crate::control) readiness: Readiness,
    pub(in crate::control) reload: Reload,
    pub(in crate::control) rules: Rules,
    pub(in crate::control) commands: mpsc::Receiver<Command>,
    pub(in crate::control) status: watch::Sender<ServerStatus>,
    pub(in crate::control) service: Service,
    pub(in crate::control) watch: Watch,
    pub(in crate::control) followed: Followed,
    pub(in crate::control) renewal: Renewal,
    /// The drain under way.
    pub(in crate::control) drain: Option<Drain>,
    /// When the workers are asked how they are; `None` while they are, or nobody wants to know.
    pub(in crate::control) next_beat: Option<Instant>,
    /// The reload under way.
    pub(super) reading: Option<Reading>,
}

/// Why serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Asked,
    Drained,
    Failed,
}

impl<W: WorkerControl> Supervisor<W> {
    /// Serves until a signal comes or one of the workers is gone, then stops the rest.
    pub(in crate::control) async fn run(mut self) -> ExitCode {
        let begun = Instant::now();
        self.service.ready();
        let end = self.serve().await;
        info!("stopping");
        self.service.stopping();
        self.readiness.withdraw();
        self.commands.close();
        let begins_at = match end {
            // Whoever watches reads the last line while there is somebody to write it.
            End::Drained => Instant::now() + LAST_LINE_WITHIN,
            End::Asked | End::Failed => {
                self.status.send_modify(|status| status.state = State::Stopping);
                Instant::now()
            }
        };
        self.stop(begins_at).await;
        log_totals(self.events.totals(), begun.elapsed());
        match end {
            End::Asked | End::Drained => ExitCode::SUCCESS,
            End::Failed => ExitCode::FAILURE,
        }
    }

    /// The control loop. Law: it waits in this `select!` and nowhere else; what takes long comes
    /// back as a [`BackgroundOutcome`].
    async fn serve(&mut self) -> End {
        let mut next_drops = Instant::now() + DROPS_EVERY;
        loop {
            let retry = self.workers.retry().then(|| Instant::now() + RETRY);
            let late_at = self.reading_late_at();
            tokio::select! {
                caught = self.signals.next() => match caught {
                    Caught::Stop(stop) => {
                        info!(signal = stop.name, "asked to stop");
                        return End::Asked;
                    }
                    Caught::Reload => self.begin_reload(None),
                    Caught::Drain => {
                        if let Err(problem) = self.begin_draining(DrainRequest::default()) {
                            error!("the server goes on: {problem}");
                        }
                    }
                },
                Some(command) = self.commands.recv() => self.obey(command),
                outcome = self.background.next() => {
                    if self.on_outcome(outcome) == Left::Over {
                        return End::Drained;
                    }
                }
                first = self.reports.next() => {
                    let Some(first) = first else {
                        error!("every worker is gone");
                        self.alive = 0;
                        return End::Failed;
                    };
                    if let Some(worker) = self.note(first) {
                        error!(worker = worker.0, "a worker ended by itself");
                        self.alive -= 1;
                        return End::Failed;
                    }
                }
                () = until(self.next_beat) => self.beat(),
                () = until(self.events.due()) => self.settle(),
                () = self.watch.changed() => self.look(),
                () = self.renewal.watch.changed() => self.renew(ReadCause::News),
                () = until(self.followed.due()) => self.look(),
                () = until(late_at) => self.reading_is_late(),
                () = until(Some(next_drops)) => {
                    self.ask_for_drops();
                    // A worker that was late has let go by now.
                    self.free_rules();
                    // Routes to this machine come and go without a word, and so do directories.
                    self.look();
                    self.renew(ReadCause::Routine);
                    next_drops += DROPS_EVERY;
                }
                () = until(retry) => {}
            }
        }
    }

    /// Goes on with what has come back from beside the loop.
    fn on_outcome(&mut self, outcome: BackgroundOutcome) -> Left {
        match outcome {
            BackgroundOutcome::Beat(snapshots) => return self.on_beat(&snapshots),
            BackgroundOutcome::Drops(snapshots) => {
                self.drops.log(&snapshots);
                self.settle();
            }
            BackgroundOutcome::Reread(reread) => self.on_reread(reread),
            BackgroundOutcome::Renewed(renewed) => self.on_renewed(*renewed),
            BackgroundOutcome::Looked(looked) => self.on_looked(looked),
            BackgroundOutcome::Asked(looked) => self.on_asked(looked),
            BackgroundOutcome::Ruled(cause, answered) => self.on_ruled(cause, answered),
        }
        Left::Some
    }

    /// Notes a report and those that came with it, up to one that says that its worker is gone.
    fn note(&mut self, first: (WorkerIndex, Report)) -> Option<WorkerIndex> {
        let (mut next, mut at_once) = (Some(first), REPORTS_AT_ONCE);
        while let Some((worker, report)) = next {
            let lost = lost_listener(&report);
            if self.events.note(Instant::now(), worker, report) == Liveness::Gone {
                return Some(worker);
            }
            if let Some((listener, errno)) = lost {
                self.lose_listener(listener, errno);
            }
            // Whoever is taken out of the queue is noted: the next one stays there.
            let may_go_on = at_once > 0;
            at_once = at_once.saturating_sub(1);
            next = if may_go_on { self.reports.at_hand() } else { None };
        }
        None
    }

    /// Asks every worker how it is: for the service manager, and for a drain.
    fn beat(&mut self) {
        self.next_beat = None;
        self.background.gather(self.workers.snapshots(), BEAT_WITHIN, BackgroundOutcome::Beat);
    }

    fn on_beat(&mut self, snapshots: &[Snapshot]) -> Left {
        let (now, is_whole) = (Instant::now(), snapshots.len() >= self.alive);
        if is_whole {
            self.service.beat(now, snapshots, self.drain.is_some());
        }
        let live: u64 = snapshots.iter().map(|snapshot| snapshot.turn.live).sum();
        let left = self.look_who_is_left(now, is_whole.then_some(live));
        let every = self.drain.as_ref().map(|_| DRAIN_EVERY).or(self.service.every);
        self.next_beat = every.map(|every| now + every);
        left
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Reload(outcome) => self.begin_reload(Some(outcome)),
            // Who commanded may have gone away.
            Command::Drain(request, outcome) => drop(outcome.send(self.begin_draining(request))),
            Command::Cancel(outcome) => drop(outcome.send(self.call_off_draining())),
        }
    }

    fn ask_for_drops(&self) {
        self.background.gather(self.workers.snapshots(), DROPS_WITHIN, BackgroundOutcome::Drops);
    }

    /// Stops every worker from a moment on, and waits for their last reports, but not for ever.
    async fn stop(&mut self, begins_at: Instant) {
        let stopping = async {
            sleep_until(begins_at.into()).await;
            self.workers.stop();
            while self.workers.retry() {
                sleep(RETRY).await;
            }
            std::future::pending::<()>().await;
        };
        let deadline = begins_at + STOP_GRACE;
        let is_whole = tokio::select! {
            () = collect(&mut self.reports, &mut self.events, self.alive) => true,
            () = sleep_until(deadline.into()) => false,
            () = stopping => false,
            stop = self.signals.next_stop() => leave_at_once(stop),
        };
        if !is_whole {
            warn!(grace_s = STOP_GRACE.as_secs(), "not every worker ended in time");
        }
        self.settle();
    }

    fn settle(&mut self) {
        self.events.settle(Instant::now(), self.reports.lost());
    }
}

/// The listener whose sockets a report says are of no more use, and why.
fn lost_listener(report: &Report) -> Option<(ListenerId, i32)> {
    match report {
        Report::SocketBroken { role: Role::Listener(listener), errno, .. } => {
            Some((*listener, *errno))
        }
        Report::SocketBroken { role: Role::Relay(_), .. }
        | Report::Turn(_)
        | Report::SegmentationOff
        | Report::SegmentationOn
        | Report::WebBackendFailed { .. }
        | Report::StreamRefused(_)
        | Report::SourceRefused(_)
        | Report::Stopped(_)
        | Report::Failed(_) => None,
    }
}

/// Notes the last reports, no faster than their records are written; records that nobody takes in
/// time are counted as lost.
async fn collect(reports: &mut Reports, events: &mut EventLog, mut alive: usize) {
    let deadline = tokio::time::Instant::now() + LAST_RECORDS_WITHIN;
    while alive > 0
        && let Some((worker, report)) = reports.next().await
    {
        timeout_at(deadline, events.room()).await.unwrap_or_default();
        if events.note(Instant::now(), worker, report) == Liveness::Gone {
            alive -= 1;
        }
    }
}

fn leave_at_once(stop: StopSignal) -> ! {
    warn!(signal = stop.name, "asked again: leaving at once");
    output::wait_until_written(LAST_LINE_WITHIN);
    std::process::exit(stop.exit_status)
}

fn log_totals(totals: Totals, lived: Duration) {
    let Totals { allocations, to_peers, to_clients, between_clients, dropped } = totals;
    info!(
        uptime_s = lived.as_secs(),
        allocations,
        to_peers_packets = to_peers.packets,
        to_peers_bytes = to_peers.bytes,
        to_clients_packets = to_clients.packets,
        to_clients_bytes = to_clients.bytes,
        between_clients_packets = between_clients.packets,
        between_clients_bytes = between_clients.bytes,
        dropped,
        "stopped"
    );
}

/// Waits for a moment, or for ever where there is none.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
