//! TCP of the machine: connections as a driver has them, and what of each is on its way.
//!
//! Bytes are handed in just as they were cut on their way. Of a write the kernel takes as much as
//! the client's window has room for, and says that it is over when it has all of it.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
};

use bytes::BytesMut;
use uturn::io::{AcceptorId, HangUpHow, StreamId};

use super::{
    machine::{News, Side},
    rng::Rng,
};

/// What comes of a connection, and what its worker is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StreamNews {
    /// A client connects to a listener; its window has room for so many bytes.
    Syn(SocketAddr, usize),
    Bytes(Vec<u8>),
    Fin,
    Reset,
    /// The client's window has room for so many more bytes.
    Room(usize),
    /// The driver has let go of it.
    Gone,
}

/// What goes down to a client.
#[derive(Debug, Clone)]
pub(crate) enum Down {
    Bytes(Vec<u8>),
    /// It is closed, reset or refused.
    Over,
}

/// What surfaces from the driver.
#[derive(Debug)]
pub(crate) enum Surfaced {
    Accepted(AcceptorId, StreamId, SocketAddr),
    Bytes(StreamId, Vec<u8>),
    Written(StreamId, BytesMut),
    Finished(StreamId),
    Closed(StreamId, Option<i32>),
}

/// A connection in a slot of a driver.
#[derive(Debug)]
struct Stream {
    client: SocketAddr,
    is_hung_up: bool,
    write: Option<BytesMut>,
    room: usize,
}

/// The connections of one worker's driver.
#[derive(Debug, Default)]
pub(crate) struct Wires {
    capacity: usize,
    streams: Vec<Option<Stream>>,
    /// Listeners, and whether each takes connections.
    acceptors: Vec<(SocketAddr, bool)>,
    /// Clients that no slot is free for, with what they have sent so far.
    backlog: VecDeque<(SocketAddr, Vec<StreamNews>)>,
    /// Bytes that clients have sent and that no write of theirs has said yet, in order.
    pub(crate) down: Vec<(SocketAddr, Down)>,
    /// Connections that waited for a slot.
    pub(crate) waited: u64,
}

