//! All streams and acceptors of a driver.
//!
//! What is asked of a stream is written down in it. The next turn compares that with what the
//! kernel has of it, and begins and ends operations until both agree:
//!
//! ```text
//! asked                    the kernel has         the turn
//! reads, is not paused     no receive             begins one, if there are buffers
//! paused, hung up …        a receive              ends it
//! a write                  none                   hands it over
//! finish                   no write               sends the FIN
//! hung up or detached      nothing                tells its end
//! ```

use std::{
    collections::VecDeque,
    io,
    net::{Shutdown, TcpListener},
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use socket2::{Domain, SockAddr, SockRef, Socket};

use super::{
    acceptor::{Acceptor, AcceptorPhase, Claim},
    entry::{Finish, Progress, Stream, StreamPhase},
    event::{AcceptorId, HangUpHow, Remote, StreamId},
    kernel::{Operation, Shots, StreamKernel, Write},
    news::News,
    numbered::Numbered,
};
use crate::io::{engine::table::Key, event::Receive, socket::open};

/// Listeners of a driver.
const ACCEPTORS_MAX: usize = 4096;
/// How long no connection is taken when the process can have no more descriptors.
pub(super) const REST: Duration = Duration::from_millis(100);

/// The streams of one driver.
#[derive(Debug)]
pub(in crate::io) struct StreamSet {
    pub(super) acceptors: Numbered<Acceptor>,
    pub(super) streams: Numbered<Stream>,
    /// Some acceptor may have accepts to begin or to end. Whatever changes that says so: there may
    /// be thousands, and a turn that brings datagrams alone is not to look at each.
    pub(super) acceptors_due: bool,
    /// Places that accepts under way have.
    pub(super) claimed: usize,
    /// Until when no connection is taken.
    pub(super) rest_until: Option<Instant>,
    /// Streams whose next step is due.
    work: Vec<Key>,
    /// Streams that receive once there are buffers.
    starved: Vec<Key>,
    pub(super) news: VecDeque<News>,
    /// What waits for the next turn.
    pub(super) later: VecDeque<News>,
    pub(super) turn: u64,
}

impl StreamSet {
    pub(in crate::io) fn new(capacity: usize) -> Self {
        Self {
            acceptors: Numbered::new(ACCEPTORS_MAX),
            streams: Numbered::new(capacity),
            acceptors_due: false,
            claimed: 0,
            rest_until: None,
            work: Vec::new(),
            starved: Vec::new(),
            news: VecDeque::new(),
            later: VecDeque::new(),
            turn: 0,
        }
    }

    /// Whether the next turn has something to do that a sleep would delay.
    pub(in crate::io) fn has_work(&self) -> bool {
        !self.work.is_empty() || !self.news.is_empty() || !self.later.is_empty()
    }

    /// Whether some stream is only waiting for buffers.
    pub(in crate::io) fn is_starved(&self) -> bool {
        !self.starved.is_empty() && self.streams.len() > 0
    }

    /// How long a turn may sleep at most, if there is a limit.
    pub(in crate::io) fn longest_sleep(&self) -> Option<Duration> {
        self.rest_until.map(|until| until.saturating_duration_since(Instant::now()))
    }

    /// Begins and ends whatever is asked for.
    pub(in crate::io) fn prepare(&mut self, kernel: &mut impl StreamKernel) -> io::Result<()> {
        if self.streams.len() + self.acceptors.len() == 0 {
            return Ok(());
        }
        self.turn += 1;
        self.recall();
        self.bring_acceptors_on(kernel)?;
        if self.is_starved() && kernel.may_receive_streams() {
            let starved = std::mem::take(&mut self.starved);
            for key in starved {
                if let Some(stream) = self.streams.at(key) {
                    stream.is_starved = false;
                }
                self.list(key);
            }
        }
        if self.work.is_empty() {
            return Ok(());
        }
        let mut work = std::mem::take(&mut self.work);
        for key in work.drain(..) {
            self.bring_on(key, kernel)?;
        }
        self.work = work;
        Ok(())
    }

    fn bring_acceptors_on(&mut self, kernel: &mut impl StreamKernel) -> io::Result<()> {
        if self.rest_until.is_some_and(|until| until <= Instant::now()) {
            self.rest_until = None;
            self.acceptors_due = true;
        }
        if !std::mem::take(&mut self.acceptors_due) {
            return Ok(());
        }
        for slot in 0..self.acceptors.ever() {
            let Some(key) = self.acceptors.key(slot) else { continue };
            self.bring_acceptor_on(key, kernel)?;
        }
        Ok(())
    }

    fn bring_acceptor_on(&mut self, key: Key, kernel: &mut impl StreamKernel) -> io::Result<()> {
        let Some(acceptor) = self.acceptors.at(key) else { return Ok(()) };
        if acceptor.phase == AcceptorPhase::Open {
            let free = self.streams.capacity().saturating_sub(self.streams.len() + self.claimed);
            let more = free.min(acceptor.accepts_due());
            for _ in 0..if self.rest_until.is_none() { more } else { 0 } {
                kernel.accept(key, &acceptor.listener)?;
                acceptor.under_way += 1;
            }
            let claimed = free.min(acceptor.places_due());
            acceptor.claimed += claimed;
            self.claimed += claimed;
        } else if acceptor.under_way > 0 && !acceptor.is_stopping {
            acceptor.is_stopping = true;
            kernel.stop_accepts(key)?;
        }
        self.release_acceptor(key);
        Ok(())
    }

    /// Forgets a stopped acceptor that has nothing under way.
    pub(super) fn release_acceptor(&mut self, key: Key) {
        let is_over = |it: &mut Acceptor| it.phase == AcceptorPhase::Stopped && it.under_way == 0;
        if self.acceptors.at(key).is_some_and(is_over) {
            self.acceptors.remove(key);
        }
    }

    fn bring_on(&mut self, key: Key, kernel: &mut impl StreamKernel) -> io::Result<()> {
        let Some(stream) = self.streams.at(key) else { return Ok(()) };
        stream.is_listed = false;
        for operation in [Operation::Connect, Operation::Receive, Operation::Write] {
            if stream.must_stop(operation) {
                *stream.progress(operation) = Progress::Stopping;
                kernel.stop(key, operation)?;
            }
        }
        if let Some(address) = stream.address.take() {
            *stream.progress(Operation::Connect) = Progress::UnderWay;
            kernel.connect_stream(key, &stream.socket, address)?;
        }
        if let Some(write) = stream.next_write() {
            *stream.progress(Operation::Write) = Progress::UnderWay;
            kernel.write_stream(key, &stream.socket, write)?;
        }
        if stream.is_deaf() {
            if kernel.may_receive_streams() {
                *stream.progress(Operation::Receive) = Progress::UnderWay;
                kernel.receive_stream(key, &stream.socket, stream.shots)?;
            } else if !stream.is_starved {
                stream.is_starved = true;
                self.starved.push(key);
            }
        }
        self.settle(key);
        Ok(())
    }

    /// Has the next turn look after a stream.
    pub(super) fn list(&mut self, key: Key) {
        let Some(stream) = self.streams.at(key) else { return };
        if !stream.is_listed && !stream.has_ended {
            stream.is_listed = true;
            self.work.push(key);
        }
    }

    /// Does what is due of a stream and takes no operation.
    pub(super) fn settle(&mut self, key: Key) {
        let Some(stream) = self.streams.at(key) else { return };
        stream.send_fin();
        if stream.ends() {
            self.news.push_back(News::Ended(key));
        }
    }

    pub(in crate::io) fn accept(
        &mut self,
        listener: TcpListener,
        claim: Claim,
    ) -> io::Result<AcceptorId> {
        let key = self.acceptors.insert(Acceptor::new(listener, claim)?).ok_or_else(full)?;
        self.acceptors_due = true;
        Ok(AcceptorId(key.slot))
    }

    pub(in crate::io) fn stop_accepting(&mut self, acceptor: AcceptorId) {
        let Some(key) = self.acceptors.key(acceptor.0) else { return };
        let Some(acceptor) = self.acceptors.at(key) else { return };
        acceptor.phase = AcceptorPhase::Stopped;
        self.acceptors_due = true;
        // Accepts that are under way hold the listener; its address is free from now on.
        let _ = SockRef::from(&*acceptor.listener).shutdown(Shutdown::Read);
        self.release_acceptor(key);
    }

    pub(in crate::io) fn adopt(
        &mut self,
        socket: OwnedFd,
        reading: Receive,
    ) -> io::Result<StreamId> {
        let is_unix = SockRef::from(&socket).local_addr()?.domain() == Domain::UNIX;
        let mut stream = Stream::new(socket, StreamPhase::Open, reading);
        stream.shots = if is_unix { Shots::One } else { Shots::Many };
        self.add(stream)
    }

    pub(in crate::io) fn connect(&mut self, remote: Remote<'_>) -> io::Result<StreamId> {
        let (socket, address, shots): (Socket, SockAddr, _) = match remote {
            Remote::Tcp { from, to } => (open::connecting(from, to)?, to.into(), Shots::Many),
            Remote::Unix(path) => (open::connecting_unix()?, SockAddr::unix(path)?, Shots::One),
        };
        let mut stream = Stream::new(socket.into(), StreamPhase::Connecting, Receive::Now);
        (stream.address, stream.shots) = (Some(address), shots);
        self.add(stream)
    }

    fn add(&mut self, stream: Stream) -> io::Result<StreamId> {
        let key = self.streams.insert(stream).ok_or_else(full)?;
        self.list(key);
        Ok(StreamId(key.slot))
    }

    pub(in crate::io) fn write(&mut self, stream: StreamId, buffer: BytesMut) {
        let Some((key, stream)) = self.open_stream(stream) else { return };
        assert!(!stream.is_writing(), "a stream has one write under way");
        assert!(stream.finish == Finish::No, "nothing is written behind a FIN");
        stream.write = Some(Write { buffer, sent: 0 });
        self.list(key);
    }

    pub(in crate::io) fn finish(&mut self, stream: StreamId) {
        let Some((key, stream)) = self.open_stream(stream) else { return };
        if stream.finish == Finish::No {
            stream.finish = Finish::Asked;
            self.list(key);
        }
    }

    pub(in crate::io) fn set_paused(&mut self, stream: StreamId, is_paused: bool) {
        let Some((key, stream)) = self.open_stream(stream) else { return };
        stream.is_paused = is_paused;
        self.list(key);
    }

    pub(in crate::io) fn hang_up(&mut self, stream: StreamId, how: HangUpHow) {
        let Some(key) = self.streams.key(stream.0) else { return };
        let Some(stream) = self.streams.at(key) else { return };
        stream.hang_up(how);
        self.list(key);
    }

    pub(in crate::io) fn detach(&mut self, stream: StreamId) {
        let Some((key, stream)) = self.open_stream(stream) else { return };
        stream.phase = StreamPhase::Detaching;
        self.list(key);
    }

    fn open_stream(&mut self, stream: StreamId) -> Option<(Key, &mut Stream)> {
        let key = self.streams.key(stream.0)?;
        let stream = self.streams.at(key).filter(|stream| stream.phase == StreamPhase::Open)?;
        Some((key, stream))
    }
}

fn full() -> io::Error {
    io::Error::from_raw_os_error(libc::EMFILE)
}
