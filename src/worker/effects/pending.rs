//! Allocates that wait for the sockets the driver was asked for.
//!
//! An Allocate may need several: one of each family, and the next port, reserved. Each is answered
//! by itself; the state machine gets one outcome when the last answer is there.

use std::collections::HashMap;

use crate::{
    io::SocketId,
    turn::{Bind, Path, PendingId, Purpose, RelayId, Socket},
};

/// Sockets one Allocate can wait for: IPv4, IPv6, and the reserved next port.
const SOCKETS_MAX: usize = 3;

/// What is known so far of the sockets of one Allocate.
#[derive(Debug, Clone, Copy)]
pub(in crate::worker) struct SocketAnswers {
    pub(in crate::worker) pending: PendingId,
    pub(in crate::worker) path: Path,
    binds: [Bind; SOCKETS_MAX],
    sockets: usize,
    /// Answers that are still to come.
    awaited: usize,
}

/// A socket that the driver opens.
#[derive(Debug, Clone, Copy)]
pub(in crate::worker) struct Wanted {
    pub(in crate::worker) relay: RelayId,
    pub(in crate::worker) purpose: Purpose,
    pending: PendingId,
    place: usize,
}

/// Everything that waits for a driver's answer.
#[derive(Debug, Default)]
pub(in crate::worker) struct PendingSockets {
    waiting: HashMap<PendingId, SocketAnswers>,
    wanted: HashMap<SocketId, Wanted>,
}

impl SocketAnswers {
    /// Begins with nothing known. More than [`SOCKETS_MAX`] sockets are never asked for.
    pub(in crate::worker) fn new(pending: PendingId, path: Path, sockets: usize) -> Self {
        let sockets = sockets.min(SOCKETS_MAX);
        Self { pending, path, binds: [Bind::Failed; SOCKETS_MAX], sockets, awaited: 0 }
    }

    /// Records what became of the socket at a place.
    pub(in crate::worker) fn record(&mut self, place: usize, bind: Bind) {
        self.binds[place] = bind;
    }

    /// What became of each, in the order they were asked for.
    pub(in crate::worker) fn binds(&self) -> &[Bind] {
        &self.binds[..self.sockets]
    }

    /// Whether every answer is there.
    pub(in crate::worker) fn is_whole(&self) -> bool {
        self.awaited == 0
    }
}

impl PendingSockets {
    /// Has an Allocate wait for the socket at a place.
    pub(in crate::worker) fn expect(
        &mut self,
        answers: &mut SocketAnswers,
        place: usize,
        wanted: Socket,
        socket: SocketId,
    ) {
        let Socket { relay, purpose, .. } = wanted;
        answers.awaited += 1;
        self.wanted.insert(socket, Wanted { relay, purpose, pending: answers.pending, place });
    }

    /// Has an Allocate wait until its last answer.
    pub(in crate::worker) fn wait(&mut self, answers: SocketAnswers) {
        self.waiting.insert(answers.pending, answers);
    }

    /// Whose socket this is; `None` when no Allocate waits for it.
    pub(in crate::worker) fn take(&mut self, socket: SocketId) -> Option<Wanted> {
        self.wanted.remove(&socket)
    }

    /// Records an answer, and gives the Allocate back if it was the last one.
    pub(in crate::worker) fn answer(
        &mut self,
        wanted: Wanted,
        bind: Bind,
    ) -> Option<SocketAnswers> {
        let answers = self.waiting.get_mut(&wanted.pending)?;
        answers.record(wanted.place, bind);
        answers.awaited -= 1;
        let is_whole = answers.is_whole();
        if is_whole { self.waiting.remove(&wanted.pending) } else { None }
    }
}