impl Wires {
    pub(crate) fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity;
    }

    pub(crate) fn listen(&mut self, address: SocketAddr) -> AcceptorId {
        self.acceptors.push((address, true));
        AcceptorId::new(self.acceptors.len() as u32 - 1)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.backlog.is_empty() && self.streams.iter().all(Option::is_none)
    }

    /// A listener that takes connections.
    pub(crate) fn open_acceptor(&self) -> Option<SocketAddr> {
        self.acceptors.iter().find(|(_, is_open)| *is_open).map(|(address, _)| *address)
    }

    fn find(&mut self, client: SocketAddr) -> Option<(StreamId, &mut Stream)> {
        let mut streams = self.streams.iter_mut().enumerate();
        streams.find_map(|(slot, it)| {
            let stream = it.as_mut().filter(|it| it.client == client)?;
            Some((StreamId::new(slot as u32), stream))
        })
    }

    fn stream(&mut self, id: StreamId) -> &mut Stream {
        self.streams[id.index()].as_mut().expect("only what the driver has is used")
    }

    /// Begins a write.
    pub(crate) fn write(&mut self, id: StreamId, buffer: BytesMut) -> Option<SocketAddr> {
        assert!(!buffer.is_empty(), "an empty write never ends");
        let stream = self.stream(id);
        assert!(stream.write.is_none(), "a connection has one write under way");
        if stream.is_hung_up {
            return None;
        }
        stream.write = Some(buffer);
        Some(stream.client)
    }

    pub(crate) fn hang_up(&mut self, id: StreamId) -> SocketAddr {
        let stream = self.stream(id);
        assert!(!std::mem::replace(&mut stream.is_hung_up, true), "{stream:?} twice");
        stream.write = None;
        let client = stream.client;
        self.down.push((client, Down::Over));
        client
    }

    /// All connections are gone with their driver.
    pub(crate) fn end(&mut self) {
        let open = self.streams.drain(..).flatten().map(|it| it.client);
        let waiting = self.backlog.drain(..).map(|(client, _)| client);
        let over = open.chain(waiting).map(|client| (client, Down::Over));
        self.down.extend(over);
    }

    fn surface(&mut self, client: SocketAddr, news: StreamNews) -> Option<Surfaced> {
        if let StreamNews::Syn(listener, room) = news {
            return self.accept(client, listener, room);
        }
        if let Some((_, early)) = self.backlog.iter_mut().find(|(one, _)| *one == client) {
            early.push(news);
            return None;
        }
        let (id, stream) = self.find(client)?;
        match news {
            StreamNews::Bytes(bytes) if !stream.is_hung_up => Some(Surfaced::Bytes(id, bytes)),
            StreamNews::Fin if !stream.is_hung_up => Some(Surfaced::Finished(id)),
            StreamNews::Reset if !stream.is_hung_up => {
                self.streams[id.index()] = None;
                Some(Surfaced::Closed(id, Some(libc::ECONNRESET)))
            }
            StreamNews::Room(room) => {
                stream.room = stream.room.saturating_add(room);
                self.write_on(id)
            }
            StreamNews::Gone => {
                self.streams[id.index()] = None;
                Some(Surfaced::Closed(id, None))
            }
            StreamNews::Syn(..) | StreamNews::Bytes(_) | StreamNews::Fin | StreamNews::Reset => {
                None
            }
        }
    }

    fn accept(
        &mut self,
        client: SocketAddr,
        listener: SocketAddr,
        room: usize,
    ) -> Option<Surfaced> {
        let acceptor = self.acceptors.iter().position(|it| *it == (listener, true));
        let Some(acceptor) = acceptor else {
            self.down.push((client, Down::Over));
            return None;
        };
        let slot = self.streams.iter().position(Option::is_none).unwrap_or(self.streams.len());
        if slot >= self.capacity {
            self.backlog.push_back((client, vec![StreamNews::Syn(listener, room)]));
            self.waited += 1;
            return None;
        }
        if slot == self.streams.len() {
            self.streams.push(None);
        }
        self.streams[slot] = Some(Stream { client, is_hung_up: false, write: None, room });
        let acceptor = AcceptorId::new(acceptor as u32);
        Some(Surfaced::Accepted(acceptor, StreamId::new(slot as u32), listener))
    }

    /// The kernel takes as much of a write as there is room for.
    fn write_on(&mut self, id: StreamId) -> Option<Surfaced> {
        let stream = self.stream(id);
        let write = stream.write.as_mut()?;
        let taken = write.split_to(write.len().min(stream.room));
        stream.room -= taken.len();
        let over = if write.is_empty() { stream.write.take() } else { None };
        let client = stream.client;
        if !taken.is_empty() {
            self.down.push((client, Down::Bytes(taken.to_vec())));
        }
        // The memory of a buffer that was split is elsewhere: another one comes back.
        over.map(|_| Surfaced::Written(id, BytesMut::new()))
    }
}

impl Side {
    /// What surfaces of news, if anything does.
    pub(crate) fn surface(
        &mut self,
        now_ms: u64,
        client: SocketAddr,
        news: StreamNews,
    ) -> Option<Surfaced> {
        let surfaced = self.wires.surface(client, news)?;
        if let Surfaced::Closed(..) = surfaced
            && let Some((client, early)) = self.wires.backlog.pop_front()
        {
            early.into_iter().for_each(|it| self.tell_stream(now_ms, client, it));
        }
        Some(surfaced)
    }

    /// A client's window has room for more. Its driver hears of that where a write waits for it.
    pub(crate) fn widen(&mut self, now_ms: u64, client: SocketAddr, bytes: usize) {
        match self.wires.find(client) {
            Some((_, stream)) if stream.write.is_some() => {
                self.tell_stream(now_ms, client, StreamNews::Room(bytes));
            }
            Some((_, stream)) => stream.room += bytes,
            None => {}
        }
    }

