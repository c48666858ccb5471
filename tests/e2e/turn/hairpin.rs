//! Relay to relay: two clients of the same server, each the other's peer. The payload goes from one
//! allocation straight to the other, with both sides' permissions checked.

use std::net::{SocketAddr, UdpSocket};

use crate::client::{Client, Peer};
use crate::relay::{Relay, Setup};

/// Two clients that may talk to each other through their relayed addresses.
struct Call {
    clients: [Client; 2],
    relayed: [SocketAddr; 2],
}

impl Call {
    fn new(relay: &Relay) -> Self {
        let mut clients = [Client::new(relay.v4()), Client::new(relay.v4())];
        let relayed = [clients[0].allocate(), clients[1].allocate()];
        clients[0].permit(relayed[1]);
        clients[1].permit(relayed[0]);
        Self { clients, relayed }
    }

    fn exchange(&mut self, payload: &[u8]) {
        for (from, to) in [(0, 1), (1, 0)] {
            self.clients[from].send_indication(self.relayed[to], payload);
            let (sender, received) = self.clients[to].data_indication();
            assert_eq!((sender, received.as_slice()), (self.relayed[from], payload));
        }
    }

    fn bind(&mut self) {
        self.clients[0].bind(0x4001, self.relayed[1]);
        self.clients[1].bind(0x4002, self.relayed[0]);
    }

    fn exchange_on_channels(&mut self, payload: &[u8]) {
        for (from, to, out, back) in [(0, 1, 0x4001, 0x4002), (1, 0, 0x4002, 0x4001)] {
            self.clients[from].send_channel(out, payload);
            assert_eq!(self.clients[to].channel_data(), (back, payload.to_vec()));
        }
    }
}

#[test]
fn two_clients_of_one_worker_talk() {
    let relay = Relay::start();
    let mut call = Call::new(&relay);
    call.exchange(b"hello");
    call.bind();
    call.exchange_on_channels(b"hello on a channel");
}

// Among ten pairs on two workers, both kinds are there: same worker and across.
#[test]
fn clients_of_two_workers_talk() {
    let relay = Setup::new().with(&["--workers", "2"]).start();
    for round in 0..10_u8 {
        let mut call = Call::new(&relay);
        call.exchange(&[round; 100]);
        call.bind();
        for _ in 0..20 {
            call.exchange_on_channels(&[round; 1200]);
        }
    }
}

// Behind 1:1 NAT clients know each other by the public address, which no packet could reach from
// inside.
#[test]
fn clients_talk_by_their_public_addresses() {
    for workers in ["1", "2"] {
        let setup = Setup::new().with(&["--external-ip", "198.51.100.7/127.0.0.1"]);
        // The documentation network stands for a public address here, and is denied by default.
        let relay = setup.with(&["--workers", workers, "--allow-peers", "198.51.100.7/32"]).start();
        for round in 0..6_u8 {
            let mut call = Call::new(&relay);
            assert_eq!(call.relayed[0].ip().to_string(), "198.51.100.7");
            call.exchange(&[round; 100]);
            call.bind();
            call.exchange_on_channels(&[round; 1200]);
        }
    }
}

#[test]
fn every_size_passes() {
    let relay = Relay::start();
    let mut call = Call::new(&relay);
    call.bind();
    for bytes in [0, 1, 2, 3, 4, 5, 159, 160, 1200, 1472, 1500, 9000, 60_000] {
        let payload: Vec<u8> = (0..bytes).map(|index| index as u8).collect();
        call.exchange_on_channels(&payload);
    }
}

#[test]
fn bursts_keep_order_and_content() {
    for workers in ["1", "2"] {
        let relay = Setup::new().with(&["--workers", workers]).start();
        for _ in 0..4 {
            let mut call = Call::new(&relay);
            call.bind();
            for burst in 0..10_u8 {
                let sent: Vec<_> = (0..20_u8).map(|number| vec![burst ^ number; 1200]).collect();
                sent.iter().for_each(|it| call.clients[0].send_channel(0x4001, it));
                for expected in &sent {
                    assert_eq!(call.clients[1].channel_data(), (0x4002, expected.clone()));
                }
            }
        }
    }
}

