//! The supervisor of a server, as the control thread sees it: serve, change, stop.
//!
//! ```text
//! banner ── reports, signals, commands ── first signal: stop every worker ── totals
//!                                  second signal: leave at once
//! ```

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, sleep_until, timeout, timeout_at};
use tracing::{error, info, warn};

use super::answers::gather;
use super::drain::{Drain, Left};
use super::follow::Followed;
use super::reload::Reload;
use super::reports::Reports;
use super::service::Service;
use super::signals::{Caught, Signals, Stop};
use crate::control::admin::{Command, DrainRequest, ServerStatus, State};
use crate::control::log::drops::Drops;
use crate::control::log::events::{EventLog, Worker};
use crate::control::log::output;
use crate::control::log::totals::Totals;
use crate::control::metrics::Readiness;
use crate::control::network::Watch;
use crate::control::usage::LAST_RECORDS_WITHIN;
use crate::turn::{Alternates, ListenerId, RelayAddress, Settings, WorkerIndex};
use crate::worker::{Limits, Report, Snapshot, SpawnError};

/// Time that workers get to end after the first signal; they only close sockets.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// How often workers are asked what they dropped.
const DROPS_EVERY: Duration = Duration::from_secs(60);
/// How long workers have to say how they are. A worker that is late by so much, three times in a row,
/// hangs.
const BEAT_WITHIN: Duration = Duration::from_secs(1);
/// How often it is looked who is left while draining.
const DRAIN_EVERY: Duration = Duration::from_secs(1);
/// How long whoever watches a drain has to read that it is over.
const LAST_LINE_WITHIN: Duration = Duration::from_millis(200);
/// Reports noted between two looks at everything else.
const REPORTS_AT_ONCE: usize = 256;
/// How long they have to answer.
const ANSWERS_WITHIN: Duration = Duration::from_millis(200);

/// The workers of a running server, as far as the control thread deals with them.
pub(in crate::control) trait Workers {
    /// Asks every worker to end and returns at once.
    fn stop(&self);

    /// Asks every worker for its counters; the answers come in time.
    fn snapshots(&self) -> crossbeam_channel::Receiver<Snapshot>;

    /// Has every worker send new clients there, or take them again.
    fn drain(&self, alternates: Option<Alternates>);

    /// Has every worker listen on one more address, or again on one.
    fn listen(&self, listener: ListenerId, address: SocketAddr) -> Result<(), SpawnError>;

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
    pub(in crate::control) reports: Reports,
    pub(in crate::control) signals: Signals,
    pub(in crate::control) events: EventLog,
    pub(in crate::control) drops: Drops,
    pub(in crate::control) readiness: Readiness,
    pub(in crate::control) reload: Reload,
    pub(in crate::control) commands: mpsc::Receiver<Command>,
    pub(in crate::control) status: watch::Sender<ServerStatus>,
    pub(in crate::control) service: Service,
    pub(in crate::control) watch: Watch,
    pub(in crate::control) followed: Followed,
    /// The drain under way.
    pub(in crate::control) drain: Option<Drain>,
    /// When the workers are asked how they are; `None` while nobody wants to know.
    pub(in crate::control) next_beat: Option<Instant>,
}

/// Why serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Asked,
    Drained,
    Failed,
}

impl<W: Workers> Supervisor<W> {
    /// Serves with so many workers until a signal comes or one of them is gone, then stops the rest.
    pub(in crate::control) async fn run(mut self, mut alive: usize) -> ExitCode {
        let begun = Instant::now();
        self.service.ready();
        let end = self.serve(&mut alive).await;
        info!("stopping");
        self.service.stopping();
        self.readiness.withdraw();
        self.commands.close();
        match end {
            // Whoever watches reads the last line while there is somebody to write it.
            End::Drained => sleep(LAST_LINE_WITHIN).await,
            End::Asked | End::Failed => {
                self.status.send_modify(|status| status.state = State::Stopping);
            }
        }
        self.workers.stop();
        self.stop(alive).await;
        log_totals(self.events.totals(), begun.elapsed());
        match end {
            End::Asked | End::Drained => ExitCode::SUCCESS,
            End::Failed => ExitCode::FAILURE,
        }
    }

