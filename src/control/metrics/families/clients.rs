//! What clients do: traffic, allocations, ports, logins, requests, and what is dropped.

use super::{Moment, each, worker};
use crate::control::log::totals::drops;
use crate::control::metrics::text::{MetricKind, Text};
use crate::turn::{Counters, Families, Load, METHODS, QuotaHit, Refusal, ReplyKind, Transport};
use crate::wire::{ErrorCode, Method};
use crate::worker::Snapshot;

pub(super) fn tell(text: &mut Text, moment: &Moment<'_>) {
    let (answered, known) = (&moment.sample.answered, &moment.sample.known);
    traffic(text, answered);
    let help = "Allocations that the server holds at most.";
    text.family("uturn_allocations_limit", MetricKind::Gauge, help)
        .sample(&[], moment.status.allocations_limit);
    allocations(text, answered);
    ports(text, answered);
    logins(text, known);
    strangers(text, known);
    requests(text, known);
    quotas(text, known);
    dropped(text, known);
    faults(text, answered);
}

fn traffic(text: &mut Text, workers: &[Snapshot]) {
    let help = "Packets relayed: to_peers and to_clients through a relay socket, hairpin between \
                clients of one worker, handed_over to and taken_over from another worker.";
    loads(text, "uturn_packets_total", help, workers, |load| load.packets);
    let help = "Payload bytes of those packets, headers not counted, and of peer connections.";
    loads(text, "uturn_bytes_total", help, workers, |load| load.bytes);
}

fn loads(text: &mut Text, name: &str, help: &str, workers: &[Snapshot], of: fn(Load) -> u64) {
    let mut family = text.family(name, MetricKind::Counter, help);
    for snapshot in workers {
        for (direction, load) in directions(&snapshot.turn) {
            let worker = worker(snapshot);
            family.sample(&[("worker", &worker), ("direction", direction)], of(load));
        }
    }
}

