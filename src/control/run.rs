//! The life of a server, as the control thread sees it: start, serve, stop.
//!
//! ```text
//! start ── banner ── reports and signals ── first signal: stop every worker ── totals
//!                                           second signal: leave at once
//! ```

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use tokio::time::{sleep_until, timeout};
use tracing::{error, info, warn};

use super::config::Config;
use super::diary::Diary;
use super::reports::{Reporter, Reports, Totals, reports};
use super::runtime::Runtime;
use super::signals::{Caught, Signals};
use super::{banner, logging};

/// Time that workers get to end after the first signal; they only close sockets.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// The workers of a running server.
pub trait Workers {
    /// Says which driver moves the packets, in a word or two for people.
    fn driver(&self) -> &str;

    /// Asks every worker to end and returns at once. Each of them then sends
    /// [`Report::Stopped`](super::Report::Stopped) or drops its reporter.
    fn stop(&mut self);
}

/// Serves until a signal comes or a worker fails.
///
/// `start` brings the workers up and is called once, after the log has been set up; each worker
/// keeps a clone of the reporter for as long as it lives. Standard output gets the banner,
/// standard error the log.
pub fn run<W: Workers>(
    config: &Config,
    start: impl FnOnce(&Config, Reporter) -> io::Result<W>,
) -> ExitCode {
    logging::start(&config.log);
    match try_run(config, start) {
        Ok(code) => code,
        Err(error) => {
            error!(%error, "the server cannot start");
            ExitCode::FAILURE
        }
    }
}

fn try_run<W: Workers>(
    config: &Config,
    start: impl FnOnce(&Config, Reporter) -> io::Result<W>,
) -> io::Result<ExitCode> {
    let runtime = Runtime::new(config.io)?;
    // Handlers are in place before there is anything that a signal could leave half done.
    let signals = runtime.block_on(async { Signals::new() })?;
    let (reporter, reports) = reports();
    let workers = start(config, reporter)?;
    banner::print(config, workers.driver());
    log_start(config, workers.driver());
    let diary = Diary::new(Instant::now(), config.listen.clone());
    let life = Life { workers, reports, signals, diary };
    Ok(runtime.block_on(life.live(config.workers.len())))
}

fn log_start(config: &Config, driver: &str) {
    info!(
        version = env!("CARGO_PKG_VERSION"),
        listen = ?config.listen,
        relay_ports = %config.relay_ports,
        workers = config.workers.len(),
        driver,
        "started"
    );
    for relayed in config.private_relays() {
        warn!(%relayed, "the advertised relay address is private: behind 1:1 NAT set external-ip");
    }
}

struct Life<W> {
    workers: W,
    reports: Reports,
    signals: Signals,
    diary: Diary,
}

/// Why serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Asked,
    Failed,
}

impl<W: Workers> Life<W> {
    async fn live(mut self, mut alive: usize) -> ExitCode {
        let begun = Instant::now();
        let mut totals = Totals::default();
        let end = self.serve(&mut alive, &mut totals).await;
        info!("stopping");
        self.workers.stop();
        self.stop(alive, &mut totals).await;
        log_totals(totals, begun.elapsed());
        match end {
            End::Asked => ExitCode::SUCCESS,
            End::Failed => ExitCode::FAILURE,
        }
    }

    /// Notes what is reported until a signal comes or a worker is gone.
    async fn serve(&mut self, alive: &mut usize, totals: &mut Totals) -> End {
        loop {
            tokio::select! {
                caught = self.signals.next() => {
                    info!(signal = caught.name, "asked to stop");
                    return End::Asked;
                }
                report = self.reports.next() => {
                    let Some(last) = report.map(|report| self.diary.note(Instant::now(), report))
                    else {
                        *alive = 0;
                        return End::Failed;
                    };
                    if let Some(last) = last {
                        error!("a worker ended by itself");
                        (*alive, *totals) = (*alive - 1, last);
                        return End::Failed;
                    }
                }
                () = until(self.diary.due()) => self.settle(),
            }
        }
    }

