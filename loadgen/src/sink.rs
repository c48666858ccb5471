//! Receives, checks every byte, counts, and keeps the allocations alive meanwhile.

use std::{cmp::Reverse, collections::BinaryHeap, io, net::UdpSocket, sync::Arc, time::Duration};

use hdrhistogram::Histogram;

use crate::{
    clock::{Clock, MILLI_NS},
    fault::Fault,
    framing::{Arrived, unwrap},
    latency,
    packet::Packet,
    sender::Window,
    socket::{Inbox, Poller},
    spec::{End, Route},
    tally::{Arrival, Tally, window_for},
    turn::{Answer, Member},
};

/// Names the peer's socket among the poller's tokens.
const PEER: u64 = u64::MAX;

/// Messages per receive: many for the one peer, few for each of many clients.
const PEER_BATCH: usize = 32;
const CLIENT_BATCH: usize = 8;

/// How often refreshes are looked for.
const TEND_NS: u64 = 20 * MILLI_NS;

/// A client's socket, with an allocation behind it or without.
pub(crate) enum Client {
    Turn(Member),
    Bare(Arc<UdpSocket>),
}

impl Client {
    pub(crate) fn socket(&self) -> &Arc<UdpSocket> {
        match self {
            Client::Turn(member) => &member.socket,
            Client::Bare(socket) => socket,
        }
    }
}

/// What arrived one way, of what was due within the measurement unless said otherwise.
#[derive(Debug)]
pub(crate) struct Way {
    /// Distinct packets, warm-up included.
    pub(crate) all: u64,
    pub(crate) all_bytes: u64,
    /// Distinct packets.
    pub(crate) packets: u64,
    pub(crate) payload_bytes: u64,
    pub(crate) reordered: u64,
    pub(crate) duplicates: u64,
    /// Too old to tell whether they came before.
    pub(crate) ancient: u64,
    /// Payloads that are not what was sent, warm-up included.
    pub(crate) corrupt: u64,
    /// Intact, but delivered to a socket of someone else; warm-up included.
    pub(crate) misrouted: u64,
    /// From due to received.
    pub(crate) latency: Histogram<u64>,
}

impl Way {
    pub(crate) fn new() -> Way {
        Way {
            all: 0,
            all_bytes: 0,
            packets: 0,
            payload_bytes: 0,
            reordered: 0,
            duplicates: 0,
            ancient: 0,
            corrupt: 0,
            misrouted: 0,
            latency: latency::empty(),
        }
    }

    pub(crate) fn add(&mut self, other: &Way) {
        self.all += other.all;
        self.all_bytes += other.all_bytes;
        self.packets += other.packets;
        self.payload_bytes += other.payload_bytes;
        self.reordered += other.reordered;
        self.duplicates += other.duplicates;
        self.ancient += other.ancient;
        self.corrupt += other.corrupt;
        self.misrouted += other.misrouted;
        latency::add(&mut self.latency, &other.latency);
    }

    fn count(&mut self, packet: &Packet, arrival: Arrival, measured: bool, latency_ns: u64) {
        let fresh = matches!(arrival, Arrival::InOrder | Arrival::Reordered);
        self.all += u64::from(fresh);
        self.all_bytes += u64::from(fresh) * u64::from(packet.payload_bytes);
        if !measured {
            return;
        }
        match arrival {
            Arrival::InOrder => {}
            Arrival::Reordered => self.reordered += 1,
            Arrival::Duplicate => self.duplicates += 1,
            Arrival::Ancient => self.ancient += 1,
        }
        if fresh {
            self.packets += 1;
            self.payload_bytes += u64::from(packet.payload_bytes);
            self.latency.saturating_record(latency_ns);
        }
    }
}

/// Everything the receiving side counts in one measurement.
struct Ledger {
    route: Route,
    window: Window,
    /// The id of the first flow: those of other threads do not belong here.
    first_flow: u32,
    tallies: Vec<Tally>,
    ways: [Way; 2],
    last_ns: u64,
}

impl Ledger {
    /// Counts a payload that arrived at one end.
    fn payload(&mut self, payload: &[u8], at: End, now_ns: u64) {
        match Packet::decode(payload) {
            Ok(packet) => self.packet(&packet, at, now_ns),
            Err(_) => self.way_to(at).corrupt += 1,
        }
    }