#[test]
fn both_sides_must_permit() {
    for workers in ["1", "2"] {
        let relay = Setup::new().with(&["--workers", workers]).start();
        for _ in 0..4 {
            let mut clients = [Client::new(relay.v4()), Client::new(relay.v4())];
            let relayed = [clients[0].allocate(), clients[1].allocate()];
            clients[0].send_indication(relayed[1], b"neither permits");
            clients[0].permit(relayed[1]);
            clients[0].send_indication(relayed[1], b"only the sender permits");
            clients[1].expect_silence();
            clients[0].expect_silence();
            let other: SocketAddr = "127.0.0.9:9".parse().expect("an address");
            clients[1].permit(other);
            clients[0].send_indication(relayed[1], b"the receiver permits another address");
            clients[1].expect_silence();
            clients[1].permit(relayed[0]);
            clients[0].send_indication(relayed[1], b"both permit");
            assert_eq!(clients[1].data_indication(), (relayed[0], b"both permit".to_vec()));
        }
    }
}

#[test]
fn a_client_can_talk_to_itself() {
    let relay = Relay::start();
    let mut client = Client::new(relay.v4());
    let relayed = client.allocate();
    client.permit(relayed);
    client.send_indication(relayed, b"echo");
    assert_eq!(client.data_indication(), (relayed, b"echo".to_vec()));
}

#[test]
fn a_closed_allocation_is_reached_by_nobody() {
    for workers in ["1", "2"] {
        let relay = Setup::new().with(&["--workers", workers]).start();
        for _ in 0..4 {
            let mut call = Call::new(&relay);
            call.exchange(b"before");
            call.clients[1].refresh(0);
            call.clients[0].send_indication(call.relayed[1], b"after");
            call.clients[1].expect_silence();
            call.clients[0].expect_silence();
        }
    }
}

// An SFU, a SIP gateway, a browser or another TURN server beside the relay may have any port.
#[test]
fn a_neighbour_with_a_port_of_the_relay_range_is_reached_both_ways() {
    for workers in ["1", "2"] {
        let setup = Setup::new().relay_port_count(20).with(&["--workers", workers]);
        let relay = setup.start();
        let mut client = Client::new(relay.v4());
        let own = client.allocate();
        let (low, high) = relay.relay_range;
        // Ports of every worker's slice.
        for port in (low..=high).filter(|port| *port != own.port()) {
            let neighbour = Peer { socket: bound(SocketAddr::new(own.ip(), port)) };
            let channel = 0x4000 + (port - low);
            client.bind(channel, neighbour.address());
            client.send_channel(channel, b"out");
            assert_eq!(neighbour.receive(), (own, b"out".to_vec()));
            neighbour.send(own, b"in");
            assert_eq!(client.channel_data(), (channel, b"in".to_vec()));
        }
    }
}

fn bound(address: SocketAddr) -> UdpSocket {
    UdpSocket::bind(address).expect("nobody has it")
}

// Nobody listens there: the way through the kernel, which the policy opens, ends there.
#[test]
fn unused_relay_ports_are_reached_by_nobody() {
    let relay = Setup::new().relay_port_count(20).start();
    let mut client = Client::new(relay.v4());
    let own = client.allocate();
    client.permit(own);
    let (low, high) = relay.relay_range;
    for port in low..=high {
        if port != own.port() {
            client.send_indication(SocketAddr::new(own.ip(), port), b"anybody?");
        }
    }
    client.expect_silence();
}

#[test]
fn ipv6_clients_talk() {
    for workers in ["1", "2"] {
        let relay = Setup::new().with(&["--workers", workers]).start();
        for _ in 0..4 {
            let mut clients = [Client::new(relay.v6()), Client::new(relay.v4())];
            let relayed = [clients[0].allocate_v6(), clients[1].allocate_v6()];
            clients[0].permit(relayed[1]);
            clients[1].permit(relayed[0]);
            clients[0].send_indication(relayed[1], b"hello");
            assert_eq!(clients[1].data_indication(), (relayed[0], b"hello".to_vec()));
            clients[1].send_indication(relayed[0], b"hi");
            assert_eq!(clients[0].data_indication(), (relayed[1], b"hi".to_vec()));
        }
    }
}

#[test]
fn a_call_and_a_peer_do_not_mix() {
    let relay = Relay::start();
    let peer = Peer::new();
    let mut call = Call::new(&relay);
    call.clients[0].bind(0x4009, peer.address());
    call.bind();
    for _ in 0..10 {
        call.clients[0].send_channel(0x4009, b"peer");
        call.clients[0].send_channel(0x4001, b"client");
        assert_eq!(peer.receive(), (call.relayed[0], b"peer".to_vec()));
        assert_eq!(call.clients[1].channel_data(), (0x4002, b"client".to_vec()));
    }
}
