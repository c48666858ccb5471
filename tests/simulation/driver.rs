//! A driver without a kernel: what is sent is written down, what arrives is what the story says.

use std::{
    fs::File,
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    rc::Rc,
};

use bytes::BytesMut;
use uturn::{
    io::{
        AcceptorId, Counters, Driver, Event, HangUpHow, HoldTimes, Lease, Piece, Pool, Receive,
        Received, Remote, SocketId, StreamEvent, StreamId, Streams, Wait, Waker,
    },
    worker::{DatagramSockets, Listen, ListenKind, ListenerSockets, OpenListeners, SpawnError},
};

use super::{
    machine::{Adrift, Deed, Kind, News, Sent, Shared, Side, Socket, State},
    wires::{self, Down, Stream, StreamNews, Surfaced},
};

/// Receive buffers of a driver.
const BUFFERS: u32 = 256;

/// The driver of one worker.
pub(crate) struct SimDriver {
    worker: usize,
    machine: Shared,
    pool: Rc<Pool>,
    is_woken: bool,
    counters: Counters,
    hold_times: HoldTimes,
}

impl SimDriver {
    pub(crate) fn new(worker: usize, machine: Shared) -> io::Result<SimDriver> {
        Ok(SimDriver {
            worker,
            machine,
            pool: Pool::new(BUFFERS)?,
            is_woken: false,
            counters: Counters::default(),
            hold_times: HoldTimes::default(),
        })
    }

    fn with<T>(&self, change: impl FnOnce(&mut Side) -> T) -> T {
        change(&mut self.machine.lock().sides[self.worker])
    }

    fn record(&self, deed: Deed) {
        self.machine.record(self.worker, deed);
    }

    fn received(&self, socket: SocketId, from: SocketAddr, bytes: &[u8], first: usize) -> Event {
        let lease = self.pool.received(bytes).expect("a worker keeps no buffer");
        Event::Received(Received { socket, from, segment_bytes: first.min(bytes.len()), lease })
    }

    /// A socket as it is.
    fn known(&self, socket: SocketId) -> Socket {
        let known = self.with(|side| side.socket(socket).copied());
        known.expect("only what the driver has is used")
    }

    /// Lets go of a socket; the worker hears of it later.
    fn leave(&mut self, socket: SocketId, state: State, news: News) -> Socket {
        let known = self.known(socket);
        assert!(!matches!(known.state, State::Closing | State::Leaving), "{known:?} twice");
        let mut machine = self.machine.lock();
        let at_ms = machine.now_ms + machine.sides[self.worker].rng.below(300);
        machine.tell(self.worker, at_ms, socket, news);
        if let Some(socket) = machine.sides[self.worker].socket_mut(socket) {
            socket.state = state;
        }
        known
    }
}

impl Streams for SimDriver {
    fn accept(&mut self, listener: TcpListener) -> io::Result<AcceptorId> {
        let mut machine = self.machine.lock();
        let place = machine.loose.remove(&listener.as_raw_fd());
        let (local, _) = place.expect("a socket of this machine");
        Ok(machine.sides[self.worker].wires.listen(local))
    }

    fn accept_leftovers(&mut self, listener: TcpListener) -> io::Result<AcceptorId> {
        self.refuse_some()?;
        self.with(|side| side.wires.listen_for_peers(listener))
    }

    fn stop_accepting(&mut self, acceptor: AcceptorId) {
        self.with(|side| side.wires.stop_accepting(acceptor));
    }

    fn adopt(&mut self, socket: OwnedFd, reading: Receive) -> io::Result<StreamId> {
        let adrift = self.machine.lock().adrift.remove(&socket.as_raw_fd());
        let Adrift { stream, .. } = adrift.expect("a connection of this machine");
        let (client, is_paused) = (stream.client, reading == Receive::Paused);
        let refused = self.refuse_some();
        let now_ms = self.machine.lock().now_ms;
        self.with(|side| {
            let adopted = refused.ok().and_then(|()| side.wires.adopt(stream, is_paused));
            let Some((id, has_more)) = adopted else {
                side.wires.down.push((client, Down::Over));
                return Err(io::Error::from_raw_os_error(libc::EMFILE));
            };
            if has_more {
                side.tell_stream(now_ms, client, StreamNews::ReadOn);
            }
            Ok(id)
        })
    }

