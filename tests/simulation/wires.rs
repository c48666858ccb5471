//! TCP of the machine: connections as a driver has them, and what of each is on its way.
//!
//! Bytes are handed in just as they were cut on their way. Of a write the kernel takes as much as
//! the client's window has room for, and says that it is over when it has all of it.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    net::{SocketAddr, TcpListener},
};

use bytes::BytesMut;
use uturn::io::{AcceptorId, HangUpHow, StreamId};

use super::machine::{News, Side};

/// What a driver reads at a time at the most.
pub(crate) const MOST_READ_BYTES: usize = 4_000;

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
    /// A connection that a worker asked for is there; its window has room for so many bytes.
    Connected(usize),
    /// Or cannot be had.
    Refused(i32),
    /// The next of what waited while it was not read.
    ReadOn,
    /// It leaves its driver.
    Leave,
}

/// What goes down to a client.
#[derive(Debug, Clone)]
pub(crate) enum Down {
    Bytes(Vec<u8>),
    /// The server says nothing more.
    Fin,
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
    Connected(StreamId),
    Detached(StreamId, Stream),
}

/// A connection in a slot of a driver, or between two of them.
#[derive(Debug)]
pub(crate) struct Stream {
    /// Who is at its other end.
    pub(crate) client: SocketAddr,
    is_connecting: bool,
    is_hung_up: bool,
    /// It is to leave the driver.
    leaves: bool,
    is_paused: bool,
    /// What came while it was not read.
    pub(crate) held: VecDeque<StreamNews>,
    write: Option<BytesMut>,
    /// The worker says nothing more, once what it writes is gone.
    is_finished: bool,
    pub(crate) room: usize,
}

impl Stream {
    fn new(client: SocketAddr, room: usize) -> Stream {
        Stream {
            client,
            is_connecting: false,
            is_hung_up: false,
            leaves: false,
            is_paused: false,
            held: VecDeque::new(),
            write: None,
            is_finished: false,
            room,
        }
    }

    fn is_read(&self) -> bool {
        !(self.is_hung_up || self.leaves || self.is_paused)
    }
}

/// The connections of one worker's driver.
#[derive(Debug, Default)]
pub(crate) struct Wires {
    capacity: usize,
    streams: Vec<Option<Stream>>,
    /// Listeners, and whether each takes connections.
    acceptors: Vec<(SocketAddr, bool)>,
    /// What holds the addresses of those that peers connect to.
    peers: BTreeMap<usize, TcpListener>,
    /// Connections that were asked for.
    pub(crate) asked: Vec<SocketAddr>,
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

    /// Peers connect to a listener of their own.
    pub(crate) fn listen_for_peers(&mut self, listener: TcpListener) -> io::Result<AcceptorId> {
        let acceptor = self.listen(listener.local_addr()?);
        self.peers.insert(acceptor.index(), listener);
        Ok(acceptor)
    }

    /// Where peers can connect to.
    pub(crate) fn relays(&self) -> impl Iterator<Item = SocketAddr> {
        self.peers.keys().map(|at| self.acceptors[*at].0)
    }

    /// Who is at the other end of a connection that the driver has, or has not told of.
    pub(crate) fn has(&self, client: SocketAddr) -> bool {
        let mut open = self.streams.iter().flatten().filter(|it| !it.is_hung_up);
        open.any(|it| it.client == client) || self.backlog.iter().any(|(it, _)| *it == client)
    }

    /// How many connections the driver has that its worker has neither hung up nor sent away.
    pub(crate) fn open(&self) -> usize {
        self.streams.iter().flatten().filter(|it| !it.is_hung_up && !it.leaves).count()
    }

    /// Takes a slot.
    pub(crate) fn place(&mut self, stream: Stream) -> Option<StreamId> {
        let slot = self.streams.iter().position(Option::is_none).unwrap_or(self.streams.len());
        if slot >= self.capacity {
            return None;
        }
        if slot == self.streams.len() {
            self.streams.push(None);
        }
        self.streams[slot] = Some(stream);
        Some(StreamId::new(slot as u32))
    }

