//! What the status page is drawn from, as JSON: counters since the start, of which the page makes
//! rates.
//!
//! Law: no user, no client, no peer. Whoever may see `/metrics` may see this.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::super::families::Moment;
use super::super::history::Point;
use super::super::process::Process;
use super::super::refusals::refusals;
use crate::control::log::totals::{drops, held};
use crate::control::tls::certificate::CertificateFacts;
use crate::io::HoldTimes;
use crate::worker::Snapshot;

/// Bounds of the time held: from 5 µs to half a second, each a quarter above the one before.
const HELD_BOUNDS: usize = 52;

/// Everything that the page shows of one moment.
#[derive(Debug, Serialize)]
pub(super) struct Report<'a> {
    version: &'static str,
    driver: &'a str,
    /// `serving`, `draining` or `stopping`.
    state: &'static str,
    /// Why clients should not be sent here, if so.
    obstacle: Option<&'a str>,
    now: Point,
    allocations_limit: u32,
    /// By index; nothing for a worker that does not answer.
    workers: Vec<Option<Worker>>,
    drops: BTreeMap<&'static str, u64>,
    refusals: BTreeMap<&'static str, u64>,
    ports: Vec<Ports>,
    certificates: Vec<Certificate<'a>>,
    /// Microseconds, and the datagrams that were held for so long at most.
    held: Vec<(u64, u64)>,
    resident_bytes: Option<u64>,
    open_fds: Option<u64>,
    max_fds: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Certificate<'a> {
    name: &'a str,
    /// Seconds until it expires; below zero once it has.
    left_s: i64,
}

#[derive(Debug, Serialize)]
struct Worker {
    cpu_us: Option<u64>,
    packets: u64,
    bytes: u64,
    allocations: u64,
    dropped: u64,
}

/// Ports of a relay address, those of all workers.
#[derive(Debug, Serialize)]
struct Ports {
    address: String,
    ports: usize,
    in_use: usize,
}

impl<'a> Report<'a> {
    pub(super) fn of(moment: &Moment<'a>, obstacle: Option<&'a str>) -> Self {
        let Moment { about, status, sample, .. } = moment;
        let process = Process::now();
        let worker = |index: usize| {
            let snapshot = sample.answered.iter().find(|it| usize::from(it.index.0) == index)?;
            Some(worker(snapshot, sample.cpu_us.get(&snapshot.index).copied()))
        };
        Self {
            version: env!("CARGO_PKG_VERSION"),
            driver: about.driver,
            state: status.state.word(),
            obstacle,
            now: Point::of(about.begun.elapsed(), &sample.known),
            allocations_limit: status.allocations_limit,
            workers: (0..about.workers).map(worker).collect(),
            drops: sums(sample.known.iter().flat_map(drops)),
            refusals: sums(sample.known.iter().flat_map(refusals)),
            ports: ports(&sample.known),
            certificates: certificates(&status.certificates),
            held: held_buckets(&held(&sample.known)),
            resident_bytes: process.resident_bytes,
            open_fds: process.open_fds,
            max_fds: process.max_fds,
        }
    }
}

fn worker(snapshot: &Snapshot, cpu_us: Option<u64>) -> Worker {
    let Point { packets, bytes, allocations, dropped, .. } =
        Point::of(std::time::Duration::ZERO, std::slice::from_ref(snapshot));
    Worker { cpu_us, packets, bytes, allocations, dropped }
}

/// What there was of each reason; those that never happened are left out.
fn sums(counts: impl Iterator<Item = (&'static str, u64)>) -> BTreeMap<&'static str, u64> {
    let mut sums = BTreeMap::new();
    for (reason, count) in counts.filter(|(_, count)| *count > 0) {
        *sums.entry(reason).or_default() += count;
    }
    sums
}

fn ports(snapshots: &[Snapshot]) -> Vec<Ports> {
    let mut sums = BTreeMap::<_, (usize, usize)>::new();
    for ports in snapshots.iter().flat_map(|snapshot| &snapshot.ports) {
        let (all, in_use) = sums.entry(ports.local).or_default();
        *all += ports.ports;
        *in_use += ports.in_use;
    }
    let row = |(address, (ports, in_use)): (std::net::IpAddr, _)| Ports {
        address: address.to_string(),
        ports,
        in_use,
    };
    sums.into_iter().map(row).collect()
}

fn certificates(facts: &[CertificateFacts]) -> Vec<Certificate<'_>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_s = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let left_s = |it: &CertificateFacts| it.not_after_s.saturating_sub(now_s);
    facts.iter().map(|it| Certificate { name: &it.name, left_s: left_s(it) }).collect()
}

fn held_buckets(held: &HoldTimes) -> Vec<(u64, u64)> {
    let bounds = (0..HELD_BOUNDS).map(|step| (5.0 * 1.25_f64.powi(step as i32)).round() as u64);
    bounds.map(|bound| (bound, held.up_to(bound))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_happened_is_left_out_and_workers_are_summed() {
        let counts = [("a", 1), ("b", 0), ("a", 2)];
        assert_eq!(sums(counts.into_iter()), BTreeMap::from([("a", 3)]));
    }

    #[test]
    fn bounds_of_the_time_held_rise_to_half_a_second() {
        let buckets = held_buckets(&HoldTimes::default());
        assert!(buckets.is_sorted(), "{buckets:?}");
        let ends = (buckets[0], buckets[HELD_BOUNDS - 1]);
        assert!(ends.0 == (5, 0) && (400_000..500_000).contains(&ends.1.0), "{ends:?}");
    }

    #[test]
    fn a_certificate_is_told_by_its_name_and_the_time_it_has_left() {
        let facts = |not_after_s| CertificateFacts {
            name: "turn.example.org".to_owned(),
            names: Vec::new(),
            path: "/etc/uturn/fullchain.pem".into(),
            not_after_s,
            not_after: String::new(),
            is_rsa: false,
        };
        let facts = [facts(0), facts(i64::MAX)];
        let told = certificates(&facts);
        assert!(told[0].left_s < 0 && told[1].left_s > 1_000_000, "{told:?}");
        assert_eq!(told[0].name, "turn.example.org");
    }
}
