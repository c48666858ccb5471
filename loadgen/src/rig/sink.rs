//! Receives, checks every byte, counts, and keeps the allocations alive meanwhile.

use std::{
    cmp::Reverse, collections::BinaryHeap, io, mem, net::UdpSocket, os::fd::AsFd, sync::Arc,
    time::Duration,
};

use crate::{
    clock::{Clock, MILLI_NS, Stamps},
    count::{
        ledger::{Ledger, Way},
        recent::Recent,
        slices::Slices,
    },
    fault::Fault,
    offer::{
        spec::{End, Route, WAYS},
        window::Window,
    },
    rig::{
        framing::{Arrived, unwrap},
        link::Link,
        slow::{Slow, SlowReading},
        turn::{Answer, Member},
    },
    socket::{self, Inbox, Poller},
    stream::{Connection, Frames},
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
    Turn(Box<Member>),
    Bare(Link),
}

impl Client {
    pub(crate) fn link(&self) -> &Link {
        match self {
            Client::Turn(member) => &member.link,
            Client::Bare(link) => link,
        }
    }
}

/// The receiving side of one thread.
pub(crate) struct Sink {
    pub(crate) clients: Vec<Client>,
    /// Time spent on receiving.
    pub(crate) busy_ns: u64,
    /// Refreshes that failed, and the last of them in words.
    pub(crate) failures: (u64, Option<String>),
    /// Some socket had more than one receive takes.
    behind: bool,
    peer: Option<Arc<UdpSocket>>,
    /// Packets arrive at the peer alone: it may be asked before the poller is.
    peer_first: bool,
    clock: Clock,
    stamps: Stamps,
    poller: Poller,
    ready: Vec<u64>,
    inbox: Inbox,
    frames: Frames,
    slow: SlowReading,
    /// Connections that ended, and why the last did.
    lost_connections: (u64, Option<String>),
    ledger: Ledger,
    /// When each session wants to be looked at.
    timers: BinaryHeap<Reverse<(u64, usize)>>,
    tend_ns: u64,
}

impl Sink {
    pub(crate) fn new(
        clients: Vec<Client>,
        peer: Option<Arc<UdpSocket>>,
        ledger: Ledger,
        slow: Slow,
        clock: Clock,
    ) -> io::Result<Sink> {
        let poller = Poller::new()?;
        for (token, client) in (0..).zip(&clients) {
            match client.link() {
                Link::Datagrams(socket) => watch(&poller, &**socket, token)?,
                // Those before read when it is time, not when there is something.
                Link::Stream(stream) if token >= slow.clients as u64 => {
                    watch(&poller, &**stream, token)?;
                }
                Link::Stream(_) => {}
            }
        }
        peer.iter().try_for_each(|peer| watch(&poller, &**peer, PEER))?;
        let timers = clients.iter().enumerate().filter_map(|(at, client)| match client {
            Client::Turn(member) => Some(Reverse((member.session.next_due(), at))),
            Client::Bare(_) => None,
        });
        let timers = timers.collect();
        Ok(Sink {
            clients,
            busy_ns: 0,
            failures: (0, None),
            behind: false,
            peer,
            peer_first: false,
            clock,
            stamps: Stamps::new(clock),
            poller,
            ready: Vec::new(),
            inbox: Inbox::new(),
            frames: Frames::default(),
            slow: SlowReading::new(slow),
            lost_connections: (0, None),
            ledger,
            timers,
            tend_ns: 0,
        })
    }

    /// Forgets the last measurement and takes up the next.
    pub(crate) fn begin(&mut self, window: Window, ways: [bool; 2], recent: Arc<Recent>) {
        self.peer_first = self.peer.is_some() && ways == [true, false];
        self.ledger.begin(window, self.clients.len(), recent);
        self.busy_ns = 0;
        self.failures = (0, None);
    }

    /// Every socket it receives datagrams on.
    pub(crate) fn sockets(&self) -> impl Iterator<Item = &Arc<UdpSocket>> {
        let clients = self.clients.iter().filter_map(|client| client.link().datagrams());
        clients.chain(&self.peer)
    }

