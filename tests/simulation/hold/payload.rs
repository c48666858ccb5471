//! Datagrams of clients and peers, and where they go.

use std::net::SocketAddr;

use uturn::wire::{Class, Message, Method};

use crate::{
    machine::{Deed, Kind, Sent},
    mail::Entry,
    model::{Arrival as Asked, Fate, Model},
    packet::Packet,
    run::{Event, Story},
};

/// What a worker writes a datagram into.
#[derive(Debug, Clone, Copy)]
pub(super) enum Buffer {
    /// The one that its reason came in.
    Received,
    /// One that it asks for.
    Blank,
}

impl Story {
    /// The next datagram that the worker sent; nothing if it had no buffer for it.
    fn take_sent(&mut self, buffer: Buffer, why: &dyn std::fmt::Debug) -> Option<Sent> {
        if !self.has_buffer(buffer, why) {
            return None;
        }
        match self.deeds.pop_front() {
            Some(Deed::Sent(sent)) => Some(sent),
            deed => panic!("{why:?} led to {deed:?}, then {:?}", self.deeds),
        }
    }

    /// Whether the worker had a buffer to write something into.
    pub(super) fn has_buffer(&mut self, buffer: Buffer, why: &dyn std::fmt::Debug) -> bool {
        match buffer {
            Buffer::Received => true,
            Buffer::Blank => {
                let deed = self.deeds.pop_front();
                let Some(Deed::Blank(is_there)) = deed else { panic!("{why:?} led to {deed:?}") };
                self.model.sums.no_buffer += u64::from(!is_there);
                self.tally.no_buffer += u64::from(!is_there);
                is_there
            }
        }
    }

    /// Whether the next thing that happened is an answer to this request.
    pub(super) fn is_next_answer(&self, asked: Asked<'_>) -> bool {
        let Some(Deed::Sent(sent)) = self.deeds.front() else { return false };
        let message = Message::parse(&sent.bytes).ok();
        let is_its = |it: Message<'_>| it.transaction() == asked.request.transaction;
        sent.to == asked.client && message.is_some_and(is_its)
    }

    /// The next datagram to a client: it comes from the socket that the client talks to.
    pub(super) fn take_sent_to_client(
        &mut self,
        worker: u8,
        (buffer, client): (Buffer, SocketAddr),
        why: &dyn std::fmt::Debug,
    ) -> Option<Vec<u8>> {
        if !self.model.listens(worker, client) {
            // It is written, and there is nothing to send it from.
            self.has_buffer(buffer, why);
            return None;
        }
        let sent = self.take_sent(buffer, why)?;
        let Sent { from, kind, to, bytes, dont_fragment, leaves } = sent;
        let listener = self.model.scenario.listener(client);
        let expected = (listener, Kind::Payload, client, false);
        assert_eq!((from, kind, to, dont_fragment), expected, "{why:?}");
        self.leave(leaves, Event::ToClient { to, bytes: bytes.clone() });
        Some(bytes)
    }

    /// A datagram is on its way, unless the kernel has refused it.
    fn leave(&mut self, leaves: bool, event: Event) {
        if leaves {
            self.network.send(self.now_ms, &mut self.rng, event);
        } else {
            self.tally.unsent += 1;
        }
    }

    /// Datagrams of a client reach a worker: it judges them, or hands them to the worker that knows
    /// the client.
    pub(super) fn reach_worker(&mut self, worker: u8, client: SocketAddr, packets: Vec<Packet>) {
        self.tally.datagrams += packets.len() as u64;
        self.tally.trains += u64::from(packets.len() > 1);
        if let Some(owner) = self.node.owners[usize::from(worker)].get(&client).copied() {
            self.tally.misrouted += packets.len() as u64;
            self.model.sums.misrouted += packets.len() as u64;
            for packet in packets {
                self.node.mail.pack(worker, owner, Entry::Misrouted { client, packet });
            }
            return;
        }
        for packet in packets {
            self.reach_server(worker, client, &packet);
            if self.is_torn {
                return;
            }
        }
    }

    pub(super) fn reach_server(&mut self, worker: u8, client: SocketAddr, packet: &Packet) {
        match packet {
            Packet::Request(request) => self.hold_request(worker, client, request),
            Packet::Send { .. } | Packet::Channel { .. } | Packet::Junk(_) => {
                self.hold_payload(worker, client, packet);
            }
        }
        if self.is_torn {
            return;
        }
        self.settle_news(worker, Some(client));
        let to_close = &self.model.to_close;
        assert!(to_close.is_empty(), "{to_close:?} was not reported: {packet:?}");
    }