    fn packet(&mut self, packet: &Packet, at: End, now_ns: u64) {
        if packet.run != self.window.run || packet.due_ns < self.window.start_ns {
            return;
        }
        let flow = packet.flow.wrapping_sub(self.first_flow) as usize;
        let Some(tally) = self.tallies.get_mut(flow).filter(|_| self.route.receiver(flow) == at)
        else {
            self.way_to(at).misrouted += 1;
            return;
        };
        let arrival = tally.note(packet.sequence);
        let measured = packet.due_ns >= self.window.from_ns;
        let latency_ns = now_ns.saturating_sub(packet.due_ns);
        self.ways[flow % 2].count(packet, arrival, measured, latency_ns);
        self.last_ns = now_ns;
    }

    /// The direction of what arrives at one end.
    fn way_to(&mut self, at: End) -> &mut Way {
        let way = match (self.route, at) {
            (Route::Pair, End::Client(client)) => (client + 1) % 2,
            (Route::Direct | Route::Relay, End::Client(_)) => 1,
            (Route::Binding, End::Client(_)) | (_, End::Peer) => 0,
        };
        &mut self.ways[way]
    }
}

/// The receiving side of one thread.
pub(crate) struct Sink {
    pub(crate) clients: Vec<Client>,
    /// Time spent on receiving.
    pub(crate) busy_ns: u64,
    /// Refreshes that failed, and the last of them in words.
    pub(crate) failures: (u64, Option<String>),
    peer: Option<Arc<UdpSocket>>,
    clock: Clock,
    poller: Poller,
    ready: Vec<u64>,
    inbox: Inbox,
    ledger: Ledger,
    /// When each session wants to be looked at.
    timers: BinaryHeap<Reverse<(u64, usize)>>,
    tend_ns: u64,
}

impl Sink {
    pub(crate) fn new(
        clients: Vec<Client>,
        peer: Option<Arc<UdpSocket>>,
        route: Route,
        first_flow: u32,
        clock: Clock,
    ) -> io::Result<Sink> {
        let poller = Poller::new()?;
        for (token, client) in (0..).zip(&clients) {
            poller.add(&**client.socket(), token)?;
        }
        if let Some(peer) = &peer {
            poller.add(&**peer, PEER)?;
        }
        let timers = clients.iter().enumerate().filter_map(|(at, client)| match client {
            Client::Turn(member) => Some(Reverse((member.session.next_due(), at))),
            Client::Bare(_) => None,
        });
        let timers = timers.collect();
        let window = Window { run: 0, start_ns: 0, from_ns: 0, until_ns: 0 };
        let ways = [Way::new(), Way::new()];
        let ledger = Ledger { route, window, first_flow, tallies: Vec::new(), ways, last_ns: 0 };
        Ok(Sink {
            clients,
            busy_ns: 0,
            failures: (0, None),
            peer,
            clock,
            poller,
            ready: Vec::new(),
            inbox: Inbox::new(),
            ledger,
            timers,
            tend_ns: 0,
        })
    }

    /// Forgets the last measurement and takes up the next.
    pub(crate) fn begin(&mut self, window: Window) {
        let flows = self.ledger.route.flows(self.clients.len());
        let bits = window_for(flows);
        self.ledger.tallies = (0..flows).map(|_| Tally::new(bits)).collect();
        self.ledger.ways = [Way::new(), Way::new()];
        self.ledger.window = window;
        self.ledger.last_ns = window.start_ns;
        self.busy_ns = 0;
        self.failures = (0, None);
    }

    pub(crate) fn ways(&self) -> &[Way; 2] {
        &self.ledger.ways
    }

    /// When the last packet of this measurement arrived.
    pub(crate) fn last_ns(&self) -> u64 {
        self.ledger.last_ns
    }

