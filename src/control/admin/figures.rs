//! What `uturn top` is sent once a second: counters as they are, and the busiest sessions.
//!
//! Workers are asked only while somebody watches. Their counters are sent as they stand, so that
//! whoever watches makes rates of them with the times that stand beside; of sessions there may be a
//! hundred thousand, so the rates of all are made here and the busiest are sent.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::handler::Handler;
use super::line_writer::{BrokenOff, LineWriter};
use super::protocol::{Busy, Held, Line, Top, WorkerFigures};
use crate::control::log::totals::{Totals, drops, held};
use crate::control::metrics::overflow::socket_overflow;
use crate::control::metrics::refusals::refusals;
use crate::control::metrics::sampler::Sample;
use crate::io;
use crate::turn::{SessionId, Traffic, WorkerIndex};
use crate::worker::Snapshot;

/// How often something is sent.
const EVERY: Duration = Duration::from_secs(1);
/// Sessions that are sent: so many with most packets, and as many with most bytes.
const BUSIEST: usize = 60;

/// What a session had relayed, packets and bytes both ways.
type Relayed = HashMap<SessionId, (u64, u64)>;

/// What a session relays in a second.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Rate {
    id: SessionId,
    packets_per_s: f64,
    bytes_per_s: f64,
}

impl Handler {
    /// Sends figures until nobody reads them.
    pub(super) async fn watch_figures(&self, writer: &mut LineWriter) -> Result<(), BrokenOff> {
        let (mut before, mut then) = (Relayed::new(), None);
        let mut held_before = io::HoldTimes::default();
        loop {
            let (relayed, now) = (self.relayed().await, Instant::now());
            let rates = then.map_or_else(Vec::new, |then| {
                rates(&before, &relayed, now.saturating_duration_since(then))
            });
            let busiest = self.named_rates(busiest(rates)).await;
            let sample = self.node.sampler.sample().await;
            let held = held(&sample.known);
            let mut held_since = held.clone();
            held_since.subtract(&std::mem::replace(&mut held_before, held));
            let top = Box::new(self.figures(&sample, Held::of(&held_since), busiest));
            writer.write(&Line::Top(top)).await?;
            (before, then) = (relayed, Some(now));
            sleep(EVERY).await;
        }
    }

    /// What every session has relayed, page by page; those of a worker that does not answer are
    /// missing.
    async fn relayed(&self) -> Relayed {
        let mut relayed = Relayed::new();
        for worker in 0..self.node.about.workers {
            let worker = WorkerIndex(u8::try_from(worker).expect("there are 128 workers at most"));
            let mut from = Some(0);
            while let Some(at) = from {
                let Ok(page) = self.loads(worker, at).await else { break };
                relayed.extend(page.items.iter().map(|(id, traffic)| (*id, both_ways(traffic))));
                from = page.next;
            }
        }
        relayed
    }

    async fn named_rates(&self, rates: Vec<Rate>) -> Vec<Busy> {
        let status = self.commands.status();
        let mut busiest = Vec::with_capacity(rates.len());
        for Rate { id, packets_per_s, bytes_per_s } in rates {
            // One that has ended meanwhile is not missed.
            if let Ok(Some(detail)) = self.session(id).await {
                let session = self.session_line(&detail.session, &status);
                busiest.push(Busy { session, packets_per_s, bytes_per_s });
            }
        }
        busiest
    }