    /// Connections that ended, and why the last did.
    pub(crate) fn lost_connections(&self) -> &(u64, Option<String>) {
        &self.lost_connections
    }

    pub(crate) fn ways(&self) -> &[Way; WAYS] {
        &self.ledger.ways
    }

    /// Distinct packets by when they were due.
    pub(crate) fn slices(&self) -> &Slices {
        &self.ledger.slices
    }

    /// When the last packet of this measurement arrived.
    pub(crate) fn last_ns(&self) -> u64 {
        self.ledger.last_ns
    }

    /// True when the last look did not take all there was.
    pub(crate) fn is_behind(&self) -> bool {
        self.behind
    }

    /// Waits for something to arrive, `wait_ns` at most, and takes what is there.
    pub(crate) fn poll(&mut self, wait_ns: u64) -> Result<(), Fault> {
        self.behind = false;
        if wait_ns == 0 && self.peer_first && self.read_peer()? {
            return Ok(());
        }
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
            self.stamps.renew();
            self.tend(begin);
        }
        if self.slow.is_due(begin) {
            self.read_slowly();
        }
        if !self.ready.is_empty() {
            self.busy_ns += self.clock.now() - begin;
        }
        Ok(())
    }

    /// Takes what the peer has, without the poller: one system call less, and one that the sender
    /// would have to share a lock with. False when there was nothing, or something else is due.
    fn read_peer(&mut self) -> Result<bool, Fault> {
        let begin = self.clock.now();
        if begin >= self.tend_ns {
            return Ok(false);
        }
        let any = self.read(PEER)?;
        if any {
            self.busy_ns += self.clock.now() - begin;
        }
        Ok(any)
    }

    /// Takes what one socket has; false when there was nothing.
    fn read(&mut self, token: u64) -> Result<bool, Fault> {
        let outcome = match &self.peer {
            Some(peer) if token == PEER => self.inbox.receive(&**peer, PEER_BATCH),
            Some(_) | None => {
                let Some(client) = self.clients.get(token as usize) else { return Ok(false) };
                match client.link().clone() {
                    Link::Datagrams(socket) => self.inbox.receive(&*socket, CLIENT_BATCH),
                    Link::Stream(stream) => return Ok(self.read_stream(token as usize, &stream)),
                }
            }
        };
        match outcome.map_err(|error| error.raw_os_error()) {
            Ok(more) => {
                self.behind |= more;
                self.take(token);
                Ok(true)
            }
            // A port that was closed for a moment; what is lost is counted as lost.
            Err(Some(libc::EAGAIN | libc::EINTR | libc::ECONNREFUSED)) => Ok(false),
            Err(code) => {
                let error = io::Error::from_raw_os_error(code.unwrap_or_default());
                Err(Fault::io("receive", error))
            }
        }
    }

    /// Takes what one connection has; false when there was nothing.
    fn read_stream(&mut self, at: usize, stream: &Arc<Connection>) -> bool {
        let mut frames = mem::take(&mut self.frames);
        let received = stream.receive(&mut self.inbox, &mut frames);
        let now = self.clock.now();
        let is_some = received.is_ok();
        match received {
            Ok(received) => {
                self.behind |= received.is_full;
                let at_ns = self.stamps.arrival_ns(received.stamp_ns, now);
                let arrivals = frames.iter().map(|frame| (at_ns, frame));
                deliver(&mut self.ledger, &mut self.failures, &mut self.clients, at, arrivals);
            }
            Err(error) => self.note_trouble(stream, &error),
        }
        self.frames = frames;
        is_some
    }

    /// Lets the slow readers read.
    fn read_slowly(&mut self) {
        let mut frames = mem::take(&mut self.frames);
        let slow = mem::replace(&mut self.slow, SlowReading::new(Slow::default()));
        for at in 0..slow.slow.clients {
            let Some(stream) = self.clients[at].link().stream().cloned() else { continue };
            let Sink { ledger, failures, clients, clock, .. } = self;
            let read = slow.read(&stream, &mut frames, &mut |frames| {
                let now = clock.now();
                deliver(ledger, failures, clients, at, frames.iter().map(|frame| (now, frame)));
            });
            if let Err(error) = read {
                self.note_trouble(&stream, &error);
            }
        }
        self.slow = slow;
        self.frames = frames;
    }

    /// Notes the end of a connection. Nothing is received on it any more.
    fn note_trouble(&mut self, stream: &Arc<Connection>, error: &io::Error) {
        if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) {
            return;
        }
        // One that is not watched is read again, and has ended again: once is enough.
        if stream.end() {
            let _ = self.poller.forget(&**stream);
            let text = match error.kind() {
                io::ErrorKind::UnexpectedEof => "the server closed it".to_owned(),
                _ => error.to_string(),
            };
            self.lost_connections = (self.lost_connections.0 + 1, Some(text));
        }
    }

    /// Takes apart what the inbox holds.
    fn take(&mut self, token: u64) {
        let now = self.clock.now();
        let Sink { inbox, ledger, clients, failures, stamps, .. } = self;
        let arrivals = inbox
            .datagrams()
            .map(|(stamp_ns, datagram)| (stamps.arrival_ns(stamp_ns, now), datagram));
        if token == PEER {
            arrivals.for_each(|(at_ns, payload)| ledger.payload(payload, End::Peer, at_ns));
        } else {
            deliver(ledger, failures, clients, token as usize, arrivals);
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
            // A request that found no room goes on; what breaks is found out by who receives.
            let _ = member.link.stream().map(|stream| stream.flush());
            note_failure(&mut self.failures, failed);
            // An answer may make the next refresh due before the retransmission would have been.
            let waits = member.session.pending().is_some();
            let next = if waits { now } else { member.session.next_due() };
            self.timers.push(Reverse((next.max(now + TEND_NS), at)));
        }
    }
}