    async fn serve(&mut self, alive: &mut usize) -> End {
        let mut next_drops = Instant::now() + DROPS_EVERY;
        loop {
            tokio::select! {
                caught = self.signals.next() => match caught {
                    Caught::Stop(stop) => {
                        info!(signal = stop.name, "asked to stop");
                        return End::Asked;
                    }
                    Caught::Reload => drop(self.reload(*alive).await),
                    Caught::Drain => {
                        if let Err(problem) = self.begin_draining(DrainRequest::default()) {
                            error!("the server goes on: {problem}");
                        }
                    }
                },
                Some(command) = self.commands.recv() => self.obey(*alive, command).await,
                first = self.reports.next() => {
                    let Some(first) = first else {
                        error!("every worker is gone");
                        *alive = 0;
                        return End::Failed;
                    };
                    if let Some(worker) = self.note(first) {
                        error!(worker = worker.0, "a worker ended by itself");
                        *alive -= 1;
                        return End::Failed;
                    }
                }
                () = until(self.next_beat) => {
                    if self.beat(*alive).await == Left::Over {
                        return End::Drained;
                    }
                }
                () = until(self.events.due()) => self.settle(),
                () = self.watch.changed() => self.follow_addresses(*alive).await,
                () = until(self.followed.due()) => self.follow_addresses(*alive).await,
                () = until(Some(next_drops)) => {
                    self.log_drops().await;
                    // Routes to this machine come and go without a word.
                    self.follow_addresses(*alive).await;
                    next_drops += DROPS_EVERY;
                }
            }
        }
    }

    /// Notes a report and those that came with it, up to one that says that its worker is gone.
    fn note(&mut self, first: (WorkerIndex, Report)) -> Option<WorkerIndex> {
        let at_hand = std::iter::from_fn(|| self.reports.at_hand()).take(REPORTS_AT_ONCE);
        for (worker, report) in std::iter::once(first).chain(at_hand) {
            if self.events.note(Instant::now(), worker, report) == Worker::Gone {
                return Some(worker);
            }
        }
        None
    }

    /// Asks every worker how it is: for the service manager, and for a drain.
    async fn beat(&mut self, alive: usize) -> Left {
        let snapshots = gather(self.workers.snapshots(), BEAT_WITHIN).await;
        let (now, is_whole) = (Instant::now(), snapshots.len() >= alive);
        if is_whole {
            self.service.beat(now, &snapshots, self.drain.is_some());
        }
        let live: u64 = snapshots.iter().map(|snapshot| snapshot.turn.live).sum();
        let left = self.look_who_is_left(now, is_whole.then_some(live));
        let every = self.drain.as_ref().map(|_| DRAIN_EVERY).or(self.service.every);
        self.next_beat = every.map(|every| now + every);
        left
    }

    async fn obey(&mut self, alive: usize, command: Command) {
        match command {
            // Who ordered may have gone away.
            Command::Reload(outcome) => drop(outcome.send(self.reload(alive).await)),
            Command::Drain(request, outcome) => drop(outcome.send(self.begin_draining(request))),
            Command::Cancel(outcome) => drop(outcome.send(self.call_off_draining())),
        }
    }

    async fn log_drops(&mut self) {
        let answers = self.workers.snapshots();
        sleep(ANSWERS_WITHIN).await;
        let snapshots: Vec<_> = answers.try_iter().collect();
        self.drops.log(&snapshots);
        self.settle();
    }

    /// Waits for the last reports of the workers that are alive, but not for ever.
    async fn stop(&mut self, alive: usize) {
        let collect = collect(&mut self.reports, &mut self.events, alive);
        let collected = tokio::select! {
            collected = timeout(STOP_GRACE, collect) => collected,
            stop = self.signals.next_stop() => leave_at_once(stop),
        };
        if collected.is_err() {
            warn!(grace_s = STOP_GRACE.as_secs(), "not every worker ended in time");
        }
        self.settle();
    }

