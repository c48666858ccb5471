//! Streams through plain calls: reads and writes that do not wait, and epoll to know when.
//!
//! A descriptor is watched for what is asked of it and nothing else: epoll tells errors and
//! hang-ups whether or not they are asked for, and they would end every wait of a stream that
//! nobody reads.

use std::{collections::VecDeque, io, net::TcpListener, os::fd::OwnedFd, rc::Rc};

use socket2::{SockAddr, SockRef};

use super::poll::{Epoll, Readiness, Watched};
use crate::io::{
    engine::table::Key,
    memory::pool::{Incoming, Pool},
    stream::kernel::{Operation, StreamStep, Write},
    sys,
};

/// Buffers that one stream fills in one turn, so that a busy one does not keep the others waiting.
const READS_PER_TURN: usize = 4;

/// The streams and listeners that something is asked of, and the steps that calls have brought.
pub(super) struct StreamCalls {
    streams: Vec<Asked>,
    listeners: Vec<Listening>,
    steps: VecDeque<StreamStep>,
    /// Buffers ran out, and half of them are not back yet.
    is_starved: bool,
}

/// What is asked of the stream in a slot.
#[derive(Default)]
struct Asked {
    generation: u32,
    /// While anything is.
    socket: Option<Rc<OwnedFd>>,
    receives: bool,
    write: Option<Write>,
    connects: bool,
    /// What epoll watches it for.
    watched: Readiness,
}

/// The listener in a slot.
#[derive(Default)]
struct Listening {
    generation: u32,
    listener: Option<Rc<TcpListener>>,
    /// Connections that may be taken.
    accepts: usize,
}

impl Asked {
    fn wanted(&self) -> Readiness {
        Readiness { reads: self.receives, writes: self.connects || self.write.is_some() }
    }
}

impl StreamCalls {
    pub(super) fn new() -> Self {
        Self {
            streams: Vec::new(),
            listeners: Vec::new(),
            steps: VecDeque::new(),
            is_starved: false,
        }
    }

    pub(super) fn next_step(&mut self) -> Option<StreamStep> {
        self.steps.pop_front()
    }

    pub(super) fn may_receive(&mut self, pool: &Pool) -> bool {
        let free = pool.free(Incoming::Stream);
        self.is_starved &= free < Pool::stream_buffers() / 2;
        !self.is_starved && free > 0
    }

    pub(super) fn accept(&mut self, epoll: &Epoll, key: Key, listener: &Rc<TcpListener>) {
        let slot = key.slot as usize;
        if slot >= self.listeners.len() {
            self.listeners.resize_with(slot + 1, Listening::default);
        }
        let place = &mut self.listeners[slot];
        place.generation = key.generation;
        place.accepts += 1;
        if place.listener.is_some() {
            return;
        }
        let watched =
            epoll.set(listener, Watched::Listener(key), Readiness::NONE, Readiness::READS);
        match watched {
            Ok(()) => place.listener = Some(Rc::clone(listener)),
            Err(error) => {
                place.accepts = 0;
                self.steps.push_back(StreamStep::Accepted { key, accepted: Err(errno(&error)) });
            }
        }
    }

    pub(super) fn stop_accepts(&mut self, epoll: &Epoll, key: Key) {
        let Some(place) = self.listeners.get_mut(key.slot as usize) else { return };
        let accepts = std::mem::take(&mut place.accepts);
        place.ignore(epoll, key);
        let stopped = |_| StreamStep::Accepted { key, accepted: Err(libc::ECANCELED) };
        self.steps.extend((0..accepts).map(stopped));
    }