/// Takes messages that arrived at a client, each at its time.
fn deliver<'a>(
    ledger: &mut Ledger,
    failures: &mut (u64, Option<String>),
    clients: &mut [Client],
    at: usize,
    arrivals: impl Iterator<Item = (u64, &'a [u8])>,
) {
    match &mut clients[at] {
        Client::Bare(_) if ledger.route == Route::Direct => {
            arrivals.for_each(|(at_ns, payload)| ledger.payload(payload, End::Client(at), at_ns));
        }
        Client::Bare(_) => {
            arrivals.for_each(|(at_ns, message)| sort(ledger, message, at, None, at_ns));
        }
        Client::Turn(member) => {
            for (at_ns, message) in arrivals {
                let mut failed = None;
                sort(ledger, message, at, Some((&mut *member, &mut failed)), at_ns);
                note_failure(failures, failed);
            }
        }
    }
}

/// A member and where a failed request of it is noted.
type Session<'a> = (&'a mut Member, &'a mut Option<String>);

/// Takes one datagram from the server.
fn sort(ledger: &mut Ledger, datagram: &[u8], at: usize, session: Option<Session<'_>>, now: u64) {
    match unwrap(datagram, ledger.run()) {
        Arrived::Payload(payload) => ledger.payload(payload, End::Client(at), now),
        Arrived::Answered(packet) => ledger.packet(&packet, End::Client(at), now),
        Arrived::Noise => ledger.noise(End::Client(at)),
        Arrived::Control(message) => {
            if let Some((member, failed)) = session {
                note_answer(member.take(message, now), failed);
            }
        }
    }
}

fn note_answer(answer: io::Result<Answer>, failed: &mut Option<String>) {
    match answer {
        Ok(Answer::Ignored | Answer::Again | Answer::Done(..)) => {}
        Ok(Answer::Failed(request, rejection)) => {
            *failed = Some(format!("{}: {rejection}", request.name()));
        }
        Err(error) => *failed = Some(error.to_string()),
    }
}

fn note_failure(failures: &mut (u64, Option<String>), failed: Option<String>) {
    if failed.is_some() {
        *failures = (failures.0 + 1, failed);
    }
}

fn watch(poller: &Poller, socket: &impl AsFd, token: u64) -> io::Result<()> {
    socket::stamp_arrivals(socket)?;
    poller.add(socket, token)
}
