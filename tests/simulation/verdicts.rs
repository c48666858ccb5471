//! Every verdict is held against the model's before it has any effect.

use std::net::{IpAddr, SocketAddr};

use uturn::{
    turn::{FiveTuple, ListenerId, Now, ToClient, Train, Verdict},
    wire::{ChannelData, Family, Fingerprint, Message, Prefix},
};

use super::{
    mail::Mail,
    model::{Arrival, Expect, Fate, relayed_addresses},
    node::State,
    packet::{Ask, Packet, Request},
    run::{Event, Story},
    scenario::BEGIN_S,
};

impl Story {
    pub(crate) fn now(&self) -> Now {
        Now { mono_ms: self.now_ms, unix_s: BEGIN_S + self.now_ms / 1000 }
    }

    fn forwarding(&self) -> bool {
        self.model.scenario.forwarding
    }

    /// The kernel's choice among the sockets that share a port.
    fn steer(&self, client: SocketAddr) -> u8 {
        let bytes = format!("{client}").into_bytes();
        let hash = bytes.iter().fold(7_u64, |hash, byte| hash * 31 % 1_000_003 + u64::from(*byte));
        (hash % u64::from(self.model.scenario.workers)) as u8
    }

    pub(crate) fn reach_server(&mut self, from: SocketAddr, packet: &Packet) {
        let worker = self.steer(from);
        let flow = FiveTuple { listener: listener(from), client: from };
        let bytes = packet.bytes();
        let now = self.now();
        let node = &mut self.node;
        let server = &mut node.workers[usize::from(worker)].server;
        let verdict = server.from_client(now, flow, &bytes, 1, &mut node.reply);
        self.tally.datagrams += 1;
        if let (Packet::Channel { number, payload, .. }, true) = (packet, self.forwarding()) {
            let forwarder = &self.node.workers[usize::from(worker)].forwarder;
            let end = (from, *number);
            let forwards = forwarder.agree_to_peer(self.now_ms, end, payload.len(), &verdict);
            self.tally.forwarded_to_peers += u64::from(forwards);
        }
        match packet {
            Packet::Request(request) => self.hold_request(worker, from, request, verdict),
            Packet::Send { .. } | Packet::Channel { .. } | Packet::Junk(_) => {
                self.hold_payload(worker, from, packet, &bytes, verdict);
            }
        }
        self.carry_out(worker);
    }

    fn hold_request(
        &mut self,
        worker: u8,
        client: SocketAddr,
        request: &Request,
        verdict: Verdict,
    ) {
        let arrival = Arrival { now_ms: self.now_ms, worker, client, request };
        let expect = self.model.judge(arrival);
        let what = format!("{expect:?} {verdict:?} {client} at {worker}: {request:?}");
        match (expect, verdict) {
            (Expect::Later, Verdict::Pending) => self.tally.later += 1,
            (Expect::Later, Verdict::Reply(bytes)) => {
                let answer = self.node.reply[..bytes].to_vec();
                self.model.openings.remove(&client);
                self.answered(arrival, Expect::Code(508), &answer);
                self.check_scarcity(arrival);
            }
            (Expect::Silence(expected), Verdict::Drop(reason)) => {
                assert_eq!(reason, expected, "{what}");
                self.model.sums.dropped += 1;
            }
            (Expect::Success | Expect::Again | Expect::Code(_), Verdict::Reply(bytes)) => {
                let answer = self.node.reply[..bytes].to_vec();
                if expect == Expect::Success && matches!(request.ask, Ask::Allocate(_)) {
                    self.redeemed_here(arrival, &answer);
                }
                self.answered(arrival, expect, &answer);
            }
            _ => panic!("{what}"),
        }
    }

    /// There may be no port only where there is none.
    fn check_scarcity(&self, arrival: Arrival<'_>) {
        let Ask::Allocate(wish) = &arrival.request.ask else { return };
        let families = match (wish.is_dual, wish.family) {
            (true, _) => vec![Family::V4, Family::V6],
            (false, family) => vec![family.unwrap_or(Family::V4)],
        };
        let addresses = self.model.scenario.relay_addresses();
        let wanted = addresses.iter().filter(|one| families.contains(&Family::of(one.local)));
        for address in wanted {
            let free = self.free_ports(address.local, wish.even);
            assert!(free.is_empty(), "508 with {free:?} free on {}", address.local);
        }
    }