    fn settle(&mut self) {
        self.events.settle(Instant::now(), self.reports.lost());
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
        if events.note(Instant::now(), worker, report) == Worker::Gone {
            alive -= 1;
        }
    }
}

fn leave_at_once(stop: Stop) -> ! {
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
mod tests {
    use std::cell::RefCell;
    use std::io;

    use super::*;
    use crate::control::admin::command_channel;
    use crate::control::config::{Config, IoChoice, Machine, Options, Origin};
    use crate::control::log::output::Level;
    use crate::control::server::plan::nonces;
    use crate::control::server::reports::reports;
    use crate::control::server::runtime::Runtime;
    use crate::control::usage::{self, Counts, Names, QUEUE_LINES, UsageRecords};
    use crate::turn::{
        self, Cause, Closed, FiveTuple, ListenerId, PeerLog, PerFamily, SessionId, Traffic,
    };
    use crate::worker::Tell;

    /// So many workers, which end when they are told to, each having made one allocation; so many of
    /// them answer a question, and the others hang.
    struct Obedient {
        tell: RefCell<Option<Tell>>,
        count: u8,
        answering: u8,
        /// What those that hang will never use.
        unanswered: RefCell<Vec<crossbeam_channel::Sender<Snapshot>>>,
    }

    impl Workers for Obedient {
        fn stop(&self) {
            let tell = self.tell.take().unwrap();
            for worker in 0..self.count {
                let last = Report::Stopped(Box::new(one_allocation()));
                let tell = Tell::clone(&tell);
                std::thread::spawn(move || tell(WorkerIndex(worker), last));
            }
        }

        fn snapshots(&self) -> crossbeam_channel::Receiver<Snapshot> {
            let (answer, answers) = crossbeam_channel::bounded(2);
            for _ in 0..self.answering {
                answer.send(one_allocation()).unwrap();
            }
            if self.answering < self.count {
                self.unanswered.borrow_mut().push(answer);
            }
            answers
        }

        fn drain(&self, _: Option<Alternates>) {}

        fn listen(&self, _: ListenerId, _: SocketAddr) -> Result<(), SpawnError> {
            Ok(())
        }

        fn stop_listening(&self, _: ListenerId) {}

        fn relay_on(&self, _: &[RelayAddress]) {}

        fn reconfigure(
            &self,
            _: &Arc<Settings>,
            _: Limits,
        ) -> crossbeam_channel::Receiver<WorkerIndex> {
            crossbeam_channel::never()
        }
    }

    fn no_file() -> Reload {
        let machine = Machine::with(&["127.0.0.1"]);
        let config = Config::load(Options::default(), None, &machine).unwrap();
        Reload::new(Origin::default(), config, nonces().unwrap(), Level::detached())
    }

    fn one_allocation() -> Snapshot {
        let mut snapshot = Snapshot::blank(WorkerIndex(0));
        snapshot.turn.opened = 1;
        snapshot
    }

    fn obedient(tell: Tell, count: u8, answering: u8) -> Obedient {
        let (tell, unanswered) = (RefCell::new(Some(tell)), RefCell::default());
        Obedient { tell, count, answering, unanswered }
    }

    /// Has to be called on a runtime.
    fn supervisor(workers: Obedient, reports: Reports) -> Supervisor<Obedient> {
        let reload = no_file();
        let (_, commands, status) = command_channel(ServerStatus::serving(reload.config()));
        Supervisor {
            workers,
            reports,
            signals: Signals::new().unwrap(),
            events: EventLog::new(Instant::now(), Vec::new(), UsageRecords::default()),
            drops: Drops::default(),
            readiness: Readiness::new(),
            reload,
            commands,
            status,
            service: Service::heard(),
            watch: Watch::begin(),
            followed: Followed::new(no_file().config()),
            drain: None,
            next_beat: None,
        }
    }

    /// Lets two workers of which so many answer drain for one look; says whether it is over and
    /// whether the watchdog was fed.
    fn one_look(answering: u8) -> (Left, bool) {
        let (tell, reports) = reports();
        Runtime::new(IoChoice::Portable).unwrap().block_on(async {
            let mut supervisor = supervisor(obedient(tell, 2, answering), reports);
            supervisor.begin_draining(DrainRequest::default()).unwrap();
            (supervisor.beat(2).await, supervisor.service.has_beaten())
        })
    }

    #[test]
    fn a_worker_that_hangs_keeps_the_watchdog_hungry_and_a_drain_open() {
        assert_eq!(one_look(2), (Left::Over, true));
        assert_eq!(one_look(1), (Left::Some, false));
    }

    /// Lives with two workers of which `count` are there to be stopped, after `first` was told.
    fn live(count: u8, first: Option<Report>) -> (End, u64) {
        let (tell, reports) = reports();
        if let Some(first) = first {
            let tell = Tell::clone(&tell);
            std::thread::spawn(move || tell(WorkerIndex(0), first)).join().unwrap();
        }
        let workers = obedient(tell, count, count);
        Runtime::new(IoChoice::Portable).unwrap().block_on(async {
            let mut supervisor = supervisor(workers, reports);
            let mut alive = 2;
            let served = timeout(Duration::from_millis(20), supervisor.serve(&mut alive)).await;
            supervisor.workers.stop();
            supervisor.stop(alive).await;
            (served.unwrap_or(End::Asked), supervisor.events.totals().allocations)
        })
    }

    #[test]
    fn the_totals_of_all_workers_are_summed() {
        assert_eq!(live(2, None), (End::Asked, 2));
    }

    #[test]
    fn a_worker_that_fails_ends_the_server_and_the_others_are_stopped() {
        let failed = Report::Failed(io::ErrorKind::OutOfMemory.into());
        assert_eq!(live(1, Some(failed)), (End::Failed, 1));
    }

    #[test]
    fn workers_that_are_gone_without_a_word_are_not_waited_for() {
        assert_eq!(live(0, None), (End::Asked, 0));
    }

    fn ended_by_the_end(serial: u64) -> Closed {
        let client = ([192, 0, 2, 1], 5000).into();
        Closed {
            session: SessionId { worker: WorkerIndex(0), serial },
            user: "alice".into(),
            flow: FiveTuple { listener: ListenerId(0), client },
            relayed: PerFamily::default(),
            duration_ms: 1,
            traffic: Traffic::default(),
            peers: PeerLog::default(),
            cause: Cause::Shutdown,
        }
    }

    #[test]
    fn everybody_who_is_there_at_the_end_has_a_record() {
        const ALLOCATIONS: u64 = 2 * QUEUE_LINES as u64;
        let path = std::env::temp_dir().join(format!("uturn-the-end-{}", std::process::id()));
        let (tell, mut reports) = reports();
        let worker = std::thread::spawn(move || {
            let closed = (0..ALLOCATIONS)
                .map(|serial| Report::Turn(turn::Report::Closed(ended_by_the_end(serial))));
            closed.for_each(|report| tell(WorkerIndex(0), report));
            tell(WorkerIndex(0), Report::Stopped(Box::new(one_allocation())));
        });
        let status = watch::Sender::new(ServerStatus::serving(no_file().config())).subscribe();
        let (names, counts) = (Names { status }, Arc::new(Counts::default()));
        Runtime::new(IoChoice::Portable).unwrap().block_on(async {
            let (records, writer) = UsageRecords::open(&path, false, names, &counts).unwrap();
            let mut events = EventLog::new(Instant::now(), Vec::new(), records);
            let supervisor = async move { collect(&mut reports, &mut events, 1).await };
            usage::beside(supervisor, Some(writer.run(None))).await;
        });
        worker.join().unwrap();
        std::fs::remove_file(path).unwrap();
        assert_eq!((counts.written(), counts.lost()), (ALLOCATIONS, 0));
    }
}
