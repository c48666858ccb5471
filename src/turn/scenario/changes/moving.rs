//! The machine moves: relay addresses come and go while allocations live.

use crate::turn::scenario::*;
use crate::turn::{
    api::reason::Reason,
    policy::PeerPolicy,
    ports::plan::{PortPlan, RelayAddress, RelayPorts},
};
use crate::wire::{AttributeType, ErrorCode, Method};

/// The machine is at another address, or has another one beside it.
fn moved(to: &[&str]) -> Vec<RelayPorts> {
    let address = |ip: &&str| ip.parse().map(|ip| RelayAddress { local: ip, advertised: ip });
    let addresses: Vec<_> = to.iter().map(|ip| address(ip).unwrap()).collect();
    PortPlan::new(50_000, 50_063, 1).open(&addresses)
}

// DHCP, or a provider that gives out another address every night.
#[test]
fn relays_open_where_the_machine_is_now_and_those_elsewhere_live_on() {
    let mut world = World::new();
    let before = world.allocate(Client::ANN).expect_success().relayed();
    world.permit(Client::ANN, &[PEER]).expect_success();
    world.servers[0].relay_on(&moved(&["45.0.0.9"]));
    let after = world.allocate(Client::BOB).expect_success().relayed();
    assert_eq!(after.ip().to_string(), "45.0.0.9");
    world.send(Client::ANN, PEER, b"on").expect_to_peer(PEER, b"on");
    assert_ne!(before.ip(), after.ip());
    // The family that is gone cannot be had, and comes again.
    let v6 = |world: &mut World| {
        world.ask(Client::BOB.at("198.51.100.3:5000"), Method::Allocate, |writer| {
            writer.requested_transport(17);
            writer.attribute(AttributeType::REQUESTED_ADDRESS_FAMILY, &[2, 0, 0, 0]);
        })
    };
    v6(&mut world).expect_error(ErrorCode::AddressFamilyNotSupported);
    world.servers[0].relay_on(&moved(&["45.0.0.9", "2a0a::9"]));
    assert_eq!(v6(&mut world).expect_success().relayed().ip().to_string(), "2a0a::9");
}

// The address that was ours may be anybody's now: a packet for it leaves like every other.
#[test]
fn a_relay_address_that_was_lost_is_a_peer_like_any_other() {
    let mut world = World::new();
    world.allocate(Client::ANN).expect_success();
    world.permit(Client::ANN, &["45.0.0.1:1"]).expect_success();
    world.send(Client::ANN, "45.0.0.1:1", b"no").expect_drop(Reason::OwnPeer);
    world.servers[0].relay_on(&moved(&["45.0.0.9"]));
    world.reconfigure(|settings| settings.policy = PeerPolicy::new(&[], &[], &[])).at(1);
    world.send(Client::ANN, "45.0.0.1:1", b"yes").expect_to_peer("45.0.0.1:1", b"yes");
}