    fn connect(&mut self, remote: Remote<'_>) -> io::Result<StreamId> {
        self.refuse_some()?;
        let Remote::Tcp { to, .. } = remote else { panic!("{remote:?} has no address") };
        let full = || io::Error::from_raw_os_error(libc::EMFILE);
        self.with(|side| side.wires.connect(to)).ok_or_else(full)
    }

    fn write(&mut self, stream: StreamId, buffer: BytesMut) {
        let mut machine = self.machine.lock();
        let now_ms = machine.now_ms;
        let side = &mut machine.sides[self.worker];
        let bytes = buffer.to_vec();
        let Some(client) = side.wires.write(stream, buffer) else { return };
        side.deeds.push_back(Deed::Wrote(client, bytes));
        let at_ms = now_ms + side.rng.below(3);
        side.tell_stream(at_ms, client, StreamNews::Room(0));
    }

    fn finish(&mut self, stream: StreamId) {
        self.with(|side| side.wires.finish(stream));
    }

    fn pause(&mut self, stream: StreamId) {
        self.with(|side| side.wires.pause(stream));
    }

    fn unpause(&mut self, stream: StreamId) {
        let now_ms = self.machine.lock().now_ms;
        self.with(|side| {
            if let Some(client) = side.wires.unpause(stream) {
                side.tell_stream(now_ms, client, StreamNews::ReadOn);
            }
        });
    }

    fn hang_up(&mut self, stream: StreamId, how: HangUpHow) {
        let mut machine = self.machine.lock();
        let now_ms = machine.now_ms;
        let side = &mut machine.sides[self.worker];
        let client = side.hang_up(now_ms, stream, how);
        side.deeds.push_back(Deed::HungUp(client, how));
    }

    fn detach(&mut self, stream: StreamId) {
        let mut machine = self.machine.lock();
        let now_ms = machine.now_ms;
        let side = &mut machine.sides[self.worker];
        let client = side.wires.detach(stream);
        let at_ms = now_ms + side.rng.below(50);
        side.tell_stream(at_ms, client, StreamNews::Leave);
    }
}

impl Driver for SimDriver {
    fn open(&mut self, socket: UdpSocket) -> io::Result<SocketId> {
        let mut machine = self.machine.lock();
        let (local, kind) =
            machine.loose.remove(&socket.as_raw_fd()).expect("a socket of this machine");
        let refused = machine.faults.refused * 5;
        let is_refused = kind == Kind::Relay && machine.sides[self.worker].rng.percent(refused);
        let errno = is_refused.then_some(libc::EMFILE);
        machine.sides[self.worker].deeds.push_back(Deed::Adopted(local, errno));
        match errno {
            Some(errno) => Err(io::Error::from_raw_os_error(errno)),
            None => Ok(machine.add(self.worker, (local, kind), (State::Open, State::Open))),
        }
    }

    fn bind(&mut self, address: SocketAddr, receive: Receive) -> io::Result<SocketId> {
        match receive {
            Receive::Now => self.bind_for(address, State::Open),
            Receive::Paused => self.bind_for(address, State::Paused),
        }
    }

    fn resume(&mut self, socket: SocketId) {
        let known = self.known(socket);
        assert_eq!(known.state, State::Paused, "{known:?}");
        self.with(|side| side.socket_mut(socket).expect("known").state = State::Open);
        self.record(Deed::Resumed(known));
    }

    fn take(&mut self, socket: SocketId) {
        let no_descriptor = {
            let mut machine = self.machine.lock();
            let refused = machine.faults.refused;
            machine.sides[self.worker].rng.percent(refused)
        };
        let news = if no_descriptor { News::Closed } else { News::Taken };
        let known = self.leave(socket, State::Leaving, news);
        self.record(Deed::TookOut(known));
    }

    fn close(&mut self, socket: SocketId) {
        let known = self.leave(socket, State::Closing, News::Closed);
        self.record(Deed::Closed(known));
    }