    /// Ports that would do: neither bound nor drawn by an Allocate that waits, nor on their way.
    fn free_ports(&self, local: IpAddr, even: Option<bool>) -> Vec<u16> {
        let (low, high) = self.model.scenario.ports;
        let is_free = |port: u16| {
            let local = SocketAddr::new(local, port);
            let is_held = self.node.is_taken(local) || self.node.is_drawn(local);
            !is_held && !self.model.moving.contains_key(&local)
        };
        let fits = |port: &u16| {
            let is_even = port.is_multiple_of(2);
            match even {
                None => is_free(*port),
                Some(false) => is_even && is_free(*port),
                Some(true) => {
                    let next = *port + 1;
                    is_even && is_free(*port) && next <= high && is_free(next)
                }
            }
        };
        (low..=high).filter(fits).collect()
    }

    /// A token of this very worker is redeemed at once.
    fn redeemed_here(&mut self, arrival: Arrival<'_>, answer: &[u8]) {
        let Ask::Allocate(wish) = &arrival.request.ask else { return };
        let token = wish.token.expect("nothing else is answered at once");
        let reservation = self.model.reservations.remove(&token).expect("judged redeemable");
        let message = Message::parse(answer).expect("answers are well-formed");
        assert_eq!(relayed_addresses(&message), [reservation.relayed]);
        self.model.sums.redeemed += 1;
        self.model.opened(arrival, &message, answer);
        self.settle(arrival.worker, arrival.client);
    }

    /// An answer leaves: checks what every answer must have, and sends it.
    pub(crate) fn answered(&mut self, arrival: Arrival<'_>, expect: Expect, answer: &[u8]) {
        let Arrival { client, request, .. } = arrival;
        let message = Message::parse(answer).expect("answers are well-formed");
        let code = message.error_code().expect("well-formed");
        let expected = if let Expect::Code(code) = expect { Some(code) } else { None };
        assert_eq!(code, expected, "{client} {request:?}");
        assert_eq!(message.transaction(), request.transaction);
        assert_eq!(message.method(), request.ask.method());
        let has_fingerprint = message.fingerprint() == Fingerprint::Valid;
        assert_eq!(has_fingerprint, request.has_fingerprint);
        match &request.signature {
            Some(signature) if !matches!(code, Some(401 | 438)) && request.ask != Ask::Binding => {
                assert!(message.is_signed_with(&signature.key()), "{request:?}");
            }
            Some(_) | None => assert!(!message.has_integrity()),
        }
        if matches!(code, Some(401 | 438)) {
            let nonce = message.nonce().expect("a challenge has a nonce").to_vec();
            self.model.nonces.insert(nonce, (client, self.now().unix_s));
        }
        if expect == Expect::Again {
            assert_eq!(self.model.allocations[&client].answer, answer);
        }
        match code {
            Some(code) => {
                self.model.sums.errors += 1;
                *self.tally.codes.entry(code).or_default() += 1;
            }
            None => self.model.sums.successes += 1,
        }
        self.send_to_client(client, answer.to_vec());
    }

    fn hold_payload(
        &mut self,
        worker: u8,
        from: SocketAddr,
        packet: &Packet,
        bytes: &[u8],
        verdict: Verdict,
    ) {
        let fate = self.model.client_sent(self.now_ms, from, packet);
        let what = format!("{fate:?} {verdict:?} {from} at {worker}: {packet:?}");
        match (fate, verdict) {
            (Fate::Dropped, Verdict::Drop(_)) => self.model.sums.dropped += 1,
            (
                Fate::ToPeer { relayed, peer, dont_fragment },
                Verdict::ToPeer { relay, peer: to, payload, dont_fragment: df, .. },
            ) => {
                let socket = self.node.workers[usize::from(worker)].sockets.get(&relay);
                let local = (self.model.local(relayed), State::Relay);
                assert_eq!((socket, peer, dont_fragment), (Some(&local), to, df), "{what}");
                assert_eq!(packet.payload(), &bytes[payload], "{what}");
                self.tally.to_peers += 1;
                let event = Event::ToPeer { relayed, peer };
                self.network.send(self.now_ms, &mut self.chance, event);
            }
            (Fate::ToClient { .. }, Verdict::ToClient { to, payload, .. }) => {
                self.tally.hairpins += 1;
                self.deliver(fate, to, &bytes[payload]);
            }
            (Fate::HandOver { .. }, Verdict::HandOver { worker, from, to, payload, .. }) => {
                assert_eq!(fate, Fate::HandOver { worker: worker.0, from, to }, "{what}");
                self.tally.hand_overs += 1;
                let payload = bytes[payload].to_vec();
                self.post(worker.0, Mail::Parcel { from, to, payload });
            }
            _ => panic!("{what}"),
        }
    }