fn directions(turn: &Counters) -> [(&'static str, Load); 5] {
    [
        ("to_peers", turn.to_peers),
        ("to_clients", turn.to_clients),
        ("hairpin", turn.hairpin),
        ("handed_over", turn.handed_over),
        ("taken_over", turn.taken_over),
    ]
}

fn allocations(text: &mut Text, workers: &[Snapshot]) {
    let help = "Allocations that live, by how the client comes and the relayed addresses it has.";
    by_ends(text, ("uturn_allocations", MetricKind::Gauge, help), workers, Counters::live_over);
    let help = "Allocations made, likewise.";
    let head = ("uturn_allocations_opened_total", MetricKind::Counter, help);
    by_ends(text, head, workers, Counters::opened_over);
    let help = "Allocations ended.";
    let head = ("uturn_allocations_closed_total", MetricKind::Counter, help);
    each(text, head, workers, |it| it.turn.closed);
    let help = "Ports reserved for a later allocation (EVEN-PORT).";
    let head = ("uturn_reservations_made_total", MetricKind::Counter, help);
    each(text, head, workers, |it| it.turn.reserved);
    let help = "Reserved ports that became an allocation's (RESERVATION-TOKEN).";
    let head = ("uturn_reservations_redeemed_total", MetricKind::Counter, help);
    each(text, head, workers, |it| it.turn.redeemed);
    let help = "Connections of TCP allocations with their peers: on their way, waiting, or bound.";
    let head = ("uturn_peer_connections", MetricKind::Gauge, help);
    each(text, head, workers, |it| it.turn.connections_live);
    let help = "Peer connections that a client has bound to one of its own (ConnectionBind).";
    let head = ("uturn_peer_connections_bound_total", MetricKind::Counter, help);
    each(text, head, workers, |it| it.turn.connections_bound);
}

fn by_ends(
    text: &mut Text,
    (name, kind, help): (&str, MetricKind, &str),
    workers: &[Snapshot],
    value: fn(&Counters, Transport, Families) -> u64,
) {
    let mut family = text.family(name, kind, help);
    for snapshot in workers {
        let worker = worker(snapshot);
        for transport in Transport::ALL {
            for families in Families::ALL {
                let over = ("transport", transport.name());
                let labels = [("worker", &*worker), over, ("family", families.name())];
                family.sample(&labels, value(&snapshot.turn, transport, families));
            }
        }
    }
}

/// The addresses are the operator's.
fn ports(text: &mut Text, workers: &[Snapshot]) {
    let rows: Vec<_> = workers
        .iter()
        .flat_map(|it| it.ports.iter().map(|ports| (worker(it), ports.local.to_string(), ports)))
        .collect();
    let help =
        "Relay ports that a worker draws first, by relay address; all together are the range.";
    let mut family = text.family("uturn_relay_ports", MetricKind::Gauge, help);
    for (worker, address, ports) in &rows {
        family.sample(&[("worker", worker), ("address", address)], ports.ports);
    }
    let help =
        "Relay ports that a worker has, its own or others: in use, reserved, or not yet closed.";
    let mut family = text.family("uturn_relay_ports_in_use", MetricKind::Gauge, help);
    for (worker, address, ports) in &rows {
        family.sample(&[("worker", worker), ("address", address)], ports.in_use);
    }
}

fn logins(text: &mut Text, workers: &[Snapshot]) {
    let help = "Requests that need a login, by what came of it; no_credentials (401) begins every \
                login, stale_nonce (438) renews one, foreign_nonce (438) is another \
                server's, or of a client whose address has changed.";
    let mut family = text.family("uturn_authentications_total", MetricKind::Counter, help);
    let sum = |of: &dyn Fn(&Counters) -> u64| workers.iter().map(|it| of(&it.turn)).sum::<u64>();
    family.sample(&[("result", "accepted")], sum(&|turn| turn.authenticated));
    for refusal in Refusal::ALL {
        family.sample(&[("result", refusal.name())], sum(&|turn| turn.refusals(refusal)));
    }
}

/// Not by network: strangers could make more and more of them.
fn strangers(text: &mut Text, workers: &[Snapshot]) {
    let help = "Answers that strangers did not get, because their network has used up what \
                stranger-reply-bytes lets it have.";
    let mut family = text.family("uturn_stranger_replies_refused_total", MetricKind::Counter, help);
    for kind in ReplyKind::ALL {
        let sum: u64 = workers.iter().map(|it| it.turn.refused_replies(kind)).sum();
        family.sample(&[("kind", kind.name())], sum);
    }
}

fn quotas(text: &mut Text, workers: &[Snapshot]) {
    let help = "Times that a request found a quota used up: allocations of a user or in total, \
                permissions, channels or peer connections of an allocation, relay ports of a \
                worker, allocations that are being opened.";
    let mut family = text.family("uturn_quota_hits_total", MetricKind::Counter, help);
    for quota in QuotaHit::ALL {
        let sum: u64 = workers.iter().map(|it| it.turn.quota_hits(quota)).sum();
        family.sample(&[("quota", quota.name())], sum);
    }
}

fn requests(text: &mut Text, workers: &[Snapshot]) {
    let help = "Requests answered with success.";
    let mut family = text.family("uturn_requests_succeeded_total", MetricKind::Counter, help);
    for method in METHODS {
        let sum: u64 = workers.iter().map(|it| it.turn.successes(method)).sum();
        family.sample(&[("method", word(method))], sum);
    }
    let help = "Requests answered with an error, by its code; a 401 comes before every login.";
    let mut family = text.family("uturn_requests_failed_total", MetricKind::Counter, help);
    for method in METHODS {
        for code in ErrorCode::ALL {
            let sum: u64 = workers.iter().map(|it| it.turn.errors(method, code)).sum();
            let number = code.number().to_string();
            family.sample(&[("method", word(method)), ("code", &number)], sum);
        }
    }
}

fn word(method: Method) -> &'static str {
    match method {
        Method::Binding => "binding",
        Method::Allocate => "allocate",
        Method::Refresh => "refresh",
        Method::Send => "send",
        Method::Data => "data",
        Method::CreatePermission => "create_permission",
        Method::ChannelBind => "channel_bind",
        Method::Connect => "connect",
        Method::ConnectionBind => "connection_bind",
        Method::ConnectionAttempt => "connection_attempt",
        Method::Unknown(_) => "unknown",
    }
}

/// Every worker has the reasons in the same order.
fn dropped(text: &mut Text, workers: &[Snapshot]) {
    let help = "Datagrams dropped, by reason.";
    let mut family = text.family("uturn_dropped_total", MetricKind::Counter, help);
    let mut all: Vec<_> = workers.iter().map(drops).collect();
    while let Some(row) = all.iter_mut().map(Iterator::next).collect::<Option<Vec<_>>>()
        && let Some(&(reason, _)) = row.first()
    {
        let sum: u64 = row.iter().map(|(_, packets)| packets).sum();
        family.sample(&[("reason", reason)], sum);
    }
}

fn faults(text: &mut Text, workers: &[Snapshot]) {
    let help = "Relay sockets that the driver refused or lost.";
    let head = ("uturn_relays_broken_total", MetricKind::Counter, help);
    each(text, head, workers, |it| it.worker.relays_broken);
    let help = "Datagrams handed to the worker that has their client (steer = cpu).";
    each(text, ("uturn_strays_total", MetricKind::Counter, help), workers, |it| {
        it.worker.misrouted
    });
    let help = "Claims on clients that a worker was not told of because it hangs (steer = cpu).";
    let head = ("uturn_claims_dropped_total", MetricKind::Counter, help);
    each(text, head, workers, |it| it.worker.claims_dropped);
}
