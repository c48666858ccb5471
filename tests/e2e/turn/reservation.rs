//! EVEN-PORT with a reservation and RESERVATION-TOKEN, RFC 8656 §7: an RTP port now, its RTCP
//! neighbour for whoever brings the token, on whichever worker the kernel puts them.

use std::net::SocketAddr;

use crate::client::{Client, Peer, allocate};
use crate::relay::{Relay, Setup};
use crate::stun::{Builder, attribute};

fn even_with_reservation() -> Builder {
    allocate().attribute(attribute::EVEN_PORT, &[0x80])
}

fn with_token(token: &[u8]) -> Builder {
    allocate().attribute(attribute::RESERVATION_TOKEN, token)
}

/// An even port and the token for its neighbour.
fn reserve(client: &mut Client) -> (SocketAddr, Vec<u8>) {
    let answer = client.succeed(even_with_reservation());
    let relayed = answer.address(attribute::XOR_RELAYED_ADDRESS);
    assert_eq!(relayed.port() % 2, 0, "{relayed} is odd");
    let token = answer.get(attribute::RESERVATION_TOKEN).expect("a token").to_vec();
    assert_eq!(token.len(), 8);
    (relayed, token)
}

fn redeem(client: &mut Client, token: &[u8]) -> SocketAddr {
    client.succeed(with_token(token)).address(attribute::XOR_RELAYED_ADDRESS)
}

// RFC 8656 §7.2: the R bit reserves the next higher port, and the token names it.
#[test]
fn the_token_gets_the_next_port() {
    let relay = Relay::start();
    for _ in 0..10 {
        let mut rtp = Client::new(relay.v4());
        let (even, token) = reserve(&mut rtp);
        let odd = redeem(&mut Client::new(relay.v4()), &token);
        assert_eq!((odd.ip(), odd.port()), (even.ip(), even.port() + 1));
    }
}

#[test]
fn both_ports_relay() {
    let relay = Relay::start();
    let peer = Peer::new();
    let (mut rtp, mut rtcp) = (Client::new(relay.v4()), Client::new(relay.v4()));
    let (even, token) = reserve(&mut rtp);
    let odd = redeem(&mut rtcp, &token);
    for (client, relayed) in [(&mut rtp, even), (&mut rtcp, odd)] {
        client.permit(peer.address());
        peer.send(relayed, b"in");
        assert_eq!(client.data_indication(), (peer.address(), b"in".to_vec()));
        client.send_indication(peer.address(), b"out");
        assert_eq!(peer.receive(), (relayed, b"out".to_vec()));
    }
}

#[test]
fn a_token_is_good_once() {
    let relay = Relay::start();
    let (_, token) = reserve(&mut Client::new(relay.v4()));
    redeem(&mut Client::new(relay.v4()), &token);
    assert_eq!(Client::new(relay.v4()).fail(with_token(&token)), 508);
}

#[test]
fn tokens_cannot_be_guessed() {
    let relay = Relay::start();
    let (_, token) = reserve(&mut Client::new(relay.v4()));
    let (_, next) = reserve(&mut Client::new(relay.v4()));
    assert_ne!(token, next);
    for bit in 0..64 {
        let mut guess = token.clone();
        guess[bit / 8] ^= 1 << (bit % 8);
        if guess != next {
            assert_eq!(Client::new(relay.v4()).fail(with_token(&guess)), 508, "bit {bit}");
        }
    }
    redeem(&mut Client::new(relay.v4()), &token);
}

// A token belongs to the user it was given to.
#[test]
fn a_token_of_another_user_gets_508() {
    let relay = Setup::new().with(&["--user", "bob:builder"]).start();
    let (_, token) = reserve(&mut Client::new(relay.v4()));
    let mut bob = Client::login(relay.v4(), "bob", "builder");
    assert_eq!(bob.fail(with_token(&token)), 508);
}

#[test]
fn a_reserved_port_is_nobody_elses() {
    let relay = Setup::new().relay_port_count(4).start();
    let mut owner = Client::new(relay.v4());
    let (even, token) = reserve(&mut owner);
    let mut others = [Client::new(relay.v4()), Client::new(relay.v4())];
    for other in &mut others {
        let relayed = other.allocate();
        assert_ne!(relayed.port(), even.port() + 1);
    }
    assert_eq!(Client::new(relay.v4()).fail(allocate()), 508, "all but the reserved one are taken");
    assert_eq!(redeem(&mut Client::new(relay.v4()), &token).port(), even.port() + 1);
}

#[test]
fn without_a_free_pair_the_answer_is_508() {
    let relay = Setup::new().relay_port_count(2).start();
    let mut client = Client::new(relay.v4());
    client.allocate();
    assert_eq!(Client::new(relay.v4()).fail(even_with_reservation()), 508);
}

#[test]
fn a_retransmitted_reservation_gets_the_same_token() {
    let relay = Relay::start();
    let mut client = Client::new(relay.v4());
    client.challenge();
    let request = client.sign(even_with_reservation());
    let token = |answer: &crate::stun::Answer| {
        answer.get(attribute::RESERVATION_TOKEN).expect("a token").to_vec()
    };
    let first = client.request(&request);
    assert_eq!(token(&client.request(&request)), token(&first));
}

// The kernel spreads clients over the workers by their five-tuple: among so many, about half of the
// tokens are redeemed on a worker that did not give them.
#[test]
fn a_token_is_good_on_every_worker() {
    for (workers, io) in [("2", "auto"), ("3", "auto"), ("2", "portable")] {
        let relay = Setup::new().with(&["--workers", workers, "--io", io]).start();
        let peer = Peer::new();
        // Kept, so that no later client gets the port of one whose allocation lives on.
        let mut clients = Vec::new();
        for round in 0..16_u8 {
            let mut rtp = Client::new(relay.v4());
            let (even, token) = reserve(&mut rtp);
            let mut rtcp = Client::new(relay.v4());
            let odd = redeem(&mut rtcp, &token);
            assert_eq!((odd.ip(), odd.port()), (even.ip(), even.port() + 1), "round {round}");
            rtcp.bind(0x4000, peer.address());
            rtcp.send_channel(0x4000, &[round]);
            assert_eq!(peer.receive(), (odd, vec![round]));
            peer.send(odd, &[round]);
            assert_eq!(rtcp.channel_data(), (0x4000, vec![round]));
            assert_eq!(Client::new(relay.v4()).fail(with_token(&token)), 508);
            clients.extend([rtp, rtcp]);
        }
    }
}

#[test]
fn a_token_works_across_the_families_of_the_clients() {
    let relay = Relay::start();
    let (even, token) = reserve(&mut Client::new(relay.v4()));
    let odd = redeem(&mut Client::new(relay.v6()), &token);
    assert_eq!((odd.ip(), odd.port()), (even.ip(), even.port() + 1));
}
