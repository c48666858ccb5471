//! What becomes of the kernel's steps.

use std::{net::SocketAddr, os::fd::OwnedFd, time::Instant};

use super::{
    acceptor::AcceptorPhase,
    entry::{Progress, Stream, StreamPhase},
    kernel::{Operation, StreamStep, Write},
    news::News,
    stream_set::{REST, StreamSet},
};
use crate::io::{
    engine::{
        errno::{self, AcceptFate, ReadFate, WriteFate},
        figures::counters::Counters,
        table::Key,
    },
    event::Receive,
    memory::pool::Lease,
};

impl StreamSet {
    pub(in crate::io) fn step(&mut self, step: StreamStep, counters: &mut Counters) {
        match step {
            StreamStep::Accepted { key, accepted } => self.accepted(key, accepted, counters),
            StreamStep::Connected { key, result } => self.connected(key, result),
            StreamStep::Received { key, result, lease, more } => {
                self.received(key, result, lease, counters);
                if !more {
                    self.operation_ended(key, Operation::Receive);
                    counters.stream_rearmed += u64::from(self.is_deaf(key));
                }
            }
            StreamStep::Wrote { key, result, write } => self.wrote(key, result, write, counters),
            StreamStep::NotStopped { key, operation } => self.not_stopped(key, operation),
            StreamStep::AcceptsNotStopped { key } => {
                if let Some(acceptor) = self.acceptors.at(key) {
                    acceptor.is_stopping = false;
                    self.acceptors_due = true;
                }
            }
        }
    }

    fn accepted(
        &mut self,
        key: Key,
        accepted: Result<(OwnedFd, SocketAddr), i32>,
        counters: &mut Counters,
    ) {
        let Some(acceptor) = self.acceptors.at(key) else { return };
        acceptor.under_way -= 1;
        acceptor.taken += usize::from(accepted.is_ok());
        self.acceptors_due = true;
        let places = if acceptor.claimed > 0 {
            acceptor.claimed -= 1;
            self.claimed -= 1;
            self.streams.capacity()
        } else {
            self.streams.capacity().saturating_sub(self.claimed)
        };
        let has_place = self.streams.len() < places;
        match accepted {
            Ok((socket, peer)) if acceptor.phase == AcceptorPhase::Open => {
                let Some(local) = acceptor.local_of(&socket) else { return };
                let mut stream = Stream::new(socket, StreamPhase::Open, Receive::Now);
                stream.is_announced = false;
                // What was adopted or connected since the accept began may have taken its place.
                let stream = has_place.then(|| self.streams.insert(stream));
                let Some(stream) = stream.flatten() else {
                    counters.accepts_refused += 1;
                    return;
                };
                counters.accepted += 1;
                self.news.push_back(News::Accepted { acceptor: key, stream, peer, local });
                self.list(stream);
            }
            Ok(_) => {}
            Err(errno) => self.not_accepted(key, errno, counters),
        }
        self.release_acceptor(key);
    }

    fn not_accepted(&mut self, key: Key, errno: i32, counters: &mut Counters) {
        match errno::of_accept(errno) {
            AcceptFate::Again | AcceptFate::Stopped => {}
            AcceptFate::Rest => {
                counters.accepts_refused += 1;
                self.rest_until = Some(Instant::now() + REST);
            }
            AcceptFate::Broken => {
                let Some(acceptor) = self.acceptors.at(key) else { return };
                if acceptor.phase == AcceptorPhase::Open {
                    acceptor.phase = AcceptorPhase::Broken;
                    self.news.push_back(News::AcceptorBroken(key, errno));
                }
            }
        }
    }

    fn connected(&mut self, key: Key, result: i32) {
        let Some(stream) = self.streams.at(key) else { return };
        if result < 0 {
            stream.fail(-result);
        } else if stream.phase == StreamPhase::Connecting {
            stream.phase = StreamPhase::Open;
            self.news.push_back(News::Connected(key));
        }
        self.operation_ended(key, Operation::Connect);
    }

    fn received(&mut self, key: Key, result: i32, lease: Option<Lease>, counters: &mut Counters) {
        let Some(stream) = self.streams.at(key) else { return };
        if result > 0 {
            counters.stream_bytes_in += result as u64;
            self.news.extend(lease.map(|lease| News::Bytes(key, lease)));
        } else if result == 0 {
            stream.peer_finished = true;
            self.news.push_back(News::Finished(key));
        } else {
            match errno::of_read(-result) {
                ReadFate::Starved => counters.stream_starved += 1,
                ReadFate::Again | ReadFate::Stopped => {}
                ReadFate::Gone => stream.fail(-result),
            }
        }
    }

    fn wrote(&mut self, key: Key, result: i32, write: Write, counters: &mut Counters) {
        let Some(stream) = self.streams.at(key) else { return };
        let Write { mut buffer, sent } = write;
        let sent = sent + result.max(0) as usize;
        counters.stream_bytes_out += result.max(0) as u64;
        if result >= 0 && sent == buffer.len() {
            counters.stream_writes += 1;
            buffer.clear();
            self.news.push_back(News::Written(key, buffer));
        } else if result < 0 && errno::of_write(-result) == WriteFate::Gone {
            stream.fail(-result);
        } else if result == 0 {
            // The kernel takes some bytes or says why not.
            stream.fail(libc::EPIPE);
        } else if !stream.is_lost() {
            counters.stream_short_writes += u64::from(result > 0);
            stream.write = Some(Write { buffer, sent });
        }
        self.operation_ended(key, Operation::Write);
    }

    fn operation_ended(&mut self, key: Key, operation: Operation) {
        if let Some(stream) = self.streams.at(key) {
            *stream.progress(operation) = Progress::Idle;
        }
        self.settle(key);
        self.list(key);
    }

    /// An operation that could not be ended may have been met between two of its steps: as long as
    /// it goes on it is ended again.
    fn not_stopped(&mut self, key: Key, operation: Operation) {
        let Some(stream) = self.streams.at(key) else { return };
        let progress = stream.progress(operation);
        if *progress == Progress::Stopping {
            *progress = Progress::UnderWay;
            self.list(key);
        }
    }

    fn is_deaf(&mut self, key: Key) -> bool {
        self.streams.at(key).is_some_and(|stream| stream.is_deaf())
    }
}