    /// Waits for the last reports of the workers that are alive, but not for ever.
    async fn stop(&mut self, alive: usize, totals: &mut Totals) {
        let collect = collect(&mut self.reports, &mut self.diary, alive, totals);
        let collected = tokio::select! {
            collected = timeout(STOP_GRACE, collect) => collected,
            caught = self.signals.next() => leave_at_once(caught),
        };
        if collected.is_err() {
            warn!(grace_s = STOP_GRACE.as_secs(), "not every worker ended in time");
        }
        self.settle();
    }

    fn settle(&mut self) {
        self.diary.settle(Instant::now(), self.reports.lost());
    }
}

async fn collect(reports: &mut Reports, diary: &mut Diary, mut alive: usize, totals: &mut Totals) {
    while alive > 0
        && let Some(report) = reports.next().await
    {
        if let Some(last) = diary.note(Instant::now(), report) {
            *totals += last;
            alive -= 1;
        }
    }
}

fn leave_at_once(caught: Caught) -> ! {
    warn!(signal = caught.name, "asked again: leaving at once");
    std::process::exit(caught.exit_status)
}

fn log_totals(totals: Totals, lived: Duration) {
    info!(
        uptime_s = lived.as_secs(),
        allocations = totals.allocations,
        to_peers_packets = totals.traffic.to_peers.packets,
        to_peers_bytes = totals.traffic.to_peers.bytes,
        to_client_packets = totals.traffic.to_client.packets,
        to_client_bytes = totals.traffic.to_client.bytes,
        dropped = totals.dropped,
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
    use super::*;
    use crate::control::config::IoChoice;
    use crate::control::reports::Report;
    use crate::turn::WorkerIndex;

    /// Workers that answer a stop with one allocation each.
    struct Obedient {
        reporter: Option<Reporter>,
        count: usize,
    }

    impl Workers for Obedient {
        fn driver(&self) -> &str {
            "nothing"
        }

        fn stop(&mut self) {
            let totals = Totals { allocations: 1, ..Totals::default() };
            let reporter = self.reporter.take().expect("stopped once");
            for _ in 0..self.count {
                reporter.tell(Report::Stopped(WorkerIndex(0), totals));
            }
        }
    }

    /// Lives with two workers of which `count` are there to be stopped, after `first` was told.
    fn live(count: usize, first: Option<Report>) -> (End, Totals) {
        let (reporter, reports) = reports();
        first.into_iter().for_each(|first| reporter.tell(first));
        let workers = Obedient { reporter: Some(reporter), count };
        let runtime = Runtime::new(IoChoice::Portable).expect("epoll is everywhere");
        runtime.block_on(async {
            let signals = Signals::new().expect("signals can be caught");
            let diary = Diary::new(Instant::now(), Vec::new());
            let mut life = Life { workers, reports, signals, diary };
            let (mut alive, mut totals) = (2, Totals::default());
            let served = timeout(Duration::from_millis(20), life.serve(&mut alive, &mut totals));
            let end = served.await.unwrap_or(End::Asked);
            life.workers.stop();
            life.stop(alive, &mut totals).await;
            (end, totals)
        })
    }

    #[test]
    fn the_totals_of_all_workers_are_summed() {
        let (end, totals) = live(2, None);
        assert_eq!((end, totals.allocations), (End::Asked, 2));
    }

    #[test]
    fn a_worker_that_fails_ends_the_server_and_the_others_are_stopped() {
        let failed = Report::Failed(WorkerIndex(0), "no more sockets".to_owned());
        let (end, totals) = live(1, Some(failed));
        assert_eq!((end, totals.allocations), (End::Failed, 1));
    }

    #[test]
    fn a_worker_that_says_nothing_is_not_waited_for_once_it_is_gone() {
        let (end, totals) = live(0, None);
        assert_eq!((end, totals.allocations), (End::Asked, 0));
    }
}