    fn figures(&self, sample: &Sample, held: Option<Held>, busiest: Vec<Busy>) -> Top {
        let status = self.commands.status();
        let about = &self.node.about;
        Top {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            state: status.state.word().to_owned(),
            driver: about.driver.to_owned(),
            at_ms: u64::try_from(about.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            allocations_limit: status.allocations_limit,
            worker_count: about.workers,
            workers: sample.answered.iter().map(|it| worker_figures(it, sample)).collect(),
            drops: sums(sample.known.iter().flat_map(drops)),
            refusals: sums(sample.known.iter().flat_map(refusals)),
            socket_overflow: socket_overflow(),
            held,
            busiest,
        }
    }
}

fn both_ways(traffic: &Traffic) -> (u64, u64) {
    let Traffic { to_peers, to_client, dropped: _ } = traffic;
    (to_peers.packets + to_client.packets, to_peers.bytes + to_client.bytes)
}

/// A session that is new has relayed everything since.
fn rates(before: &Relayed, after: &Relayed, elapsed: Duration) -> Vec<Rate> {
    let seconds = elapsed.as_secs_f64().max(0.001);
    let rate = |(id, (packets, bytes)): (&SessionId, &(u64, u64))| {
        let (packets_before, bytes_before) = before.get(id).copied().unwrap_or_default();
        Rate {
            id: *id,
            packets_per_s: packets.saturating_sub(packets_before) as f64 / seconds,
            bytes_per_s: bytes.saturating_sub(bytes_before) as f64 / seconds,
        }
    };
    after.iter().map(rate).collect()
}

/// Those with most packets and those with most bytes; each once.
fn busiest(mut rates: Vec<Rate>) -> Vec<Rate> {
    rates.sort_by(|a, b| b.packets_per_s.total_cmp(&a.packets_per_s).then(a.id.cmp(&b.id)));
    let mut rest = rates.split_off(rates.len().min(BUSIEST));
    rest.sort_by(|a, b| b.bytes_per_s.total_cmp(&a.bytes_per_s).then(a.id.cmp(&b.id)));
    rest.truncate(BUSIEST);
    rates.extend(rest);
    rates
}

fn worker_figures(snapshot: &Snapshot, sample: &Sample) -> WorkerFigures {
    let mut totals = Totals::default();
    totals += snapshot;
    let (turn, io) = (&snapshot.turn, &snapshot.io);
    let loads = [totals.to_peers, totals.to_clients, totals.between_clients];
    WorkerFigures {
        worker: snapshot.index.0,
        cpu_us: sample.cpu_us.get(&snapshot.index).copied(),
        turns: io.turns,
        received: io.received_datagrams,
        received_in_trains: io.train_datagrams_in,
        packets: loads.iter().map(|load| load.packets).sum(),
        bytes: loads.iter().map(|load| load.bytes).sum(),
        allocations: turn.live,
        dropped: totals.dropped,
    }
}

/// What there was of each reason; those that never happened are left out.
fn sums(counts: impl Iterator<Item = (&'static str, u64)>) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for (reason, count) in counts.filter(|(_, count)| *count > 0) {
        *sums.entry(reason.to_owned()).or_default() += count;
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(serial: u64) -> SessionId {
        SessionId { worker: WorkerIndex(0), serial }
    }

    #[test]
    fn rates_are_of_what_was_relayed_since() {
        let before = Relayed::from([(id(1), (10, 1000)), (id(2), (5, 500)), (id(3), (1, 1))]);
        let after = Relayed::from([(id(1), (30, 5000)), (id(2), (5, 500)), (id(4), (2, 20))]);
        let mut rates = rates(&before, &after, Duration::from_secs(2));
        rates.sort_by_key(|rate| rate.id);
        let seen: Vec<_> =
            rates.iter().map(|it| (it.id.serial, it.packets_per_s, it.bytes_per_s)).collect();
        assert_eq!(seen, [(1, 10.0, 2000.0), (2, 0.0, 0.0), (4, 1.0, 10.0)]);
    }

    #[test]
    fn the_busiest_are_those_with_most_packets_and_those_with_most_bytes() {
        let rate = |serial: u64| Rate {
            id: id(serial),
            packets_per_s: serial as f64,
            bytes_per_s: (1000 - serial) as f64,
        };
        let found = busiest((0..200).map(rate).collect());
        let serials: Vec<_> = found.iter().map(|rate| rate.id.serial).collect();
        let expected: Vec<_> = (140..200).rev().chain(0..60).collect();
        assert_eq!(serials, expected);
        assert_eq!(busiest((0..5).map(rate).collect()).len(), 5);
    }
}