    /// A worker wants a connection.
    pub(crate) fn connect(&mut self, to: SocketAddr) -> Option<StreamId> {
        let id = self.place(Stream { is_connecting: true, ..Stream::new(to, 0) })?;
        self.asked.push(to);
        Some(id)
    }

    /// A connection comes from another driver; whether something waits to be read of it.
    pub(crate) fn adopt(&mut self, stream: Stream, is_paused: bool) -> Option<(StreamId, bool)> {
        let waits = !stream.held.is_empty();
        self.place(Stream { leaves: false, is_paused, ..stream }).map(|id| (id, waits))
    }

    pub(crate) fn pause(&mut self, id: StreamId) {
        self.stream(id).is_paused = true;
    }

    /// Whose it is, where something waits to be read.
    pub(crate) fn unpause(&mut self, id: StreamId) -> Option<SocketAddr> {
        let stream = self.stream(id);
        stream.is_paused = false;
        (!stream.held.is_empty()).then_some(stream.client)
    }

    /// The worker says nothing more.
    pub(crate) fn finish(&mut self, id: StreamId) {
        let stream = self.stream(id);
        let is_first = !std::mem::replace(&mut stream.is_finished, true);
        if is_first && stream.write.is_none() && !stream.is_hung_up {
            let client = stream.client;
            self.down.push((client, Down::Fin));
        }
    }

    /// A connection is to leave, for whom.
    pub(crate) fn detach(&mut self, id: StreamId) -> SocketAddr {
        let stream = self.stream(id);
        assert!(!std::mem::replace(&mut stream.leaves, true), "{stream:?} leaves twice");
        stream.client
    }

    /// Takes out what is to leave, unless a write is under way or it was hung up.
    fn let_go(&mut self, client: SocketAddr) -> Option<(StreamId, Stream)> {
        let (id, stream) = self.find(client)?;
        if stream.is_hung_up || stream.write.is_some() {
            return None;
        }
        let stream = self.streams[id.index()].take()?;
        Some((id, stream))
    }

    /// A listener is closed, and whoever waits there is turned away.
    pub(crate) fn stop_accepting(&mut self, acceptor: AcceptorId) {
        self.peers.remove(&acceptor.index());
        self.close_acceptor(acceptor.index());
    }