    pub(super) fn hold_payload(&mut self, worker: u8, client: SocketAddr, packet: &Packet) {
        let fate = self.model.client_sent(self.now_ms, client, packet);
        // Nobody serves a connection without asking.
        if let (Packet::Channel { number, .. }, true) = (packet, self.model.scenario.forwarding) {
            let left = match fate {
                Fate::ToPeer { relayed, peer, .. } if !Model::is_stream(client) => {
                    Some((self.model.local(relayed), peer))
                }
                Fate::ToPeer { .. }
                | Fate::ToClient { .. }
                | Fate::HandOver { .. }
                | Fate::Dropped => None,
            };
            let forwarder = &self.node.forwarders[usize::from(worker)];
            let forwards = forwarder.agree_to_peer(self.now_ms, (client, *number), left);
            self.tally.forwarded_to_peers += u64::from(forwards);
        }
        match fate {
            Fate::Dropped => self.model.sums.dropped += 1,
            Fate::ToPeer { relayed, peer, dont_fragment } => {
                let sent =
                    self.take_sent(Buffer::Received, &(fate, packet)).expect("it needs no buffer");
                let expected = Sent {
                    from: self.model.local(relayed),
                    kind: Kind::Relay,
                    to: peer,
                    bytes: packet.payload().to_vec(),
                    dont_fragment,
                    leaves: sent.leaves,
                };
                assert_eq!(sent, expected, "{fate:?} {client} at {worker}: {packet:?}");
                self.tally.to_peers += 1;
                self.leave(sent.leaves, Event::ToPeer { relayed, peer });
            }
            Fate::ToClient { .. } => {
                self.tally.hairpins += 1;
                self.deliver(worker, Buffer::Received, fate, packet.payload());
            }
            Fate::HandOver { worker: to_worker, from, to } => {
                self.tally.hand_overs += 1;
                let payload = packet.payload().to_vec();
                self.node.mail.pack(worker, to_worker, Entry::Hairpin { from, to, payload });
            }
        }
    }

    /// A payload reaches a client: framed as it must be, its bytes exact.
    pub(super) fn deliver(&mut self, worker: u8, buffer: Buffer, fate: Fate, payload: &[u8]) {
        let Fate::ToClient { client, sender, channel } = fate else { panic!("{fate:?}") };
        if Model::is_stream(client) {
            if self.has_buffer(buffer, &fate) {
                self.queue((client, sender, channel), payload);
                self.tally.to_streams += 1;
            }
            return;
        }
        let Some(frame) = self.take_sent_to_client(worker, (buffer, client), &fate) else { return };
        self.tally.to_clients += 1;
        let Some(number) = channel else { return check_indication(&frame, sender, payload) };
        let bytes = payload.len() as u16;
        let header = [number.to_be_bytes(), bytes.to_be_bytes()].concat();
        assert_eq!(frame, [&header, payload].concat(), "{fate:?}");
    }

    /// A train from a peer reaches a relay's socket.
    pub(super) fn reach_relay(
        &mut self,
        worker: u8,
        peer: SocketAddr,
        local: SocketAddr,
        segments: &[Vec<u8>],
    ) {
        let relayed = self.model.advertised(local);
        let bytes = segments.iter().map(Vec::len).sum();
        let fate = self.model.peer_sent(self.now_ms, (peer, relayed), (segments.len(), bytes));
        if self.model.scenario.forwarding {
            let told = match fate {
                Fate::ToClient { client, channel, .. } if !Model::is_stream(client) => {
                    Some((client, channel))
                }
                Fate::ToClient { .. }
                | Fate::ToPeer { .. }
                | Fate::HandOver { .. }
                | Fate::Dropped => None,
            };
            let forwarder = &self.node.forwarders[usize::from(worker)];
            let forwards = forwarder.agree_to_client(self.now_ms, (local, peer), told);
            self.tally.forwarded_to_clients += u64::from(forwards);
        }
        match fate {
            Fate::ToClient { .. } => {
                segments
                    .iter()
                    .for_each(|payload| self.deliver(worker, Buffer::Received, fate, payload));
            }
            fate => {
                assert_eq!(fate, Fate::Dropped);
                self.model.sums.dropped += segments.len() as u64;
            }
        }
    }
}

/// A Data indication with nothing in it but the sender and the payload (RFC 8656 §11.6).
pub(super) fn check_indication(frame: &[u8], sender: SocketAddr, payload: &[u8]) {
    let message = Message::parse(frame).expect("a message");
    assert_eq!((message.class(), message.method()), (Class::Indication, Method::Data));
    assert_eq!((message.peer(), message.data()), (Ok(Some(sender)), Some(payload)));
    let address_bytes = if sender.is_ipv4() { 12 } else { 24 };
    let padded = payload.len().next_multiple_of(4);
    assert_eq!(frame.len(), 20 + address_bytes + 4 + padded, "{frame:?}");
    assert!(frame[frame.len() - padded + payload.len()..].iter().all(|byte| *byte == 0));
}
