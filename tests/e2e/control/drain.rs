//! Draining: who is in a call stays, who comes is sent elsewhere, and the end comes by itself.

use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::client::{Call, Client, allocate};
use crate::control::commands::Controlled;
use crate::relay::{Setup, command};
use crate::stun::attribute;

const ALTERNATE: &str = "192.0.2.9:3479";

fn start(arguments: &[&str]) -> Controlled {
    Controlled::start(Setup::new().with(&["--workers", "2"]).with(arguments))
}

/// `uturn drain`, watching.
fn watch(controlled: &Controlled, words: &[&str]) -> Child {
    let mut command = command();
    command.args(["drain", "--control", &controlled.socket]).args(words).stdin(Stdio::null());
    command.spawn().expect("the command runs")
}

// Every packet is waited for: a lost one fails the test.
#[test]
fn calls_go_on_until_they_end_and_then_it_ends_with_0() {
    for io in ["auto", "portable"] {
        let mut controlled = start(&["--io", io]);
        let mut calls: Vec<_> = (0..6).map(|_| Call::on(&controlled.relay)).collect();
        let draining = AtomicBool::new(false);
        let watcher = watch(&controlled, &[]);
        controlled.relay.process.wait_until_it_logs("draining", 1);
        std::thread::scope(|scope| {
            let calling = scope.spawn(|| {
                let mut rounds = 0;
                while !draining.load(Ordering::Relaxed) || rounds < 100 {
                    calls.iter_mut().for_each(Call::talk);
                    rounds += 1;
                }
            });
            // New ones are refused while the others talk.
            for _ in 0..10 {
                assert_eq!(Client::new(controlled.relay.v4()).fail(allocate()), 508);
            }
            draining.store(true, Ordering::Relaxed);
            calling.join().expect("no packet is lost");
        });
        for Call { client, .. } in &mut calls {
            assert_eq!(client.refresh(600).lifetime_s(), 600);
        }
        let status = controlled.json(&["status"]).remove(0);
        assert_eq!((&status["state"], &status["allocations"]), (&"draining".into(), &6.into()));
        for Call { client, .. } in &mut calls {
            client.refresh(0);
        }
        let status = controlled.relay.process.wait();
        assert_eq!(status.code(), Some(0), "{}", controlled.relay.process.output());
        let watched = watcher.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&watched.stdout).into_owned();
        assert!(watched.status.success(), "{}", String::from_utf8_lossy(&watched.stderr));
        assert_eq!(said, "drained: nobody was left\n");
    }
}

// RFC 8489 §10: 300 with ALTERNATE-SERVER of the client's family, signed. The client checks that
// every answer to a signed request is.
#[test]
fn new_clients_are_sent_to_the_alternate_of_their_family() {
    let controlled = start(&["--alternate-server", ALTERNATE]);
    let mut call = Call::on(&controlled.relay);
    controlled.relay.process.signal(libc::SIGUSR1);
    controlled.relay.process.wait_until_it_logs("draining", 1);
    let answer = Client::new(controlled.relay.v4()).authenticated(allocate());
    assert_eq!(answer.code(), Some(300));
    assert_eq!(answer.get(ALTERNATE_SERVER), Some(&[0, 1, 0x0D, 0x97, 192, 0, 2, 9][..]));
    let answer = Client::new(controlled.relay.v6()).authenticated(allocate());
    assert_eq!((answer.code(), answer.get(ALTERNATE_SERVER)), (Some(508), None));
    call.talk();
    // Whoever is told on the command line goes before the configuration.
    let mut watcher = watch(&controlled, &["--alternate", "[2001:db8::9]:3480"]);
    controlled.relay.process.wait_until_it_logs("2001:db8::9", 1);
    let answer = Client::new(controlled.relay.v6()).authenticated(allocate());
    assert_eq!(answer.code(), Some(300));
    assert_eq!(
        answer.get(ALTERNATE_SERVER).map(|value| &value[..4]),
        Some(&[0, 2, 0x0D, 0x98][..])
    );
    call.talk();
    assert!(answer.get(attribute::XOR_RELAYED_ADDRESS).is_none());
    watcher.kill().and_then(|()| watcher.wait()).expect("our child can be killed");
}

#[test]
fn the_name_of_an_alternate_is_looked_up() {
    let controlled = start(&["--alternate-server", "localhost:3479"]);
    let mut call = Call::on(&controlled.relay);
    controlled.relay.process.signal(libc::SIGUSR1);
    controlled.relay.process.wait_until_it_logs("draining", 1);
    let answer = Client::new(controlled.relay.v4()).authenticated(allocate());
    assert_eq!(answer.code(), Some(300));
    assert_eq!(answer.get(ALTERNATE_SERVER), Some(&[0, 1, 0x0D, 0x97, 127, 0, 0, 1][..]));
    call.talk();
}

const ALTERNATE_SERVER: u16 = 0x8023;

#[test]
fn the_deadline_ends_what_is_left() {
    let mut controlled = start(&[]);
    let mut call = Call::on(&controlled.relay);
    let watcher = watch(&controlled, &["--deadline", "3"]);
    controlled.relay.process.wait_until_it_logs("draining", 1);
    call.talk();
    assert_eq!(controlled.relay.process.wait().code(), Some(0));
    let watched = watcher.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&watched.stdout).into_owned();
    assert_eq!(said, "drained: the deadline ended 1 allocation\n");
    assert!(controlled.relay.process.stderr().contains("the deadline has come"));
}

#[test]
fn a_drain_can_be_called_off() {
    let controlled = start(&[]);
    let mut call = Call::on(&controlled.relay);
    assert!(controlled.refuses(&["drain", "--cancel"]).contains("not draining"));
    let watcher = watch(&controlled, &[]);
    controlled.relay.process.wait_until_it_logs("draining", 1);
    assert_eq!(Client::new(controlled.relay.v4()).fail(allocate()), 508);
    assert_eq!(controlled.says(&["drain", "--cancel"]), "serving again\n");
    let watched = watcher.wait_with_output().expect("it ends");
    assert_eq!(watched.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&watched.stderr).contains("called off"));
    // The workers have their mail before they are asked anything.
    controlled.json(&["status"]);
    Client::new(controlled.relay.v4()).allocate();
    call.talk();
    assert_eq!(controlled.json(&["status"])[0]["state"], "serving");
}

#[test]
fn without_a_client_it_ends_at_once() {
    let mut controlled = start(&[]);
    assert_eq!(controlled.says(&["drain"]), "drained: nobody was left\n");
    assert_eq!(controlled.relay.process.wait().code(), Some(0));
}

#[test]
fn a_server_is_no_alternate_of_itself() {
    let controlled = start(&[]);
    let own = controlled.relay.v4().to_string();
    assert!(controlled.refuses(&["drain", "--alternate", &own]).contains("is this server"));
    Client::new(controlled.relay.v4()).allocate();
    let mut command = command();
    command.args(["--listen", "127.0.0.1:3999", "--alternate-server", "127.0.0.1:3999"]);
    let output = command.output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("alternate-server: 127.0.0.1:3999 is this server"), "{said}");
}

#[test]
fn a_signal_still_stops_it_at_once() {
    let mut controlled = start(&[]);
    let _call = Call::on(&controlled.relay);
    controlled.relay.process.signal(libc::SIGUSR1);
    controlled.relay.process.wait_until_it_logs("draining", 1);
    controlled.relay.process.signal(libc::SIGTERM);
    assert_eq!(controlled.relay.process.wait().code(), Some(0));
}