    fn send(&mut self, socket: SocketId, to: SocketAddr, piece: Piece<'_>) {
        let known = self.known(socket);
        for segment in 0..piece.segments {
            let begin = piece.body.start + segment * piece.stride;
            let body = &piece.lease.buffer()[begin..begin + piece.body.len()];
            let pad = [0; 3];
            let bytes = [piece.header, body, &pad[..piece.pad.into()]].concat();
            let (from, kind, dont_fragment) = (known.local, known.kind, piece.dont_fragment);
            let mut machine = self.machine.lock();
            let unsent = machine.faults.unsent;
            let side = &mut machine.sides[self.worker];
            let leaves = !side.rng.percent(unsent);
            side.deeds.push_back(Deed::Sent(Sent { from, kind, to, bytes, dont_fragment, leaves }));
        }
    }

    fn turn(&mut self, _: Wait) -> io::Result<()> {
        let mut machine = self.machine.lock();
        let now_ms = machine.now_ms;
        machine.sides[self.worker].collect(now_ms);
        self.is_woken |= machine.sides[self.worker].take_woken();
        Ok(())
    }

    fn next(&mut self) -> Option<Event> {
        if std::mem::take(&mut self.is_woken) {
            self.record(Deed::Woken);
            return Some(Event::Woken);
        }
        let (id, before, news) = loop {
            match self.with(Side::next)? {
                (_, _, News::Stream(client, news)) => {
                    if let Some(event) = self.next_of_stream(client, news) {
                        return Some(Event::Stream(event));
                    }
                }
                other => break other,
            }
        };
        self.record(Deed::Took(before, news.clone()));
        Some(match news {
            News::Received(from, arrival) => {
                let (bytes, first) = arrival.bytes();
                self.received(id, from, &bytes, first)
            }
            News::Opened => Event::Opened(id),
            News::Refused(errno) => Event::Refused(id, errno),
            News::Closed => Event::Closed(id),
            News::Broken(errno) => Event::Broken(id, errno),
            News::Taken => {
                let local = before.expect("a socket that leaves").local;
                let descriptor = stand_in();
                let place = (local, Kind::Relay);
                self.machine.lock().loose.insert(descriptor.as_raw_fd(), place);
                Event::Taken(id, descriptor)
            }
            News::SegmentationOff => Event::SegmentationOff,
            News::SegmentationOn => Event::SegmentationOn,
            News::AcceptorBroken(listener) => {
                let acceptor = self.with(|side| side.break_acceptor(listener));
                let acceptor = acceptor.expect("it breaks once");
                Event::Stream(StreamEvent::AcceptorBroken(acceptor, libc::ENETDOWN))
            }
            News::Stream(..) => unreachable!("taken above"),
        })
    }

    fn blank(&mut self, bytes: usize) -> Option<Lease> {
        let mut machine = self.machine.lock();
        let no_buffer = machine.faults.no_buffer;
        let is_denied = machine.sides[self.worker].rng.percent(no_buffer);
        machine.sides[self.worker].deeds.push_back(Deed::Blank(!is_denied));
        drop(machine);
        if is_denied { None } else { self.pool.blank(bytes) }
    }

    fn waker(&self) -> Waker {
        self.with(|side| side.waker.clone())
    }

    fn counters(&self) -> &Counters {
        &self.counters
    }

    fn hold_times(&self) -> &HoldTimes {
        &self.hold_times
    }

    fn kernel_drops(&self, socket: SocketId) -> Option<u64> {
        Some(self.known(socket).drops)
    }
}

impl SimDriver {
    fn next_of_stream(&mut self, client: SocketAddr, news: StreamNews) -> Option<StreamEvent> {
        let now_ms = self.machine.lock().now_ms;
        let surfaced = self.with(|side| side.surface(now_ms, client, news))?;
        self.record(Deed::Took(None, wires::told(client, &surfaced)));
        Some(match surfaced {
            Surfaced::Accepted(acceptor, stream, local) => {
                StreamEvent::Accepted { acceptor, stream, peer: client, local }
            }
            Surfaced::Bytes(stream, bytes) => {
                let lease = self.pool.arrived(&bytes).expect("a worker keeps no buffer");
                StreamEvent::Bytes(stream, lease)
            }
            Surfaced::Written(stream, buffer) => StreamEvent::Written(stream, buffer),
            Surfaced::Finished(stream) => StreamEvent::Finished(stream),
            Surfaced::Closed(stream, errno) => StreamEvent::Closed(stream, errno),
            Surfaced::Connected(stream) => StreamEvent::Connected(stream),
            Surfaced::Detached(id, stream) => self.detached(id, stream),
        })
    }