    pub(crate) fn hang_up(&mut self, now_ms: u64, id: StreamId, _: HangUpHow) -> SocketAddr {
        let client = self.wires.hang_up(id);
        let at_ms = now_ms + self.rng.below(50);
        self.tell_stream(at_ms, client, StreamNews::Gone);
        client
    }

    /// A listener takes no more connections.
    pub(crate) fn break_acceptor(&mut self, listener: SocketAddr) -> Option<AcceptorId> {
        let acceptor = self.wires.acceptors.iter().position(|it| *it == (listener, true))?;
        self.wires.acceptors[acceptor].1 = false;
        let waits_there = |(_, early): &(SocketAddr, Vec<StreamNews>)| matches!(early[..], [StreamNews::Syn(it, _), ..] if it == listener);
        let (lost, others) = std::mem::take(&mut self.wires.backlog)
            .into_iter()
            .partition::<VecDeque<_>, _>(waits_there);
        self.wires.backlog = others;
        let over = lost.into_iter().map(|(client, _)| (client, Down::Over));
        self.wires.down.extend(over);
        Some(AcceptorId::new(acceptor as u32))
    }
}

/// How a client's bytes are cut on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    Bytewise,
    Anywhere,
    Nowhere,
}

impl Cut {
    pub(crate) fn of(rng: &mut Rng) -> Cut {
        match rng.below(8) {
            0 => Cut::Bytewise,
            1..5 => Cut::Anywhere,
            _ => Cut::Nowhere,
        }
    }

    pub(crate) fn parts(self, rng: &mut Rng, bytes: &[u8]) -> Vec<Vec<u8>> {
        let (mut parts, mut rest) = (Vec::new(), bytes);
        while !rest.is_empty() {
            let most = rest.len() as u64;
            let part = match self {
                Cut::Bytewise => 1,
                Cut::Anywhere => 1 + rng.below(most),
                Cut::Nowhere => most,
            };
            let (part, left) = rest.split_at(part as usize);
            parts.push(part.to_vec());
            rest = left;
        }
        parts
    }
}

/// Frames in what a client has received, by the rules of RFC 8489 §6.2.2 and RFC 8656 §12.5, and
/// what is left behind the last whole one.
pub(crate) fn frames(bytes: &[u8]) -> (Vec<Vec<u8>>, Vec<u8>) {
    let (mut frames, mut rest) = (Vec::new(), bytes);
    while let [first, _, high, low, ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let bytes = if *first < 4 { 20 + length } else { (4 + length).next_multiple_of(4) };
        let Some((frame, left)) = rest.split_at_checked(bytes) else { break };
        frames.push(frame.to_vec());
        rest = left;
    }
    (frames, rest.to_vec())
}

/// The news of a side, as a worker is told of it.
pub(crate) fn told(client: SocketAddr, surfaced: &Surfaced) -> News {
    News::Stream(
        client,
        match surfaced {
            Surfaced::Accepted(_, _, listener) => StreamNews::Syn(*listener, 0),
            Surfaced::Bytes(_, bytes) => StreamNews::Bytes(bytes.clone()),
            Surfaced::Written(..) => StreamNews::Room(0),
            Surfaced::Finished(_) => StreamNews::Fin,
            Surfaced::Closed(_, Some(_)) => StreamNews::Reset,
            Surfaced::Closed(_, None) => StreamNews::Gone,
        },
    )
}

/// Connections that end, by client.
pub(crate) type Lines = BTreeMap<SocketAddr, Line>;

/// A client's end of its connection.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) worker: usize,
    pub(crate) cut: Cut,
    /// How much it reads at a time, and how often; `None` for all at once.
    pub(crate) reads: Option<(usize, u64)>,
    /// When what it sent last arrives, and what it was sent.
    pub(crate) up_ms: u64,
    pub(crate) down_ms: u64,
    pub(crate) unread: Vec<u8>,
    pub(crate) has_finished: bool,
}
