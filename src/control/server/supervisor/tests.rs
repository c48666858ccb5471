//! The supervisor with workers that obey, and with some that hang.

use std::cell::RefCell;
use std::io;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::*;
use crate::control::admin::commands::command_channel;
use crate::control::config::{Config, IoChoice, Machine, Options, Origin};
use crate::control::log::output::Level;
use crate::control::server::reports::reports;
use crate::control::server::start::plan::{nonces, settings};
use crate::control::server::start::runtime::Runtime;
use crate::control::usage::{self, QUEUE_LINES, UsageRecords, counts::RecordCounts, record::Names};
use crate::turn::{
    self, Cause, Closed, FiveTuple, ListenerId, Path, PeerLog, PerFamily, SessionId, Traffic,
};
use crate::worker::{Listen, StreamRules, Tell};

/// So many workers, which end when they are told to, each having made one allocation; so many of
/// them answer a question, and the others hang.
struct Obedient {
    tell: RefCell<Option<Tell>>,
    count: u8,
    answering: u8,
    /// What those that hang will never use.
    unanswered: RefCell<Vec<crossbeam_channel::Sender<Snapshot>>>,
}

impl WorkerControl for Obedient {
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

    fn retry(&self) -> bool {
        false
    }

    fn drain(&self, _: Option<Alternates>) {}

    fn listen(&self, _: ListenerId, _: Listen) -> Result<(), SpawnError> {
        Ok(())
    }

    fn stop_listening(&self, _: ListenerId) {}

    fn set_stream_rules(&self, _: &Arc<StreamRules>) {}

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
    let rules = Rules::new(Arc::new(settings(reload.config(), nonces().unwrap())));
    Supervisor {
        alive: usize::from(workers.count),
        workers,
        background: Background::new(),
        reports,
        signals: Signals::new().unwrap(),
        events: EventLog::new(Instant::now(), Vec::new(), UsageRecords::default()),
        drops: Drops::default(),
        readiness: Readiness::new(),
        reload,
        rules,
        commands,
        status,
        service: Service::heard(),
        watch: Watch::begin(),
        followed: Followed::new(no_file().config()),
        renewal: Renewal::begin(&[]).expect("there is no certificate"),
        drain: None,
        next_beat: None,
        reading: None,
    }
}

/// A reload may take the workers two seconds, and signals and commands are taken meanwhile.
#[test]
fn a_command_is_obeyed_while_a_reload_waits_for_workers_that_hang() {
    let path = std::env::temp_dir().join(format!("uturn-beside-{}", std::process::id()));
    std::fs::write(&path, "listen = ['127.0.0.1']\nuser = ['ann:secret']\n").unwrap();
    let machine = Machine::with(&["127.0.0.1"]);
    let config = Config::load(Options::default(), Some(&path), &machine).unwrap();
    let origin = Origin { file: Some(path.clone()), ..Origin::default() };
    let (tell, reports) = reports();
    let (sender, commands) = mpsc::channel(4);
    let (reloaded, mut reload) = oneshot::channel();
    Runtime::new(IoChoice::Portable).unwrap().block_on(async {
        let mut supervisor = supervisor(obedient(tell, 2, 0), reports);
        supervisor.reload = Reload::new(origin, config, nonces().unwrap(), Level::detached());
        supervisor.commands = commands;
        let ask = async {
            sender.send(Command::Reload(reloaded)).await.unwrap();
            sleep(Duration::from_millis(200)).await;
            let (cancelled, cancel) = oneshot::channel();
            sender.send(Command::Cancel(cancelled)).await.unwrap();
            cancel.await.unwrap()
        };
        tokio::select! {
            end = supervisor.serve() => panic!("it ended: {end:?}"),
            answer = timeout(Duration::from_millis(700), ask) => {
                assert_eq!(answer.unwrap(), Err("the server is not draining".to_owned()));
            }
        }
        assert!(reload.try_recv().is_err(), "the reload waits for the workers");
    });
    std::fs::remove_file(path).unwrap();
}

/// Lets two workers of which so many answer drain for one look; says whether it is over and
/// whether the watchdog was fed.
fn one_look(answering: u8) -> (Left, bool) {
    let (tell, reports) = reports();
    Runtime::new(IoChoice::Portable).unwrap().block_on(async {
        let mut supervisor = supervisor(obedient(tell, 2, answering), reports);
        supervisor.begin_draining(DrainRequest::default()).unwrap();
        supervisor.beat();
        let outcome = supervisor.background.next().await;
        (supervisor.on_outcome(outcome), supervisor.service.has_beaten())
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
        supervisor.alive = 2;
        let served = timeout(Duration::from_millis(20), supervisor.serve()).await;
        supervisor.stop(Instant::now()).await;
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

// Of 258 reports that waited, one was noted by nobody and counted nowhere.
#[test]
fn every_report_that_is_taken_is_noted_however_many_wait() {
    for others in 2 * REPORTS_AT_ONCE - 4..2 * REPORTS_AT_ONCE + 8 {
        let (tell, reports) = reports();
        for serial in 0..others as u64 {
            let closed = Closed { cause: Cause::Expired, ..ended_by_the_end(serial) };
            tell(WorkerIndex(0), Report::Turn(turn::Report::Closed(closed)));
        }
        let last = Report::Stopped(Box::new(one_allocation()));
        let last_tell = Tell::clone(&tell);
        std::thread::spawn(move || last_tell(WorkerIndex(0), last)).join().unwrap();
        let mut gone = None;
        Runtime::new(IoChoice::Portable).unwrap().block_on(async {
            let mut supervisor = supervisor(obedient(tell, 1, 1), reports);
            while let Some(report) = supervisor.reports.at_hand() {
                gone = gone.or(supervisor.note(report));
            }
        });
        assert_eq!(gone, Some(WorkerIndex(0)), "behind {others} others");
    }
}

fn ended_by_the_end(serial: u64) -> Closed {
    let client = ([192, 0, 2, 1], 5000).into();
    Closed {
        session: SessionId { worker: WorkerIndex(0), serial },
        user: "alice".into(),
        path: Path::udp(FiveTuple { listener: ListenerId(0), client }),
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
    let (names, counts) = (Names { status }, Arc::new(RecordCounts::default()));
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