    fn close_acceptor(&mut self, acceptor: usize) {
        self.acceptors[acceptor].1 = false;
        let listener = self.acceptors[acceptor].0;
        let waits_there = |(_, early): &(SocketAddr, Vec<StreamNews>)| matches!(early[..], [StreamNews::Syn(it, _), ..] if it == listener);
        let (lost, others) =
            std::mem::take(&mut self.backlog).into_iter().partition::<VecDeque<_>, _>(waits_there);
        self.backlog = others;
        self.down.extend(lost.into_iter().map(|(client, _)| (client, Down::Over)));
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
        assert!(!stream.is_finished && !stream.is_connecting, "nothing can be written: {stream:?}");
        if stream.is_hung_up || stream.leaves {
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
        let waits = !stream.is_read() || !stream.held.is_empty();
        match news {
            StreamNews::Bytes(_) | StreamNews::Fin if !stream.is_hung_up && waits => {
                stream.held.push_back(news);
                None
            }
            StreamNews::Bytes(_) | StreamNews::Fin if !stream.is_hung_up => Some(shown(id, news)),
            StreamNews::ReadOn if stream.is_read() => match stream.held.pop_front()? {
                StreamNews::Reset => {
                    self.streams[id.index()] = None;
                    Some(Surfaced::Closed(id, Some(libc::ECONNRESET)))
                }
                // What has waited is read in one piece, as far as there is room.
                StreamNews::Bytes(mut bytes) => {
                    while let Some(StreamNews::Bytes(more)) = stream.held.front()
                        && bytes.len() + more.len() <= MOST_READ_BYTES
                    {
                        bytes.extend(more);
                        stream.held.pop_front();
                    }
                    Some(Surfaced::Bytes(id, bytes))
                }
                news => Some(shown(id, news)),
            },
            StreamNews::Reset if !stream.is_hung_up => {
                self.streams[id.index()] = None;
                Some(Surfaced::Closed(id, Some(libc::ECONNRESET)))
            }
            StreamNews::Connected(room) if !stream.is_hung_up => {
                assert!(std::mem::take(&mut stream.is_connecting), "{stream:?} was asked for");
                stream.room = room;
                Some(Surfaced::Connected(id))
            }
            StreamNews::Refused(errno) if !stream.is_hung_up => {
                self.streams[id.index()] = None;
                Some(Surfaced::Closed(id, Some(errno)))
            }
            StreamNews::Room(room) => {
                stream.room = stream.room.saturating_add(room);
                self.write_on(id)
            }
            StreamNews::Gone => {
                self.streams[id.index()] = None;
                Some(Surfaced::Closed(id, None))
            }
            StreamNews::Syn(..)
            | StreamNews::Bytes(_)
            | StreamNews::Fin
            | StreamNews::Reset
            | StreamNews::Connected(_)
            | StreamNews::Refused(_)
            | StreamNews::ReadOn
            | StreamNews::Leave => None,
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
        let Some(id) = self.place(Stream::new(client, room)) else {
            self.backlog.push_back((client, vec![StreamNews::Syn(listener, room)]));
            self.waited += 1;
            return None;
        };
        Some(Surfaced::Accepted(AcceptorId::new(acceptor as u32), id, listener))
    }

    /// The kernel takes as much of a write as there is room for.
    fn write_on(&mut self, id: StreamId) -> Option<Surfaced> {
        let stream = self.stream(id);
        let write = stream.write.as_mut()?;
        let taken = write.split_to(write.len().min(stream.room));
        stream.room -= taken.len();
        let over = if write.is_empty() { stream.write.take() } else { None };
        let (client, says_end) = (stream.client, stream.is_finished && over.is_some());
        if !taken.is_empty() {
            self.down.push((client, Down::Bytes(taken.to_vec())));
        }
        if says_end {
            self.down.push((client, Down::Fin));
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
        let surfaced = match news {
            StreamNews::Leave => self.let_go(client)?,
            news => self.wires.surface(client, news)?,
        };
        match surfaced {
            Surfaced::Closed(..) | Surfaced::Detached(..) => {
                if let Some((client, early)) = self.wires.backlog.pop_front() {
                    // What comes at this moment comes behind it.
                    let late = self.take_news_of(client);
                    let all = early.into_iter().chain(late);
                    all.for_each(|it| self.tell_stream(now_ms, client, it));
                }
            }
            Surfaced::Written(id, _) if self.wires.stream(id).leaves => {
                self.tell_stream(now_ms, client, StreamNews::Leave);
            }
            Surfaced::Bytes(id, _) if !self.wires.stream(id).held.is_empty() => {
                self.tell_stream(now_ms, client, StreamNews::ReadOn);
            }
            Surfaced::Accepted(..)
            | Surfaced::Bytes(..)
            | Surfaced::Written(..)
            | Surfaced::Finished(_)
            | Surfaced::Connected(_) => {}
        }
        Some(surfaced)
    }

    /// A connection leaves, and what has come of it and was not told goes along.
    fn let_go(&mut self, client: SocketAddr) -> Option<Surfaced> {
        let (id, mut stream) = self.wires.let_go(client)?;
        for news in self.take_news_of(client) {
            match news {
                StreamNews::Room(room) => stream.room = stream.room.saturating_add(room),
                StreamNews::Bytes(_) | StreamNews::Fin | StreamNews::Reset => {
                    stream.held.push_back(news);
                }
                _ => {}
            }
        }
        Some(Surfaced::Detached(id, stream))
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
        self.wires.close_acceptor(acceptor);
        Some(AcceptorId::new(acceptor as u32))
    }
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
            Surfaced::Connected(_) => StreamNews::Connected(0),
            Surfaced::Detached(..) => StreamNews::Leave,
        },
    )
}

/// What waited, as it surfaces.
fn shown(id: StreamId, news: StreamNews) -> Surfaced {
    match news {
        StreamNews::Bytes(bytes) => Surfaced::Bytes(id, bytes),
        StreamNews::Fin => Surfaced::Finished(id),
        news => unreachable!("{news:?} does not wait"),
    }
}
