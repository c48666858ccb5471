//! What is counted beside drops and answers: allocations by their ends, logins, quotas, ports.

use super::stage::{
    client::Client,
    world::{PEER, World},
};
use crate::turn::{
    api::{counters::QuotaHit, names::path::Transport, per_family::Families},
    auth::authenticator::Refusal,
    ports::relays::PortUse,
};
use crate::wire::{AttributeType, Class, Family, Method};

const ANN: Client = Client::ANN;

/// Allocations that live, with an IPv4 address, an IPv6 address, and both.
fn live(world: &World) -> [u64; 3] {
    let live = Families::ALL.map(|families| world.counters().live_over(Transport::Udp, families));
    assert_eq!(live.iter().sum::<u64>(), world.counters().live);
    live
}

fn allocate_dual(world: &mut World, who: Client) {
    let dual = world.ask(who, Method::Allocate, |writer| {
        writer.requested_transport(17).additional_family(Family::V6);
    });
    dual.expect_success();
}

#[test]
fn allocations_are_counted_by_their_ends() {
    let mut world = World::new();
    world.allocate(ANN).expect_success();
    let six = world.ask(Client::BOB, Method::Allocate, |writer| {
        writer.requested_transport(17).requested_family(Family::V6);
    });
    six.expect_success();
    let third = ANN.at("198.51.100.1:5001");
    allocate_dual(&mut world, third);
    assert_eq!(live(&world), [1, 1, 1]);
    let four_gone = world.ask(third, Method::Refresh, |writer| {
        writer.requested_family(Family::V4).lifetime_s(0);
    });
    four_gone.expect_success();
    assert_eq!(live(&world), [1, 2, 0]);
    world.refresh(ANN, 0).expect_success();
    world.at(700);
    assert_eq!(live(&world), [0, 0, 0]);
    let opened = |families| world.counters().opened_over(Transport::Udp, families);
    assert_eq!(Families::ALL.map(opened), [1, 1, 1]);
    assert_eq!((world.counters().opened, world.counters().closed), (3, 3));
}

#[test]
fn each_login_has_one_outcome() {
    let mut world = World::new();
    world.allocate(ANN).expect_success();
    let unsigned = world.write(Method::Refresh, Class::Request, |_| {});
    world.says(ANN, &unsigned);
    let nameless = world.write(Method::Refresh, Class::Request, |writer| {
        writer.integrity(&ANN.key());
    });
    world.says(ANN, &nameless);
    let outdated = world.request(ANN, Method::Refresh, |_| {});
    world.at(5000).says(ANN, &outdated);
    let moved = world.request(ANN, Method::Refresh, |_| {});
    world.says(ANN.at("198.51.100.1:5001"), &moved);
    world.refresh(Client { user: "eve", ..ANN }, 600);
    let counters = world.counters();
    assert_eq!(counters.authenticated, 1);
    assert_eq!(Refusal::ALL.map(|refusal| counters.refusals(refusal)), [1; 5]);
}

#[test]
fn a_binding_needs_no_login() {
    let mut world = World::new();
    let binding = world.write(Method::Binding, Class::Request, |_| {});
    world.says(ANN, &binding);
    let counters = world.counters();
    assert_eq!(counters.authenticated, 0);
    assert_eq!(Refusal::ALL.map(|refusal| counters.refusals(refusal)), [0; 5]);
}

#[test]
fn each_quota_that_is_reached_is_counted() {
    let mut world = World::with(1, 1, |settings| {
        (settings.permissions_per_allocation, settings.channels_per_allocation) = (1, 1);
    });
    let hits = |world: &World| QuotaHit::ALL.map(|quota| world.counters().quota_hits(quota));
    world.allocate(ANN).expect_success();
    world.allocate(Client::BOB);
    assert_eq!(hits(&world), [1, 0, 0, 0, 0, 0, 0]);
    world.bind(ANN, 0x4000, PEER).expect_success();
    world.permit(ANN, &["9.9.9.1:1"]);
    world.bind(ANN, 0x4001, "9.9.9.9:2");
    assert_eq!(hits(&world), [1, 0, 1, 1, 0, 0, 0]);
}

#[test]
fn ports_are_counted_until_the_kernel_has_let_go() {
    let mut world = World::new();
    let used = |world: &World| {
        let [four, six] = world.servers[0].port_use()[..] else { panic!("two addresses") };
        assert_eq!((four.local.is_ipv4(), four.ports, six.ports), (true, 64, 64));
        [four, six].map(|PortUse { in_use, .. }| in_use)
    };
    allocate_dual(&mut world, ANN);
    let pair = world.ask(Client::BOB, Method::Allocate, |writer| {
        writer.requested_transport(17).attribute(AttributeType::EVEN_PORT, &[0x80]);
    });
    pair.expect_success();
    assert_eq!(used(&world), [3, 1]);
    world.refresh(ANN, 0).expect_success();
    assert_eq!(used(&world), [3, 1]);
    world.let_go();
    assert_eq!(used(&world), [2, 0]);
}

#[test]
fn a_family_without_a_port_is_counted() {
    let mut world = World::with(1, 1000, |_| {});
    let client = |n: u16| ANN.at(Box::leak(format!("198.51.100.1:{}", 6000 + n).into_boxed_str()));
    (0..64).for_each(|n| drop(world.allocate(client(n)).expect_success()));
    allocate_dual(&mut world, client(64));
    assert_eq!(world.counters().quota_hits(QuotaHit::Ports), 1);
    assert_eq!(live(&world), [64, 1, 0]);
}