    /// Waits for something to arrive, `wait_ns` at most, and takes what is there.
    pub(crate) fn poll(&mut self, wait_ns: u64) -> Result<(), Fault> {
        let ready = self.poller.wait(Duration::from_nanos(wait_ns));
        let ready = ready.map_err(|error| Fault::io("wait for packets", error))?;
        self.ready.clear();
        self.ready.extend(ready);
        let begin = self.clock.now();
        for at in 0..self.ready.len() {
            self.read(self.ready[at])?;
        }
        if begin >= self.tend_ns {
            self.tend_ns = begin + TEND_NS;
            self.tend(begin);
        }
        if !self.ready.is_empty() {
            self.busy_ns += self.clock.now() - begin;
        }
        Ok(())
    }

    fn read(&mut self, token: u64) -> Result<(), Fault> {
        let outcome = match &self.peer {
            Some(peer) if token == PEER => self.inbox.receive(&**peer, PEER_BATCH),
            Some(_) | None => {
                let Some(client) = self.clients.get(token as usize) else { return Ok(()) };
                self.inbox.receive(&**client.socket(), CLIENT_BATCH)
            }
        };
        match outcome.map_err(|error| error.raw_os_error()) {
            Ok(_) => {
                self.take(token);
                Ok(())
            }
            // A port that was closed for a moment; what is lost is counted as lost.
            Err(Some(libc::EAGAIN | libc::EINTR | libc::ECONNREFUSED)) => Ok(()),
            Err(code) => {
                let error = io::Error::from_raw_os_error(code.unwrap_or_default());
                Err(Fault::io("receive", error))
            }
        }
    }

    /// Takes apart what the inbox holds. Everything in it arrived before this moment.
    fn take(&mut self, token: u64) {
        let now = self.clock.now();
        let Sink { inbox, ledger, clients, failures, .. } = self;
        if token == PEER {
            inbox.datagrams().for_each(|payload| ledger.payload(payload, End::Peer, now));
            return;
        }
        let at = token as usize;
        match &mut clients[at] {
            Client::Bare(_) if ledger.route == Route::Direct => {
                inbox.datagrams().for_each(|payload| ledger.payload(payload, End::Client(at), now));
            }
            Client::Bare(_) => {
                inbox.datagrams().for_each(|datagram| ledger.datagram(datagram, at, None, now));
            }
            Client::Turn(member) => {
                for datagram in inbox.datagrams() {
                    let mut failed = None;
                    ledger.datagram(datagram, at, Some((&mut *member, &mut failed)), now);
                    note_failure(failures, failed);
                }
            }
        }
    }

    /// Sends what sessions have due. What fails is reported, the others go on.
    fn tend(&mut self, now: u64) {
        while let Some(Reverse((due, at))) = self.timers.peek().copied() {
            if due > now {
                return;
            }
            self.timers.pop();
            let Client::Turn(member) = &mut self.clients[at] else { continue };
            let mut failed = None;
            note_answer(member.tick(now), &mut failed);
            note_failure(&mut self.failures, failed);
            self.timers.push(Reverse((member.session.next_due().max(now + TEND_NS), at)));
        }
    }
}

/// A member and where a failed request of it is noted.
type Session<'a> = (&'a mut Member, &'a mut Option<String>);

impl Ledger {
    /// Takes one datagram from the server.
    fn datagram(&mut self, datagram: &[u8], at: usize, session: Option<Session<'_>>, now: u64) {
        match unwrap(datagram, self.window.run) {
            Arrived::Payload(payload) => self.payload(payload, End::Client(at), now),
            Arrived::Answered(packet) => self.packet(&packet, End::Client(at), now),
            Arrived::Noise => self.way_to(End::Client(at)).corrupt += 1,
            Arrived::Control(message) => {
                if let Some((member, failed)) = session {
                    note_answer(member.take(message, now), failed);
                }
            }
        }
    }
}

fn note_answer(answer: io::Result<Answer>, failed: &mut Option<String>) {
    match answer {
        Ok(Answer::Ignored | Answer::Again | Answer::Done(..)) => {}
        Ok(Answer::Failed(request, rejection)) => {
            *failed = Some(format!("{}: {rejection:?}", request.name()));
        }
        Err(error) => *failed = Some(error.to_string()),
    }
}

fn note_failure(failures: &mut (u64, Option<String>), failed: Option<String>) {
    if failed.is_some() {
        *failures = (failures.0 + 1, failed);
    }
}
