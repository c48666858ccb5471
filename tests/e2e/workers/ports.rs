//! Relay ports with several workers: nobody is refused while a port of the family is free,
//! whichever worker the kernel puts the clients on.

use crate::client::{Client, V6, allocate};
use crate::control::commands::Controlled;
use crate::relay::{Relay, Setup};
use crate::stun::attribute;

const FULL: u16 = 508;

/// Clients that are all granted, and one more that is not.
fn fill(relay: &Relay, count: usize) -> Vec<Client> {
    let clients: Vec<_> = (0..count)
        .map(|number| {
            let mut client = Client::new(relay.v4());
            let code = client.authenticated(allocate()).code();
            assert_eq!(code, None, "after {number} of {count}");
            client
        })
        .collect();
    (0..8).for_each(|_| assert_eq!(Client::new(relay.v4()).fail(allocate()), FULL));
    clients
}

#[test]
fn few_ports_and_many_workers_fill_to_the_last_port() {
    for (workers, ports) in [("8", 21), ("8", 3), ("16", 16)] {
        let setup = Setup::new().with(&["--workers", workers, "--user-quota", "0"]);
        let relay = setup.relay_port_count(ports).start();
        let mut clients = fill(&relay, ports.into());
        let mut six = Client::new(relay.v4());
        six.succeed(allocate().attribute(attribute::REQUESTED_ADDRESS_FAMILY, V6));
        clients.iter_mut().for_each(|client| assert_eq!(client.refresh(0).lifetime_s(), 0));
        drop(clients);
        fill(&relay, ports.into());
    }
}

#[test]
fn few_ports_and_many_workers_fill_to_the_last_pair() {
    let setup = Setup::new().with(&["--workers", "8", "--user-quota", "0"]);
    let relay = setup.relay_port_count(20).start();
    let pair = || allocate().attribute(attribute::EVEN_PORT, &[0x80]);
    let mut clients: Vec<_> = (0..10).map(|_| Client::new(relay.v4())).collect();
    clients.iter_mut().for_each(|client| drop(client.succeed(pair())));
    (0..8).for_each(|_| assert_eq!(Client::new(relay.v4()).fail(pair()), FULL));
}

/// Sockets of a user that all meet the same worker, found as anybody can find them: by trial.
fn that_meet_one_worker(controlled: &Controlled, count: usize) -> Vec<Client> {
    let mut found = Vec::new();
    while found.len() < count {
        let mut tried: Vec<_> = (0..8).map(|_| Client::new(controlled.relay.v4())).collect();
        for client in &mut tried {
            client.allocate();
        }
        let sessions = controlled.json(&["sessions"]);
        for mut client in tried {
            let address = client.address().to_string();
            let mut sessions = sessions.iter();
            let session = sessions.find(|session| session["client"] == address.as_str());
            let id = session.expect("it is listed")["id"].as_str().expect("a name");
            client.refresh(0);
            if id.starts_with("3-") {
                found.push(client);
            }
        }
    }
    found.truncate(count);
    found
}

// A user whose sockets all meet one worker gets what the quota permits and shuts nobody out.
#[test]
fn a_worker_that_all_of_a_users_clients_meet_refuses_nobody() {
    let setup = Setup::new().with(&["--workers", "8", "--user-quota", "24"]);
    let setup = setup.with(&["--user", "bob:builder"]).relay_port_count(40);
    let controlled = Controlled::start(setup);
    let mut greedy = that_meet_one_worker(&controlled, 25);
    let mut last = greedy.pop().expect("25");
    for client in &mut greedy {
        client.allocate();
    }
    assert_eq!(last.fail(allocate()), 486, "the quota holds");
    let bob = || Client::login(controlled.relay.v4(), "bob", "builder");
    let mut others: Vec<_> = (0..16).map(|_| bob()).collect();
    for client in &mut others {
        client.allocate();
    }
    assert_eq!(bob().fail(allocate()), FULL);
}
