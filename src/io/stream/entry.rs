//! One stream: what is asked of it, and what of it is with the kernel.

use std::{net::Shutdown, os::fd::OwnedFd, rc::Rc, time::Duration};

use bytes::BytesMut;
use socket2::{SockAddr, SockRef};

use super::{
    event::HangUpHow,
    kernel::{Operation, Shots, Write},
};
use crate::io::event::Receive;

/// Bytes that one stream hands in during one turn; the rest waits for the next turn, so that others
/// come in between.
const BYTES_PER_TURN: usize = 64 * 1024;

/// A stream from accept, adopt or connect to closed or detached.
#[derive(Debug)]
pub(super) struct Stream {
    /// A kernel shares it while something of the stream is under way.
    pub(super) socket: Rc<OwnedFd>,
    pub(super) phase: StreamPhase,
    /// How its receives go on.
    pub(super) shots: Shots,
    /// Whom to connect to, until the kernel is told.
    pub(super) address: Option<SockAddr>,
    pub(super) is_paused: bool,
    /// The peer's FIN has arrived.
    pub(super) peer_finished: bool,
    pub(super) finish: Finish,
    /// What is to be written and not with the kernel.
    pub(super) write: Option<Write>,
    /// What arrived and had not surfaced when it was detached.
    pub(super) unread: BytesMut,
    /// The caller knows of it.
    pub(super) is_announced: bool,
    /// It is listed for the next turn's work.
    pub(super) is_listed: bool,
    /// It is listed for when there are buffers.
    pub(super) is_starved: bool,
    /// Something of it waits for the next turn, so that all that comes later does.
    pub(super) is_deferred: bool,
    /// Nothing of it is under way any more, and its end is told.
    pub(super) has_ended: bool,
    connect: Progress,
    receive: Progress,
    sending: Progress,
    /// Bytes handed in during the turn of this number.
    handed_in: (u64, usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StreamPhase {
    Connecting,
    Open,
    /// `detach` was called.
    Detaching,
    /// It broke, with this errno. What arrived before surfaces.
    Broken(i32),
    /// `hang_up` was called, or it broke while it was detached. Only its end surfaces.
    HungUp(HangUpHow, Option<i32>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finish {
    No,
    Asked,
    Done,
}

/// How far an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    Idle,
    UnderWay,
    /// The kernel has been told to end it.
    Stopping,
}

impl Stream {
    pub(super) fn new(socket: OwnedFd, phase: StreamPhase, reading: Receive) -> Self {
        Self {
            socket: Rc::new(socket),
            phase,
            shots: Shots::Many,
            address: None,
            is_paused: reading == Receive::Paused,
            peer_finished: false,
            finish: Finish::No,
            write: None,
            unread: BytesMut::new(),
            is_announced: true,
            is_listed: false,
            is_starved: false,
            is_deferred: false,
            has_ended: false,
            connect: Progress::Idle,
            receive: Progress::Idle,
            sending: Progress::Idle,
            handed_in: (0, 0),
        }
    }

    pub(super) fn progress(&mut self, operation: Operation) -> &mut Progress {
        match operation {
            Operation::Connect => &mut self.connect,
            Operation::Receive => &mut self.receive,
            Operation::Write => &mut self.sending,
        }
    }

    /// Whether it is to receive.
    pub(super) fn wants_bytes(&self) -> bool {
        self.phase == StreamPhase::Open && !self.is_paused && !self.peer_finished
    }

    /// Whether a receive is to be begun.
    pub(super) fn is_deaf(&self) -> bool {
        self.wants_bytes() && self.receive == Progress::Idle
    }

    /// Whether an operation is to be ended that goes on.
    pub(super) fn must_stop(&self, operation: Operation) -> bool {
        match operation {
            Operation::Connect => self.connect == Progress::UnderWay && self.is_lost(),
            Operation::Receive => self.receive == Progress::UnderWay && !self.wants_bytes(),
            Operation::Write => self.sending == Progress::UnderWay && self.is_lost(),
        }
    }

    /// Nothing more is sent on it.
    pub(super) fn is_lost(&self) -> bool {
        matches!(self.phase, StreamPhase::Broken(_) | StreamPhase::HungUp(..))
    }

    /// What is to be handed to the kernel now, if something is.
    pub(super) fn next_write(&mut self) -> Option<Write> {
        match self.phase {
            StreamPhase::Open | StreamPhase::Detaching => self.write.take(),
            StreamPhase::Connecting | StreamPhase::Broken(_) | StreamPhase::HungUp(..) => None,
        }
    }

    /// Whether a write waits or is under way.
    pub(super) fn is_writing(&self) -> bool {
        self.write.is_some() || self.sending != Progress::Idle
    }

    /// Sends the FIN that was asked for, if everything before it is with the kernel. A connection
    /// that is gone cannot take it, which its receive tells.
    pub(super) fn send_fin(&mut self) {
        if self.finish == Finish::Asked && !self.is_writing() && !self.is_lost() {
            self.finish = Finish::Done;
            let _ = SockRef::from(&*self.socket).shutdown(Shutdown::Write);
        }
    }

    /// Whether it is ending and has nothing under way, for the first time.
    pub(super) fn ends(&mut self) -> bool {
        let is_ending =
            self.phase == StreamPhase::Detaching && !self.is_writing() || self.is_lost();
        let idle = [self.connect, self.receive, self.sending] == [Progress::Idle; 3];
        let ends = is_ending && idle && !self.has_ended;
        self.has_ended |= ends;
        ends
    }

    /// It broke.
    pub(super) fn fail(&mut self, errno: i32) {
        match self.phase {
            StreamPhase::Connecting | StreamPhase::Open => self.phase = StreamPhase::Broken(errno),
            StreamPhase::Detaching => {
                self.phase = StreamPhase::HungUp(HangUpHow::Close, Some(errno));
            }
            StreamPhase::Broken(_) | StreamPhase::HungUp(..) => {}
        }
        self.write = None;
    }

    pub(super) fn hang_up(&mut self, how: HangUpHow) {
        let errno = match self.phase {
            StreamPhase::Broken(errno) => Some(errno),
            StreamPhase::HungUp(_, errno) => errno,
            StreamPhase::Connecting | StreamPhase::Open | StreamPhase::Detaching => None,
        };
        self.phase = StreamPhase::HungUp(how, errno);
        (self.write, self.address) = (None, None);
    }

    /// Whether so many more bytes are handed in during a turn, which then count.
    pub(super) fn may_hand_in(&mut self, turn: u64, bytes: usize) -> bool {
        if self.handed_in.0 != turn {
            self.handed_in = (turn, 0);
        }
        let may = self.handed_in.1 < BYTES_PER_TURN;
        self.handed_in.1 += if may { bytes } else { 0 };
        may
    }

    /// The socket of a stream that has nothing under way.
    pub(super) fn into_socket(self) -> OwnedFd {
        Rc::into_inner(self.socket).expect("a kernel keeps no socket that nothing is under way on")
    }

    /// Makes the close of the socket a reset. A unix socket has none, and is closed.
    pub(super) fn reset(&self) {
        let _ = SockRef::from(&*self.socket).set_linger(Some(Duration::ZERO));
    }
}