    /// A payload reaches a client: framed as it must be, its bytes exact.
    pub(crate) fn deliver(&mut self, fate: Fate, to: ToClient, payload: &[u8]) {
        let Fate::ToClient { client, sender, channel } = fate else { panic!("{fate:?} {to:?}") };
        assert_eq!(to.flow, FiveTuple { listener: listener(client), client });
        let mut frame = vec![0; Prefix::MAX_BYTES];
        let bytes = to.prefix.write(payload.len(), &mut frame).expect("room");
        frame.truncate(bytes);
        frame.extend(payload);
        frame.resize(frame.len() + to.prefix.trailing_bytes(payload.len()), 0);
        match channel {
            Some(number) => {
                let data = ChannelData::parse(&frame).expect("a frame");
                assert_eq!((data.channel.number(), &frame[data.payload()]), (number, payload));
            }
            None => {
                let message = Message::parse(&frame).expect("a message");
                assert_eq!(message.peer(), Ok(Some(sender)));
                assert_eq!(message.data(), Some(payload));
            }
        }
        self.tally.to_clients += 1;
        self.send_to_client(client, frame);
    }

    fn send_to_client(&mut self, to: SocketAddr, bytes: Vec<u8>) {
        self.network.send(self.now_ms, &mut self.chance, Event::ToClient { to, bytes });
    }

    /// A train from a peer reaches the relay's address, whoever listens there.
    pub(crate) fn reach_relay(
        &mut self,
        peer: SocketAddr,
        relayed: SocketAddr,
        segments: &[Vec<u8>],
    ) {
        let local = self.model.local(relayed);
        let found = (0..).zip(&self.node.workers).find_map(|(worker, node)| {
            let mut sockets = node.sockets.iter();
            let socket = sockets.find(|(_, socket)| **socket == (local, State::Relay));
            socket.map(|(relay, _)| (worker, *relay))
        });
        let Some((worker, relay)) = found else {
            let fate = self.model.peer_sent(self.now_ms, (peer, relayed), (0, 0));
            return assert_eq!(fate, Fate::Dropped, "{relayed} has no socket");
        };
        let (now, bytes) = (self.now(), segments.iter().map(Vec::len).sum());
        let segment_bytes = segments.iter().map(Vec::len).max().unwrap_or(0);
        let train = Train { segments: segments.len(), segment_bytes, bytes };
        let server = &mut self.node.workers[usize::from(worker)].server;
        let judged = server.from_peer(now, relay, peer, train);
        if self.forwarding() {
            let forwarder = &self.node.workers[usize::from(worker)].forwarder;
            let forwards = forwarder.agree_to_client(self.now_ms, (relay, peer), judged);
            self.tally.forwarded_to_clients += u64::from(forwards);
        }
        let fate = self.model.peer_sent(self.now_ms, (peer, relayed), (segments.len(), bytes));
        match judged {
            Ok(delivered) => {
                assert_eq!(delivered.train, train);
                segments.iter().for_each(|payload| self.deliver(fate, delivered.to, payload));
            }
            Err(reason) => {
                assert_eq!(fate, Fate::Dropped, "{reason:?} {peer} to {relayed}");
                self.model.sums.dropped += segments.len() as u64;
            }
        }
        self.carry_out(worker);
    }
}

fn listener(client: SocketAddr) -> ListenerId {
    ListenerId(u16::from(client.is_ipv6()))
}
