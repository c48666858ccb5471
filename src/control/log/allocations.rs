//! Log lines of allocations: opened and closed, as structured fields, a bounded number a second.

use std::net::SocketAddr;
use std::time::Instant;

use tracing::info;

use super::rate::{LineAdmission, Rate};
use crate::turn::{Closed, FiveTuple, ListenerId, Opened, PerFamily, WorkerIndex};
use crate::worker::Listen;

/// Lines about allocations that are logged each second; the rest is one more line.
const ALLOCATION_LINES_PER_SECOND: u32 = 50;

/// Logs allocations.
#[derive(Debug)]
pub(in crate::control) struct AllocationLog {
    rate: Rate,
    listen: Vec<Listen>,
}

impl AllocationLog {
    /// Starts with a full budget; the addresses are those of the listeners, in their order.
    pub(in crate::control) fn new(now: Instant, listen: Vec<Listen>) -> Self {
        Self { rate: Rate::new(ALLOCATION_LINES_PER_SECOND, now), listen }
    }

    /// Takes over the addresses of the listeners, in the order of their names.
    pub(in crate::control) fn follow(&mut self, listen: &[Listen]) {
        self.listen = listen.to_vec();
    }

    /// Logs that an allocation began, or counts it.
    pub(in crate::control) fn opened(
        &mut self,
        now: Instant,
        worker: WorkerIndex,
        opened: &Opened,
    ) {
        if self.admit(now) == LineAdmission::Log {
            let Opened { session, user, path, relayed, lifetime_s } = opened;
            info!(
                %session,
                user = &**user,
                transport = path.transport.name(),
                client = %path.client(),
                server = self.server(path.flow).map(display),
                relayed = %words(relayed),
                lifetime_s,
                worker = worker.0,
                "allocation opened"
            );
        }
    }

    /// Logs that an allocation ended, or counts it.
    pub(in crate::control) fn closed(
        &mut self,
        now: Instant,
        worker: WorkerIndex,
        closed: &Closed,
    ) {
        if self.admit(now) == LineAdmission::Log {
            let Closed { session, user, path, relayed, duration_ms, traffic, peers: _, cause } =
                closed;
            info!(
                %session,
                user = &**user,
                transport = path.transport.name(),
                client = %path.client(),
                server = self.server(path.flow).map(display),
                relayed = %words(relayed),
                reason = cause.name(),
                duration_s = seconds(*duration_ms),
                to_peers_packets = traffic.to_peers.packets,
                to_peers_bytes = traffic.to_peers.bytes,
                to_client_packets = traffic.to_client.packets,
                to_client_bytes = traffic.to_client.bytes,
                dropped = traffic.dropped,
                worker = worker.0,
                "allocation closed"
            );
        }
    }

    /// Logs how many lines were left out, if a second with such lines is over.
    pub(in crate::control) fn settle(&mut self, now: Instant) {
        if let Some(lines) = self.rate.left_out(now) {
            info!(lines, "allocation lines left out");
        }
    }

    /// Says when [`AllocationLog::settle`] has something to log.
    pub(in crate::control) fn due(&self) -> Option<Instant> {
        self.rate.due()
    }

    fn admit(&mut self, now: Instant) -> LineAdmission {
        self.settle(now);
        self.rate.admit(now)
    }

    /// A listener by its name.
    pub(super) fn listener(&self, listener: ListenerId) -> Option<Listen> {
        self.listen.get(usize::from(listener.0)).copied()
    }

    fn server(&self, flow: FiveTuple) -> Option<String> {
        self.listener(flow.listener).map(|listen| listen.address.to_string())
    }
}

fn words(relayed: &PerFamily<SocketAddr>) -> String {
    let words: Vec<_> = relayed.iter().map(SocketAddr::to_string).collect();
    words.join(",")
}

/// Seconds that are written with three decimals at the most: a quotient is the nearest number there
/// is to them, a sum of seconds and nanoseconds is not.
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::log::output::written;
    use crate::turn::{Cause, Load, Path, PeerLog, SessionId, Traffic};
    use crate::wire::Family;

    const SESSION: SessionId = SessionId { worker: WorkerIndex(3), serial: 17 };

    fn flow() -> FiveTuple {
        FiveTuple { listener: ListenerId(1), client: "192.0.2.7:5000".parse().unwrap() }
    }

    fn relayed() -> PerFamily<SocketAddr> {
        {
            let v4 = "198.51.100.1:50000".parse().unwrap();
            PerFamily::from_fn(|family| (family == Family::V4).then_some(v4))
        }
    }

    fn opened(user: &str) -> Opened {
        Opened {
            session: SESSION,
            user: user.into(),
            path: Path::udp(flow()),
            relayed: relayed(),
            lifetime_s: 600,
        }
    }

    fn closed() -> Closed {
        let load = |packets, bytes| Load { packets, bytes };
        let (to_peers, to_client) = (load(2, 200), load(3, 300));
        let traffic = Traffic { to_peers, to_client, dropped: 4 };
        let peers = PeerLog::default();
        let (user, cause) = ("alice".into(), Cause::Expired);
        let (session, path, relayed) = (SESSION, Path::udp(flow()), relayed());
        Closed { session, user, path, relayed, duration_ms: 1500, traffic, peers, cause }
    }

    fn allocations(now: Instant) -> AllocationLog {
        let listen =
            ["127.0.0.1:3478", "[::1]:3478"].map(|text| Listen::datagrams(text.parse().unwrap()));
        AllocationLog::new(now, listen.into())
    }

    /// What stands in the log, in one form or the other, after `write` has used the allocations.
    fn log(json: bool, write: impl FnOnce(&mut AllocationLog, Instant)) -> String {
        let now = Instant::now();
        written(json, || write(&mut allocations(now), now))
    }

    #[test]
    fn a_closed_allocation_is_one_object_with_every_figure() {
        let line = log(true, |allocations, now| allocations.closed(now, WorkerIndex(3), &closed()));
        let object: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(object["message"], "allocation closed");
        assert_eq!(object["session"], "3-17");
        assert_eq!(object["user"], "alice");
        assert_eq!(object["client"], "192.0.2.7:5000");
        assert_eq!(object["server"], "[::1]:3478");
        assert_eq!(object["relayed"], "198.51.100.1:50000");
        assert_eq!((&object["reason"], &object["duration_s"]), (&"expired".into(), &1.5.into()));
        assert_eq!(
            (&object["to_peers_packets"], &object["to_peers_bytes"]),
            (&2.into(), &200.into())
        );
        assert_eq!(
            (&object["to_client_packets"], &object["to_client_bytes"]),
            (&3.into(), &300.into())
        );
    }

    #[test]
    fn a_name_cannot_forge_a_line() {
        let user = "mallory\n2026-01-01T00:00:00Z INFO allocation opened user=\"root\"\x1b[2J";
        for json in [false, true] {
            let text = log(json, |allocations, now| {
                allocations.opened(now, WorkerIndex(0), &opened(user));
            });
            assert_eq!(text.lines().count(), 1, "{text}");
            assert!(!text.contains('\x1b'), "{text}");
        }
    }

    #[test]
    fn a_flood_is_so_many_lines_and_one_count() {
        let text = log(false, |allocations, now| {
            for _ in 0..1000 {
                allocations.opened(now, WorkerIndex(0), &opened("alice"));
            }
            allocations.settle(allocations.due().unwrap());
        });
        assert_eq!(text.lines().count(), ALLOCATION_LINES_PER_SECOND as usize + 1);
        assert!(text.lines().last().unwrap().contains("left out lines=950"));
    }
}
