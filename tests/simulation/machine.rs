//! The machine that workers run on: sockets without a kernel, and a log of what each worker does.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    os::{fd::RawFd, unix::net::UnixStream},
    sync::{Arc, Mutex, MutexGuard},
};

use uturn::{
    io::{HangUpHow, SocketId, Waker},
    turn::{Detail, ForwardedChannel, Page, Session},
    worker::Report,
};

use super::{
    packet::Packet,
    rng::Rng,
    wires::{Stream, StreamNews, Wires},
};

/// Arrivals that fit into the buffer of a socket.
const BUFFER_ARRIVALS: usize = 4;

/// What a socket is for, as far as the machine can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Payload of clients comes in, and every answer leaves.
    Payload,
    /// Requests of clients come in.
    Requests,
    /// A relay.
    Relay,
    /// Clients connect to it.
    Streams,
}

/// What a driver does with a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// The worker has not been told yet that it is there.
    Opening,
    /// It receives.
    Open,
    /// It holds its port and receives nothing.
    Paused,
    /// It can no longer receive.
    Broken,
    /// It is closed; the worker has not been told yet.
    Closing,
    /// It leaves the driver; the worker has not been given it yet.
    Leaving,
}

/// A socket of a driver.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Socket {
    pub(crate) local: SocketAddr,
    pub(crate) kind: Kind,
    pub(crate) state: State,
    /// The state it will have once the worker knows of it.
    pub(crate) then: State,
    /// Arrivals that found its buffer full.
    pub(crate) drops: u64,
    /// Tells it from others that had its slot before.
    birth: u64,
}

/// Datagrams that arrive together, from one sender.
#[derive(Debug, Clone)]
pub(crate) enum Arrival {
    FromClient(Vec<Packet>),
    FromPeer(Vec<Vec<u8>>),
}

impl Arrival {
    /// The datagrams, and the size of all but the last.
    pub(crate) fn bytes(&self) -> (Vec<u8>, usize) {
        let datagrams: Vec<Vec<u8>> = match self {
            Arrival::FromClient(packets) => packets.iter().map(Packet::bytes).collect(),
            Arrival::FromPeer(segments) => segments.clone(),
        };
        (datagrams.concat(), datagrams[0].len())
    }
}

/// What a worker's driver has to tell it.
#[derive(Debug, Clone)]
pub(crate) enum News {
    Received(SocketAddr, Arrival),
    Opened,
    Refused(i32),
    Closed,
    Broken(i32),
    Taken,
    SegmentationOff,
    SegmentationOn,
    /// Of a client's connection.
    Stream(SocketAddr, StreamNews),
    /// A listener takes no more connections.
    AcceptorBroken(SocketAddr),
}

#[derive(Debug)]
struct Item {
    at_ms: u64,
    socket: SocketId,
    birth: u64,
    news: News,
}

/// One thing that a worker did, or that it was told while it did them.
#[derive(Debug)]
pub(crate) enum Deed {
    /// It took the next news of its driver.
    Took(Option<Socket>, News),
    Woken,
    /// A datagram left.
    Sent(Sent),
    /// It began a write on a client's connection.
    Wrote(SocketAddr, Vec<u8>),
    /// It hung a client's connection up.
    HungUp(SocketAddr, HangUpHow),
    /// It asked for a buffer and got one, or none.
    Blank(bool),
    /// It asked for a relay socket; an errno if that failed at once.
    Bound(SocketAddr, Option<i32>),
    /// It closed a socket.
    Closed(Socket),
    /// It had a paused socket receive.
    Resumed(Socket),
    /// It wants a socket out of its driver.
    TookOut(Socket),
    /// It gave a socket to its driver.
    Adopted(SocketAddr, Option<i32>),
    Report(Report),
    Forward(ForwardedChannel, u64),
    Unforward(ForwardedChannel),
    /// It answered the operator.
    Listed(Page<Session>),
    Showed(Option<Box<Detail>>),
    Killed(bool),
}

/// A datagram on its way out of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) from: SocketAddr,
    pub(crate) kind: Kind,
    pub(crate) to: SocketAddr,
    pub(crate) bytes: Vec<u8>,
    pub(crate) dont_fragment: bool,
    /// False where the kernel refused to take it (a full queue, ENOBUFS, EPERM): no worker hears of
    /// that, and nothing but this datagram is lost.
    pub(crate) leaves: bool,
}

/// What goes wrong on the machine, in percent.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    /// Sockets that cannot be had.
    pub(crate) refused: u64,
    /// Buffers that are not there.
    pub(crate) no_buffer: u64,
    /// Relay sockets that break.
    pub(crate) broken: u64,
    /// Datagrams that the kernel refuses to send.
    pub(crate) unsent: u64,
}

