//! What a worker tells about itself when it is asked.
//!
//! The counters are the worker's own memory; nobody else reads them. Whoever wants to see them
//! posts [`crate::worker::mail::mailbox::Mail::Snapshot`] and gets a copy, so that they cost
//! nothing until then.

use crate::{
    io,
    turn::{self, PortUse, WorkerIndex},
    worker::stream::counters::StreamCounters,
};

/// The state of one worker at one turn of its loop.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Whose it is.
    pub index: WorkerIndex,
    /// What the protocol did.
    pub turn: turn::Counters,
    /// What the driver did.
    pub io: io::Counters,
    /// How long the driver held datagrams, sampled.
    pub held: io::HoldTimes,
    /// What went wrong between the two.
    pub worker: Counters,
    /// How many of its relay ports are in use, by relay address.
    pub ports: Vec<PortUse>,
    /// Datagrams the kernel dropped because the buffer of one of its listening sockets was full.
    pub listener_overflow: u64,
    /// Connections of clients, and what became of them.
    pub streams: StreamCounters,
}

impl Snapshot {
    /// Of a worker that has done nothing.
    #[cfg(test)]
    pub(crate) fn blank(index: WorkerIndex) -> Snapshot {
        Snapshot {
            index,
            turn: turn::Counters::default(),
            io: io::Counters::default(),
            held: io::HoldTimes::default(),
            worker: Counters::default(),
            ports: Vec::new(),
            listener_overflow: 0,
            streams: StreamCounters::default(),
        }
    }
}

/// What a worker counts beside its two floors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Payloads for another worker's client dropped, for want of room on the way.
    pub hand_over_dropped: u64,
    /// Claims on five-tuples that another worker was not told of, because too many messages waited
    /// for it.
    pub claims_dropped: u64,
    /// Datagrams of clients handed to the worker that has their allocation.
    pub misrouted: u64,
    /// Replies and hairpin payloads dropped because no buffer was left to write them into.
    pub no_buffer: u64,
    /// Payloads dropped because they do not fit into a message: a Data indication has 65,535 bytes
    /// at the most.
    pub too_long: u64,
    /// Relay sockets the driver refused or lost.
    pub relays_broken: u64,
}
