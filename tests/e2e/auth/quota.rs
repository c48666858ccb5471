//! Quotas: 486 for a user's, 508 for the server's, and what is given back can be had again.

use crate::client::{Client, V6, allocate};
use crate::relay::{Relay, Setup};
use crate::stun::attribute;

fn holders(relay: &Relay, count: usize) -> Vec<Client> {
    let mut clients: Vec<_> = (0..count).map(|_| Client::new(relay.v4())).collect();
    for client in &mut clients {
        client.allocate();
    }
    clients
}

// RFC 8656 §7.2: 486 (Allocation Quota Reached).
#[test]
fn a_user_over_the_quota_gets_486() {
    let setup = Setup::new().with(&["--user-quota", "3", "--user", "bob:builder"]);
    let relay = setup.start();
    let mut held = holders(&relay, 3);
    assert_eq!(Client::new(relay.v4()).fail(allocate()), 486);
    Client::login(relay.v4(), "bob", "builder").allocate();
    held[0].refresh(0);
    Client::new(relay.v4()).allocate();
    assert_eq!(Client::new(relay.v4()).fail(allocate()), 486);
}

// The quota is the server's, not each worker's.
#[test]
fn the_user_quota_holds_over_all_workers() {
    let relay = Setup::new().with(&["--workers", "2", "--user-quota", "6"]).start();
    let mut granted = 0;
    let mut clients: Vec<_> = (0..24).map(|_| Client::new(relay.v4())).collect();
    for client in &mut clients {
        match client.authenticated(allocate()).code() {
            None => granted += 1,
            Some(code) => assert_eq!(code, 486),
        }
    }
    assert_eq!(granted, 6);
}

#[test]
fn everybody_over_the_total_quota_gets_508() {
    for workers in ["1", "2"] {
        let setup = Setup::new().with(&["--workers", workers, "--total-quota", "6"]);
        let relay = setup.start();
        let mut granted = Vec::new();
        for _ in 0..24 {
            let mut client = Client::new(relay.v4());
            match client.authenticated(allocate()).code() {
                None => granted.push(client),
                Some(code) => assert!(matches!(code, 486 | 508), "{code}"),
            }
        }
        assert_eq!(granted.len(), 6, "{workers} workers");
        granted.iter_mut().for_each(|client| assert_eq!(client.refresh(0).lifetime_s(), 0));
    }
}

#[test]
fn without_ports_the_answer_is_508() {
    let relay = Setup::new().relay_port_count(4).start();
    let mut held = holders(&relay, 4);
    for _ in 0..5 {
        assert_eq!(Client::new(relay.v4()).fail(allocate()), 508);
    }
    held[2].refresh(0);
    Client::new(relay.v4()).allocate();
}

#[test]
fn a_dual_allocation_counts_like_what_it_takes() {
    let relay = Setup::new().relay_port_count(4).start();
    let dual = || allocate().attribute(attribute::ADDITIONAL_ADDRESS_FAMILY, V6);
    let mut clients: Vec<_> = (0..4).map(|_| Client::new(relay.v4())).collect();
    for client in &mut clients {
        let answer = client.succeed(dual());
        assert_eq!(answer.addresses(attribute::XOR_RELAYED_ADDRESS).len(), 2);
    }
    assert_eq!(Client::new(relay.v4()).fail(allocate()), 508);
    for client in &mut clients {
        client.refresh(0);
    }
    holders(&relay, 4);
}

// A refusal must not leave anything behind.
#[test]
fn refusals_use_nothing_up() {
    let relay = Setup::new().with(&["--user-quota", "2"]).relay_port_count(4).start();
    let mut held = holders(&relay, 2);
    for _ in 0..30 {
        assert_eq!(Client::new(relay.v4()).fail(allocate()), 486);
    }
    held.iter_mut().for_each(|client| assert_eq!(client.refresh(0).lifetime_s(), 0));
    drop(held);
    holders(&relay, 2);
}