/// One worker's part of the machine.
#[derive(Debug)]
pub(crate) struct Side {
    pub(crate) sockets: Vec<Option<Socket>>,
    pub(crate) deeds: VecDeque<Deed>,
    pub(crate) rng: Rng,
    /// Arrivals that found the buffer of a listening socket full, ever.
    pub(crate) overflow: u64,
    /// What the driver is woken by.
    pub(crate) waker: Waker,
    pub(crate) wires: Wires,
    is_woken: bool,
    items: Vec<Item>,
    ready: VecDeque<Item>,
}

/// A connection between two drivers, and the other end of what stands for it, which says when it is
/// closed.
#[derive(Debug)]
pub(crate) struct Adrift {
    pub(crate) stream: Stream,
    pub(crate) end: UnixStream,
}

/// All of it.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) now_ms: u64,
    pub(crate) faults: Faults,
    /// Ports that other programs use.
    pub(crate) foreign_ports: Vec<u16>,
    pub(crate) sides: Vec<Side>,
    /// Sockets that no driver has, by descriptor.
    pub(crate) loose: BTreeMap<RawFd, (SocketAddr, Kind)>,
    /// Connections that no driver has, likewise.
    pub(crate) adrift: BTreeMap<RawFd, Adrift>,
    births: u64,
}

/// Everybody's way to it.
#[derive(Debug, Clone)]
pub(crate) struct Shared(Arc<Mutex<Machine>>);

