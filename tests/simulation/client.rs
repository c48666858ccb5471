//! Clients that allocate, refresh, permit, bind, send, move and crash, and the peers they talk to.

use std::{collections::BTreeMap, net::SocketAddr};

use uturn::wire::{Class, Family, Message, TransactionId};

use super::{
    model::relayed_addresses,
    packet::{Ask, Packet, Request, Signature, Wish},
    rng::Rng,
    run::{Event, Story},
    scenario::{Scenario, User},
};

const FIRST_RETRY_MS: u64 = 500;
const RETRIES: u32 = 5;

/// A request that waits for its answer.
struct Waiting {
    packet: Packet,
    tries: u32,
}

/// One client, and what it believes.
pub(crate) struct Client {
    address: SocketAddr,
    user: User,
    nonce: Option<Vec<u8>>,
    relayed: Vec<SocketAddr>,
    permitted: Vec<SocketAddr>,
    channels: Vec<(u16, SocketAddr)>,
    waiting: BTreeMap<[u8; 12], Waiting>,
    /// It talks over TCP.
    is_stream: bool,
    /// It says nothing more on its connection.
    pub(crate) is_silent: bool,
}

impl Client {
    pub(crate) fn new(at: usize, scenario: &Scenario, rng: &mut Rng) -> Client {
        let port = 20_000 + at as u16;
        let address = match rng.percent(70) {
            true => SocketAddr::from(([77, 1, 1, at as u8 % 5], port)),
            false => SocketAddr::from(([0x2A00, 3, 0, 0, 0, 0, 0, at as u16], port)),
        };
        Client {
            address,
            user: rng.pick(&scenario.users).clone(),
            nonce: None,
            relayed: Vec::new(),
            permitted: Vec::new(),
            channels: Vec::new(),
            waiting: BTreeMap::new(),
            is_stream: rng.percent(25),
            is_silent: false,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// It connects from another port; where it is then.
    pub(crate) fn move_to(&mut self, port: u16) -> SocketAddr {
        self.forget();
        self.is_silent = false;
        self.address.set_port(port);
        self.address
    }

    pub(crate) fn forget(&mut self) {
        self.relayed.clear();
        self.permitted.clear();
        self.channels.clear();
        self.waiting.clear();
    }
}

impl Story {
    /// A client does something, and will again.
    pub(crate) fn act(&mut self, at: usize) {
        if self.now_ms >= self.model.scenario.asleep_ms() {
            return;
        }
        let rest_ms = match self.rng.below(100) {
            0..80 => self.rng.within(5..2_000),
            80..97 => self.rng.within(2_000..60_000),
            _ => self.rng.within(100_000..1_000_000),
        };
        self.network.schedule(self.now_ms + rest_ms, Event::Act(at));
        if self.clients[at].is_stream {
            let Some(line) = self.lines.get(&self.clients[at].address) else {
                return self.connect(at);
            };
            if line.has_finished || self.clients[at].is_silent {
                return;
            }
            if self.rng.below(300) == 0 {
                return self.hang_up(at);
            }
        }
        if self.clients[at].relayed.is_empty() {
            return match self.rng.below(10) {
                0 => self.request(at, Ask::Binding),
                1 => self.junk(at),
                2 => {
                    let ask = self.any_ask(at);
                    self.request(at, ask);
                }
                _ => self.allocate(at),
            };
        }
        match self.rng.below(1_000) {
            0..780 => self.speak(at),
            780..930 => {
                let ask = self.any_ask(at);
                self.request(at, ask);
            }
            930..935 => self.allocate(at),
            935..940 => self.clients[at].forget(),
            940..945 if self.clients[at].is_stream => self.hang_up(at),
            940..945 => {
                // The NAT gives another port: same belief, another five-tuple.
                let address = &mut self.clients[at].address;
                address.set_port(address.port() ^ 0x400 | (self.rng.below(4) as u16) << 11);
            }
            945..985 => self.stranger(),
            985..990 => {
                self.clients[at].user = self.rng.pick(&self.model.scenario.users).clone();
            }
            _ => self.junk(at),
        }
    }

    /// A client keeps its allocation, as it should, and goes on.
    pub(crate) fn keep(&mut self, at: usize) {
        if self.now_ms >= self.model.scenario.asleep_ms() {
            return;
        }
        if !self.clients[at].relayed.is_empty() {
            self.request(at, Ask::Refresh { lifetime_s: None, family: None });
        }
        let half_ms = u64::from(self.model.scenario.default_lifetime_s) * 500;
        self.network.schedule(self.now_ms + half_ms, Event::Keep(at));
    }

    /// Speaks around the moment a permission or a channel ends, when it matters most.
    fn probe_later(&mut self, at: usize, packet: &Packet) {
        for end_ms in [300_000, 600_000, 900_000] {
            let at_ms = self.now_ms + end_ms - 700 + self.rng.below(1_400);
            self.network.schedule(at_ms, Event::Probe { client: at, packet: packet.clone() });
        }
    }

    pub(crate) fn probe(&mut self, at: usize, packet: Packet) {
        if self.now_ms < self.model.scenario.asleep_ms() {
            self.transmit(at, packet);
        }
    }

    fn allocate(&mut self, at: usize) {
        let rng = &mut self.rng;
        let mut wish = Wish {
            lifetime_s: rng.percent(50).then(|| rng.below(5_000) as u32),
            ..Wish::default()
        };
        match rng.below(20) {
            0..4 => wish.even = Some(true),
            4 => wish.even = Some(false),
            5..7 => wish.is_dual = true,
            7..10 => wish.family = Some(Family::V6),
            10 if !self.tokens.is_empty() => wish.token = Some(*rng.pick(&self.tokens)),
            13 => {
                wish.is_dual = true;
                wish.even = Some(rng.percent(50));
            }
            14 => wish.token = Some(rng.array()),
            _ => {}
        }
        // The second stream of a call: the port its own user has reserved.
        let user = &self.clients[at].user.name;
        let reserved = self.model.reservations.iter().find(|(_, held)| held.user == *user);
        if let Some((token, _)) = reserved.filter(|_| rng.percent(60)) {
            let lifetime_s = wish.lifetime_s;
            wish = Wish { token: Some(*token), lifetime_s, ..Wish::default() };
        }
        self.request(at, Ask::Allocate(wish));
        if self.clients[at].is_stream && self.rng.percent(4) {
            self.hang_up(at);
        }
    }

    fn any_ask(&mut self, at: usize) -> Ask {
        match self.rng.below(10) {
            0..3 => {
                let rng = &mut self.rng;
                let lifetime_s = match rng.below(10) {
                    0 => Some(0),
                    1..6 => None,
                    _ => Some(rng.below(5_000) as u32),
                };
                let family = match rng.below(10) {
                    0 => Some(Family::V6),
                    1 => Some(Family::V4),
                    _ => None,
                };
                Ask::Refresh { lifetime_s, family }
            }
            3..6 => Ask::Permit((0..self.rng.below(4)).map(|_| self.any_peer()).collect()),
            _ => {
                let number = match self.rng.below(30) {
                    0 => 0x3FFF,
                    1 => 0x5000,
                    n => 0x4000 + (n % 6) as u16,
                };
                let known = self.clients[at].channels.clone();
                if !known.is_empty() && self.rng.percent(60) {
                    let (number, peer) = *self.rng.pick(&known);
                    return Ask::Bind { number, peer };
                }
                Ask::Bind { number, peer: self.any_peer() }
            }
        }
    }

    fn any_peer(&mut self) -> SocketAddr {
        match self.rng.below(20) {
            0 => *self.rng.pick(&self.model.scenario.forbidden),
            1..10 if !self.known.is_empty() => *self.rng.pick(&self.known),
            _ => *self.rng.pick(&self.model.scenario.peers),
        }
    }

    /// Sends a payload, to whomever.
    fn speak(&mut self, at: usize) {
        let bytes = self.rng.below(40) as usize;
        let payload = self.rng.bytes(bytes);
        let client = &self.clients[at];
        let packet = if !client.channels.is_empty() && self.rng.percent(60) {
            let (number, _) = *self.rng.pick(&client.channels);
            if self.rng.percent(20) {
                return self.speak_in_train(at, bytes);
            }
            Packet::Channel { number, payload, is_padded: self.rng.percent(50) }
        } else {
            let dont_fragment = self.rng.percent(10);
            let permitted = self.clients[at].permitted.clone();
            let is_permitted = !permitted.is_empty() && self.rng.percent(80);
            let peer = if is_permitted { *self.rng.pick(&permitted) } else { self.any_peer() };
            Packet::Send { peer, payload, dont_fragment }
        };
        self.transmit(at, packet);
    }

    /// Several frames that the kernel joins: of one size, but for a shorter last one.
    fn speak_in_train(&mut self, at: usize, bytes: usize) {
        let channels = self.clients[at].channels.clone();
        let (mut number, _) = *self.rng.pick(&channels);
        let count = self.rng.within(2..9);
        let shorter = self.rng.below(bytes as u64 + 1) as usize;
        let mut packets = Vec::new();
        for frame in 0..count {
            if self.rng.percent(20) {
                (number, _) = *self.rng.pick(&channels);
            }
            let bytes = if frame + 1 == count { shorter } else { bytes };
            let payload = self.rng.bytes(bytes);
            packets.push(Packet::Channel { number, payload, is_padded: false });
        }
        self.transmit_train(at, packets);
    }

    fn junk(&mut self, at: usize) {
        let bytes = self.rng.below(60) as usize;
        let mut junk = self.rng.bytes(bytes);
        if let Some(first) = junk.first_mut() {
            // Neither a request nor on a channel that may be bound.
            *first |= 0x80;
        }
        self.transmit(at, Packet::Junk(junk));
    }

    /// Somebody whom nobody asked sends to a relayed address.
    fn stranger(&mut self) {
        if self.known.is_empty() {
            return;
        }
        let relayed = *self.rng.pick(&self.known);
        let peer = match relayed.is_ipv4() {
            true => *self.rng.pick(&["8.8.8.8:1000", "5.5.5.5:5", "9.9.9.9:50004", "9.9.9.9:3478"]),
            false => *self.rng.pick(&["[2a00:2::1]:1000", "[2a00:7::1]:1"]),
        };
        self.send_train(super::scenario::parse(peer), relayed);
    }

    fn send_train(&mut self, peer: SocketAddr, relayed: SocketAddr) {
        let bytes = self.rng.below(30) as usize;
        // The kernel joins no empty datagrams, and the last of a train may be shorter.
        let count = if bytes == 0 { 1 } else { 1 + self.rng.below(3) };
        let mut segments: Vec<_> = (0..count).map(|_| self.rng.bytes(bytes)).collect();
        if let (Some(last), true) = (segments.last_mut(), count > 1) {
            last.truncate(1 + self.rng.below(bytes as u64) as usize);
        }
        let event = Event::ToRelay { peer, relayed, segments };
        self.network.send(self.now_ms, &mut self.rng, event);
    }

    /// A peer hears something, and may answer.
    pub(crate) fn reach_peer(&mut self, relayed: SocketAddr, peer: SocketAddr) {
        if self.rng.percent(60) {
            self.send_train(peer, relayed);
        }
    }

    fn request(&mut self, at: usize, ask: Ask) {
        let transaction = TransactionId(self.rng.array());
        let is_right = !self.rng.percent(3);
        let client = &self.clients[at];
        let user = client.user.clone();
        let signature = client.nonce.clone().map(|nonce| Signature { user, is_right, nonce });
        let has_fingerprint = self.rng.percent(30);
        let signature = signature.filter(|_| ask != Ask::Binding);
        let request = Request { ask, transaction, signature, has_fingerprint };
        let packet = Packet::Request(request);
        let waiting = Waiting { packet: packet.clone(), tries: 0 };
        self.clients[at].waiting.insert(transaction.0, waiting);
        self.transmit(at, packet);
        if self.clients[at].is_stream {
            return;
        }
        let retry = Event::Retry { client: at, transaction: transaction.0 };
        self.network.schedule(self.now_ms + FIRST_RETRY_MS, retry);
    }

    fn transmit(&mut self, at: usize, packet: Packet) {
        self.transmit_train(at, vec![packet]);
    }

    fn transmit_train(&mut self, at: usize, packets: Vec<Packet>) {
        if self.clients[at].is_stream {
            let is_over = self.now_ms >= self.model.scenario.asleep_ms();
            if is_over || self.clients[at].is_silent {
                return;
            }
            return self.say_on_line(self.clients[at].address, packets);
        }
        let event = Event::ToServer { from: self.clients[at].address, packets };
        self.network.send(self.now_ms, &mut self.rng, event);
    }

    pub(crate) fn retry(&mut self, at: usize, transaction: [u8; 12]) {
        let Some(waiting) = self.clients[at].waiting.get_mut(&transaction) else { return };
        waiting.tries += 1;
        let (packet, tries) = (waiting.packet.clone(), waiting.tries);
        if tries > RETRIES {
            self.clients[at].waiting.remove(&transaction);
            return;
        }
        self.transmit(at, packet);
        let retry = Event::Retry { client: at, transaction };
        self.network.schedule(self.now_ms + (FIRST_RETRY_MS << tries), retry);
    }

    /// Something reaches a client, if the NAT still knows it.
    pub(crate) fn reach_client(&mut self, to: SocketAddr, bytes: &[u8]) {
        let Some(at) = self.clients.iter().position(|client| client.address == to) else { return };
        let Ok(message) = Message::parse(bytes) else { return };
        if message.class() == Class::Indication {
            return;
        }
        let waiting = self.clients[at].waiting.remove(&message.transaction().0);
        let Some(Waiting { packet: Packet::Request(request), .. }) = waiting else { return };
        match message.error_code().expect("well-formed") {
            Some(401 | 438) => {
                let nonce = message.nonce().expect("a challenge has a nonce").to_vec();
                let is_first = self.clients[at].nonce.replace(nonce).is_none();
                if is_first || self.rng.percent(80) {
                    self.request(at, request.ask);
                }
            }
            Some(437) => self.clients[at].forget(),
            Some(_) => {}
            None => self.believe(at, &request.ask, &message),
        }
    }

    /// What a client does with a fresh allocation: it permits somebody, and binds a channel.
    fn get_going(&mut self, at: usize) {
        let is_v4 = self.clients[at].relayed[0].is_ipv4();
        let mut peers: Vec<_> = (0..6).map(|_| self.any_peer()).collect();
        peers.retain(|peer| {
            peer.is_ipv4() == is_v4 && !self.model.scenario.forbidden.contains(peer)
        });
        let Some(peer) = peers.pop() else { return };
        peers.truncate(usize::from(self.model.scenario.permission_quota) - 1);
        self.request(at, Ask::Permit(peers));
        self.request(at, Ask::Bind { number: 0x4000, peer });
    }

    fn believe(&mut self, at: usize, ask: &Ask, answer: &Message<'_>) {
        let client = &mut self.clients[at];
        match ask {
            Ask::Allocate(_) => {
                client.relayed = relayed_addresses(answer);
                self.known.extend(&client.relayed);
                if self.known.len() > 12 {
                    self.known.drain(..4);
                }
                self.tokens.extend(answer.reservation_token().expect("well-formed"));
            }
            Ask::Refresh { lifetime_s: Some(0), family: None } => client.forget(),
            Ask::Bind { number, peer } => {
                client.channels.push((*number, *peer));
                let payload = number.to_be_bytes().to_vec();
                self.probe_later(
                    at,
                    &Packet::Channel { number: *number, payload, is_padded: false },
                );
            }
            Ask::Permit(peers) => {
                client.permitted.extend(peers);
                if let Some(&peer) = peers.first() {
                    let payload = vec![1, 2, 3];
                    self.probe_later(at, &Packet::Send { peer, payload, dont_fragment: false });
                }
            }
            Ask::Binding | Ask::Refresh { .. } => {}
        }
        if matches!(ask, Ask::Allocate(_)) {
            self.get_going(at);
        }
    }
}