    /// A connection leaves with some of what has arrived in hand, and the rest in its socket.
    fn detached(&mut self, id: StreamId, mut stream: Stream) -> StreamEvent {
        let mut unread = BytesMut::new();
        while self.with(|side| side.rng.percent(50))
            && let Some(StreamNews::Bytes(bytes)) = stream.held.front()
        {
            unread.extend_from_slice(bytes);
            stream.held.pop_front();
        }
        let (end, socket) = UnixStream::pair().expect("two descriptors");
        end.set_nonblocking(true).expect("a socket");
        let socket = OwnedFd::from(socket);
        let adrift = Adrift { stream, end };
        self.machine.lock().adrift.insert(socket.as_raw_fd(), adrift);
        StreamEvent::Detached { stream: id, socket, unread }
    }

    /// Some of what a worker wants it cannot have.
    fn refuse_some(&self) -> io::Result<()> {
        let refused = self.machine.lock().faults.refused;
        match self.with(|side| side.rng.percent(refused)) {
            true => Err(io::Error::from_raw_os_error(libc::EMFILE)),
            false => Ok(()),
        }
    }

    fn bind_for(&mut self, local: SocketAddr, then: State) -> io::Result<SocketId> {
        let mut machine = self.machine.lock();
        let (now_ms, refused) = (machine.now_ms, machine.faults.refused);
        let is_foreign = machine.foreign_ports.contains(&local.port());
        assert!(is_foreign || !machine.is_taken(local), "{local} is drawn twice");
        let rng = &mut machine.sides[self.worker].rng;
        let errno = match (is_foreign, rng.percent(refused)) {
            (true, _) => Some(libc::EADDRINUSE),
            (false, true) => Some(*rng.pick(&[libc::ENOBUFS, libc::EMFILE, libc::ENOMEM])),
            (false, false) => None,
        };
        let is_at_once = rng.percent(20);
        let at_ms = now_ms + rng.below(20);
        let failed = errno.filter(|_| is_at_once);
        machine.sides[self.worker].deeds.push_back(Deed::Bound(local, failed));
        if let Some(errno) = failed {
            return Err(io::Error::from_raw_os_error(errno));
        }
        let id = machine.add(self.worker, (local, Kind::Relay), (State::Opening, then));
        let news = errno.map_or(News::Opened, News::Refused);
        machine.tell(self.worker, at_ms, id, news);
        Ok(id)
    }
}

/// Listening sockets of the machine: descriptors that only stand for them.
#[derive(Debug)]
pub(crate) struct SimListeners {
    pub(crate) machine: Shared,
}

impl OpenListeners for SimListeners {
    fn open(&self, listen: Listen) -> Result<Vec<ListenerSockets>, SpawnError> {
        let mut machine = self.machine.lock();
        let workers = machine.sides.len();
        if listen.kind != ListenKind::Datagrams {
            let open = |_| {
                let listener = TcpListener::from(stand_in());
                machine.loose.insert(listener.as_raw_fd(), (listen.address, Kind::Streams));
                ListenerSockets::Streams(listener)
            };
            return Ok((0..workers).map(open).collect());
        }
        let mut open = |kind| {
            let socket = UdpSocket::from(stand_in());
            machine.loose.insert(socket.as_raw_fd(), (listen.address, kind));
            socket
        };
        let sockets =
            |_| DatagramSockets { payload: open(Kind::Payload), requests: open(Kind::Requests) };
        Ok((0..workers).map(sockets).map(ListenerSockets::Datagrams).collect())
    }
}

/// A descriptor that nothing comes out of.
pub(crate) fn stand_in() -> OwnedFd {
    File::open("/dev/null").expect("there is one").into()
}