impl Shared {
    pub(crate) fn new(workers: u8, foreign_ports: Vec<u16>, rng: &mut Rng) -> Shared {
        let side = |_| Side {
            sockets: Vec::new(),
            deeds: VecDeque::new(),
            rng: Rng::new(rng.bits()),
            overflow: 0,
            waker: Waker::new().expect("a descriptor"),
            wires: Wires::default(),
            is_woken: false,
            items: Vec::new(),
            ready: VecDeque::new(),
        };
        let sides = (0..workers).map(side).collect();
        let (faults, loose) = (Faults::default(), BTreeMap::new());
        let adrift = BTreeMap::new();
        let machine = Machine { now_ms: 0, faults, foreign_ports, sides, loose, adrift, births: 0 };
        Shared(Arc::new(Mutex::new(machine)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Machine> {
        self.0.lock().expect("whoever panics with it ends the story")
    }

    /// Records what a worker did.
    pub(crate) fn record(&self, worker: usize, deed: Deed) {
        self.lock().sides[worker].deeds.push_back(deed);
    }
}

impl Machine {
    /// Whether any driver, or nobody yet, has a socket at an address.
    pub(crate) fn is_taken(&self, local: SocketAddr) -> bool {
        let sockets = self.sides.iter().flat_map(|side| side.sockets.iter().flatten());
        let loose = self.loose.values().any(|(one, _)| *one == local);
        loose || sockets.into_iter().any(|socket| socket.local == local)
    }

    /// The relay sockets of all drivers.
    pub(crate) fn relays(&self) -> impl Iterator<Item = &Socket> {
        let sockets = self.sides.iter().flat_map(|side| side.sockets.iter().flatten());
        sockets.filter(|socket| socket.kind == Kind::Relay)
    }

    /// Gives a worker's driver a socket.
    pub(crate) fn add(
        &mut self,
        worker: usize,
        (local, kind): (SocketAddr, Kind),
        (state, then): (State, State),
    ) -> SocketId {
        self.births += 1;
        let socket = Socket { local, kind, state, then, drops: 0, birth: self.births };
        let sockets = &mut self.sides[worker].sockets;
        let slot = sockets.iter().position(Option::is_none).unwrap_or(sockets.len());
        if slot == sockets.len() {
            sockets.push(None);
        }
        sockets[slot] = Some(socket);
        SocketId::new(slot as u32)
    }

    /// Tells a worker's driver something at a time to come.
    pub(crate) fn tell(&mut self, worker: usize, at_ms: u64, socket: SocketId, news: News) {
        let birth = self.sides[worker].socket(socket).map_or(0, |socket| socket.birth);
        self.sides[worker].items.push(Item { at_ms, socket, birth, news });
    }

    /// Datagrams reach a socket, if it is there and receives.
    pub(crate) fn arrive(
        &mut self,
        worker: usize,
        to: (SocketAddr, Kind),
        from: SocketAddr,
        arrival: Arrival,
    ) -> bool {
        let wanted = |socket: &Socket| {
            let receives = matches!(socket.state, State::Open | State::Opening);
            receives && (socket.local, socket.kind) == to
        };
        let mut sockets = self.sides[worker].sockets.iter();
        let slot = sockets.position(|socket| socket.as_ref().is_some_and(wanted));
        let Some(slot) = slot.map(|slot| SocketId::new(slot as u32)) else { return false };
        let side = &mut self.sides[worker];
        if side.unread(slot) >= BUFFER_ARRIVALS {
            side.full(slot);
            return false;
        }
        self.tell(worker, self.now_ms, slot, News::Received(from, arrival));
        true
    }

    /// The worker whose driver has a relay socket that receives at an address.
    pub(crate) fn relay_at(&self, local: SocketAddr) -> Option<usize> {
        let has = |side: &Side| {
            let mut sockets = side.sockets.iter().flatten();
            sockets.any(|it| it.local == local && matches!(it.state, State::Open | State::Opening))
        };
        self.sides.iter().position(has)
    }
}

/// The slot of news that no socket has.
const NO_SOCKET: u32 = u32::MAX;

impl Side {
    /// Tells the driver of a connection at a time to come.
    pub(crate) fn tell_stream(&mut self, at_ms: u64, client: SocketAddr, news: StreamNews) {
        let news = News::Stream(client, news);
        self.items.push(Item { at_ms, socket: SocketId::new(NO_SOCKET), birth: 0, news });
    }

    /// Takes what a connection's driver has not told of it yet.
    pub(crate) fn take_news_of(&mut self, client: SocketAddr) -> Vec<StreamNews> {
        let is_of = |it: &mut Item| matches!(&it.news, News::Stream(of, _) if *of == client);
        let mut late: Vec<Item> = self.items.extract_if(.., is_of).collect();
        late.sort_by_key(|item| item.at_ms);
        let (found, ready) = std::mem::take(&mut self.ready)
            .into_iter()
            .partition(|it| matches!(&it.news, News::Stream(of, _) if *of == client));
        self.ready = ready;
        let found: VecDeque<Item> = found;
        let news = found.into_iter().chain(late).filter_map(|item| match item.news {
            News::Stream(_, news) => Some(news),
            _ => None,
        });
        news.collect()
    }

    /// The same of a listener.
    pub(crate) fn tell_acceptor(&mut self, at_ms: u64, listener: SocketAddr) {
        let news = News::AcceptorBroken(listener);
        self.items.push(Item { at_ms, socket: SocketId::new(NO_SOCKET), birth: 0, news });
    }

    /// Arrivals that wait at a socket.
    fn unread(&self, id: SocketId) -> usize {
        let waits = |it: &&Item| it.socket == id && matches!(it.news, News::Received(..));
        self.items.iter().filter(waits).count()
    }

    /// An arrival finds a socket's buffer full.
    fn full(&mut self, id: SocketId) {
        if let Some(socket) = self.socket_mut(id) {
            socket.drops += 1;
            self.overflow += u64::from(socket.kind != Kind::Relay);
        }
    }

    pub(crate) fn socket(&self, id: SocketId) -> Option<&Socket> {
        self.sockets.get(id.index())?.as_ref()
    }

    pub(crate) fn socket_mut(&mut self, id: SocketId) -> Option<&mut Socket> {
        self.sockets.get_mut(id.index())?.as_mut()
    }

    /// Whether somebody has woken the driver that has not been told.
    pub(crate) fn is_woken(&mut self) -> bool {
        self.is_woken |= self.waker.acknowledge();
        self.is_woken
    }

    /// Tells the driver that it was woken, once.
    pub(crate) fn take_woken(&mut self) -> bool {
        let is_woken = self.is_woken();
        self.is_woken = false;
        is_woken
    }

    /// When the driver has the next news.
    pub(crate) fn next_ms(&self) -> Option<u64> {
        self.items.iter().map(|item| item.at_ms).min()
    }

    /// Whether anything of a client waits in the driver.
    pub(crate) fn has_from(&self, client: SocketAddr) -> bool {
        let is_from = |it: &Item| matches!(&it.news, News::Received(from, _) if *from == client);
        self.items.iter().any(is_from)
    }

    /// Collects what is there by now, in the order of its arrival.
    pub(crate) fn collect(&mut self, now_ms: u64) {
        let (mut due, later) = std::mem::take(&mut self.items)
            .into_iter()
            .partition::<Vec<_>, _>(|item| item.at_ms <= now_ms);
        self.items = later;
        due.sort_by_key(|item| item.at_ms);
        self.ready.extend(due);
    }

    /// Takes the next news, with the socket as it was before; what came to a socket that is closed
    /// by now is gone.
    pub(crate) fn next(&mut self) -> Option<(SocketId, Option<Socket>, News)> {
        while let Some(Item { socket: id, birth, news, .. }) = self.ready.pop_front() {
            let before = self.socket(id).filter(|socket| socket.birth == birth).copied();
            let is_over = matches!(news, News::Received(..) | News::Broken(_))
                && before.is_none_or(|it| !matches!(it.state, State::Open | State::Broken));
            if is_over {
                continue;
            }
            if let Some(slot) = self.sockets.get_mut(id.index()) {
                match &news {
                    News::Closed | News::Refused(_) | News::Taken => *slot = None,
                    News::Opened => {
                        if let Some(socket) = slot {
                            socket.state = socket.then;
                        }
                    }
                    News::Broken(_)
                    | News::Received(..)
                    | News::SegmentationOff
                    | News::SegmentationOn
                    | News::Stream(..)
                    | News::AcceptorBroken(_) => {}
                }
            }
            return Some((id, before, news));
        }
        None
    }
}
