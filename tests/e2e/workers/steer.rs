//! Steering by core: a client's packets reach its allocation wherever they arrive.

use core_affinity::CoreId;

use crate::client::{Call, Client, Peer};
use crate::machine;
use crate::relay::Setup;

/// Over loopback the core that sends is the core that receives.
fn on_core(core: CoreId) {
    assert!(core_affinity::set_for_current(core), "core {} is ours", core.id);
}

#[test]
fn a_client_whose_packets_change_core_is_served_on() {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let [first, second, ..] = cores[..] else {
        return machine::skip("a client whose packets change core is served on", "two cores");
    };
    for io in ["auto", "portable"] {
        let relay = Setup::new().with(&["--workers", "2", "--steer", "cpu", "--io", io]).start();
        let other = Peer::new();
        on_core(first);
        let mut call = Call::on(&relay);
        for core in [first, second, first, second] {
            on_core(core);
            call.talk();
            call.client.permit(other.address());
            call.client.refresh(600);
        }
        call.client.refresh(0);
        // The five-tuple is free again on every core.
        on_core(second);
        call.client.allocate();
        on_core(first);
        call.client.refresh(600);
    }
}

// The other worker hears of the five-tuple before the client hears of its allocation.
#[test]
fn a_client_may_change_core_at_once() {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let [first, second, ..] = cores[..] else {
        return machine::skip("a client may change core at once", "two cores");
    };
    let relay = Setup::new().with(&["--workers", "2", "--steer", "cpu"]).start();
    let mut client = Client::new(relay.v4());
    for (here, there) in [(first, second), (second, first)].repeat(100) {
        on_core(here);
        client.allocate();
        on_core(there);
        client.refresh(600);
        client.refresh(0);
    }
}

#[test]
fn without_steering_two_workers_serve_every_client() {
    let relay = Setup::new().with(&["--workers", "2"]).start();
    let mut clients: Vec<_> = (0..16).map(|_| Client::new(relay.v4())).collect();
    for client in &mut clients {
        client.allocate();
    }
}