    /// Takes the connections of a listener that it may.
    pub(super) fn listener_is_ready(&mut self, epoll: &Epoll, key: Key) {
        let Some(place) = self.listeners.get_mut(key.slot as usize) else { return };
        if place.generation != key.generation {
            return;
        }
        let Some(listener) = place.listener.clone() else { return };
        while place.accepts > 0 {
            let accepted = match listener.accept() {
                Ok((socket, peer)) => Ok((socket.into(), peer)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => Err(errno(&error)),
            };
            place.accepts -= 1;
            self.steps.push_back(StreamStep::Accepted { key, accepted });
        }
        if place.accepts == 0 {
            place.ignore(epoll, key);
        }
    }

    pub(super) fn connect(
        &mut self,
        epoll: &Epoll,
        key: Key,
        socket: &Rc<OwnedFd>,
        address: &SockAddr,
    ) {
        let connecting = SockRef::from(&**socket);
        let result = connecting.set_nonblocking(true).and_then(|()| connecting.connect(address));
        match result {
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {
                self.asked(key, socket).connects = true;
                self.watch(epoll, key);
            }
            result => {
                let result = result.map_or_else(|error| -errno(&error), |()| 0);
                self.steps.push_back(StreamStep::Connected { key, result });
            }
        }
    }

    pub(super) fn receive(&mut self, epoll: &Epoll, key: Key, socket: &Rc<OwnedFd>) {
        self.asked(key, socket).receives = true;
        self.watch(epoll, key);
    }

    pub(super) fn write(&mut self, epoll: &Epoll, key: Key, socket: &Rc<OwnedFd>, write: Write) {
        match sys::write_stream(&**socket, write.left()) {
            Err(libc::EAGAIN) => {
                self.asked(key, socket).write = Some(write);
                self.watch(epoll, key);
            }
            sent => {
                let result = sent.map_or_else(|errno| -errno, |bytes| bytes as i32);
                self.steps.push_back(StreamStep::Wrote { key, result, write });
            }
        }
    }

    pub(super) fn stop(&mut self, epoll: &Epoll, key: Key, operation: Operation) {
        let result = -libc::ECANCELED;
        let Some(asked) = self.known(key) else { return };
        let step = match operation {
            Operation::Connect => {
                std::mem::take(&mut asked.connects).then_some(StreamStep::Connected { key, result })
            }
            Operation::Receive => {
                std::mem::take(&mut asked.receives).then(|| received(key, result))
            }
            Operation::Write => {
                asked.write.take().map(|write| StreamStep::Wrote { key, result, write })
            }
        };
        self.steps.extend(step);
        self.watch(epoll, key);
    }

    /// Does what a stream is ready for. Whether there may be more to read.
    pub(super) fn stream_is_ready(
        &mut self,
        (epoll, pool): (&Epoll, &Rc<Pool>),
        key: Key,
        ready: Readiness,
    ) -> bool {
        let has_more = ready.reads && self.read(pool, key);
        if ready.writes {
            self.go_on(key);
        }
        self.watch(epoll, key);
        has_more
    }

    fn read(&mut self, pool: &Rc<Pool>, key: Key) -> bool {
        let Some(asked) = self.known(key) else { return false };
        let Some(socket) = asked.socket.clone().filter(|_| asked.receives) else { return false };
        for _ in 0..READS_PER_TURN {
            let read = pool.fill_stream(|room| sys::read_stream(&*socket, room));
            let result = match read {
                Some(Ok(lease)) if !lease.range().is_empty() => {
                    let bytes = lease.range().len();
                    let (result, lease) = (bytes as i32, Some(lease));
                    self.steps.push_back(StreamStep::Received { key, result, lease, more: true });
                    if bytes < Incoming::Stream.bytes() {
                        return false;
                    }
                    continue;
                }
                Some(Ok(_)) => 0,
                Some(Err(libc::EAGAIN)) => return false,
                Some(Err(errno)) => -errno,
                None => -libc::ENOBUFS,
            };
            self.is_starved |= result == -libc::ENOBUFS;
            self.steps.push_back(received(key, result));
            if let Some(asked) = self.known(key) {
                asked.receives = false;
            }
            return false;
        }
        true
    }

    /// Goes on with a connect or a write.
    fn go_on(&mut self, key: Key) {
        let Some(asked) = self.known(key) else { return };
        let Some(socket) = asked.socket.clone() else { return };
        if std::mem::take(&mut asked.connects) {
            let result = match SockRef::from(&*socket).take_error() {
                Ok(None) => 0,
                Ok(Some(error)) | Err(error) => -errno(&error),
            };
            return self.steps.push_back(StreamStep::Connected { key, result });
        }
        let Some(write) = asked.write.take() else { return };
        match sys::write_stream(&*socket, write.left()) {
            Err(libc::EAGAIN) => asked.write = Some(write),
            sent => {
                let result = sent.map_or_else(|errno| -errno, |bytes| bytes as i32);
                self.steps.push_back(StreamStep::Wrote { key, result, write });
            }
        }
    }

    /// The place of a stream that something is asked of now.
    fn asked(&mut self, key: Key, socket: &Rc<OwnedFd>) -> &mut Asked {
        let slot = key.slot as usize;
        if slot >= self.streams.len() {
            self.streams.resize_with(slot + 1, Asked::default);
        }
        let asked = &mut self.streams[slot];
        asked.generation = key.generation;
        asked.socket.get_or_insert_with(|| Rc::clone(socket));
        asked
    }

    fn known(&mut self, key: Key) -> Option<&mut Asked> {
        let asked = self.streams.get_mut(key.slot as usize)?;
        (asked.generation == key.generation && asked.socket.is_some()).then_some(asked)
    }

    /// Has epoll watch a stream for what is asked of it. Where it cannot, the operations fail.
    fn watch(&mut self, epoll: &Epoll, key: Key) {
        let Some(asked) = self.known(key) else { return };
        let (wanted, socket) = (asked.wanted(), asked.socket.as_ref().expect("known"));
        let set = epoll.set(socket, Watched::Stream(key), asked.watched, wanted);
        asked.watched = wanted;
        let mut failed = [None, None, None];
        if let Err(error) = set {
            let result = -errno(&error);
            let (connects, receives) = (asked.connects, asked.receives);
            failed = [
                connects.then_some(StreamStep::Connected { key, result }),
                receives.then(|| received(key, result)),
                asked.write.take().map(|write| StreamStep::Wrote { key, result, write }),
            ];
            (asked.connects, asked.receives, asked.watched) = (false, false, Readiness::NONE);
        }
        if asked.watched == Readiness::NONE {
            asked.socket = None;
        }
        self.steps.extend(failed.into_iter().flatten());
    }
}

impl Listening {
    fn ignore(&mut self, epoll: &Epoll, key: Key) {
        let Some(listener) = self.listener.take() else { return };
        let ignored =
            epoll.set(&listener, Watched::Listener(key), Readiness::READS, Readiness::NONE);
        debug_assert!(ignored.is_ok(), "what is watched can be ignored: {ignored:?}");
    }
}

/// The end of a receive.
fn received(key: Key, result: i32) -> StreamStep {
    StreamStep::Received { key, result, lease: None, more: false }
}

fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}
