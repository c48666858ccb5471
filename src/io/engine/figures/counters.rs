//! What a driver counts.
//!
//! Plain integers of its own, which no other thread sees: whoever wants to know is given a copy by
//! the thread that owns the driver. No packet ever writes a shared line.

use crate::io::{
    datagram::train::SendTrain,
    engine::{errno::SendFate, figures::size_histogram::SizeHistogram},
    event::Received,
};

/// Datagrams in one turn: none, and up to 1, 2, 4, … 4,096.
pub type TurnSizes = SizeHistogram<15>;
/// Datagrams in one train: up to 1, 2, 4, … 128. The kernel makes none with more.
pub type TrainSizes = SizeHistogram<10>;

macro_rules! counters {
    ($(#[doc = $doc:literal] $name:ident,)*) => {
        /// Totals of one driver since it was made.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Counters {
            $(#[doc = $doc] pub $name: u64,)*
            /// Datagrams that each turn brought; the one under way is not among them yet.
            pub turn_sizes: TurnSizes,
            /// Datagrams of each receive.
            pub trains_in_sizes: TrainSizes,
            /// Datagrams of each send the kernel took.
            pub trains_out_sizes: TrainSizes,
        }

        impl Counters {
            /// Every counter's name, in the order of [`Counters::values`].
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name)),*];

            /// What every counter counts, in the order of [`Counters::NAMES`].
            pub const DOCS: &'static [&'static str] = &[$($doc),*];

            /// Every counter's value, in the order of [`Counters::NAMES`].
            #[must_use]
            pub fn values(&self) -> [u64; Self::NAMES.len()] {
                [$(self.$name),*]
            }
        }
    };
}

counters! {
    /// Turns of the driver: each is one wait in the kernel.
    turns,
    /// Calls into the kernel that carry sends and collect completions; the turns are among them.
    enters,
    /// Receives: a single datagram or a train each.
    received,
    /// Datagrams in those receives.
    received_datagrams,
    /// Payload bytes of those datagrams.
    received_bytes,
    /// Receives of more than one datagram.
    trains_in,
    /// Datagrams that arrived in trains.
    train_datagrams_in,
    /// Receives dropped because their socket was closed while they were under way.
    received_after_close,
    /// Sends the kernel took: a single datagram or a train each.
    sent,
    /// Datagrams in those sends.
    sent_datagrams,
    /// Payload bytes of those datagrams.
    sent_bytes,
    /// Sends of more than one datagram.
    trains_out,
    /// Datagrams that left in trains.
    train_datagrams_out,
    /// Pieces that were joined to a train another piece had begun.
    joined,
    /// Times the send queue was full and was handed to the kernel before the turn.
    early_flushes,
    /// Trains the kernel refused as such, sent again datagram by datagram.
    trains_unjoined,
    /// Datagrams dropped: the socket's send buffer or the device's queue was full.
    dropped_full,
    /// Datagrams dropped: a firewall or the kernel's policy forbids the destination.
    dropped_forbidden,
    /// Datagrams dropped: no route, or the other end was reported gone.
    dropped_unreachable,
    /// Datagrams dropped: longer than the path takes and not to be fragmented.
    dropped_too_long,
    /// Datagrams dropped for any other error. Worth a look: it is a bug, here or in the kernel.
    dropped_error,
    /// Multishot receives that ended because no buffer was free.
    starved,
    /// Multishot receives armed again after they ended, for whatever reason.
    rearmed,
    /// Receives that failed with an error.
    receive_errors,
    /// Calls that found more completions than the ring holds; the kernel kept the others elsewhere.
    ring_overflows,
    /// Receive buffers there are.
    buffers,
    /// Receive buffers that were free when the last turn began: neither filled nor being sent.
    buffers_free,
    /// Lowest number of them since the start.
    buffers_low,
    /// Blank buffers asked for when none was left.
    blank_exhausted,
    /// Stream connections accepted.
    accepted,
    /// Connections not accepted for want of descriptors, memory or a place in the table.
    accepts_refused,
    /// Bytes that arrived on streams.
    stream_bytes_in,
    /// Bytes of streams that the kernel took to send.
    stream_bytes_out,
    /// Writes to streams that the kernel took as a whole.
    stream_writes,
    /// Times that the kernel took a part of a write to a stream.
    stream_short_writes,
    /// Receives of streams armed again after they ended.
    stream_rearmed,
    /// Receives of streams that ended because no stream buffer was free.
    stream_starved,
}

impl Counters {
    /// Of a driver with so many receive buffers that has done nothing.
    pub(in crate::io) fn new(buffers: u32) -> Self {
        let buffers = buffers.into();
        Self { buffers, buffers_free: buffers, buffers_low: buffers, ..Self::default() }
    }

    /// Notes how many receive buffers are free.
    pub(in crate::io) fn note_free_buffers(&mut self, free: usize) {
        self.buffers_free = free as u64;
        self.buffers_low = self.buffers_low.min(self.buffers_free);
    }

    /// Counts a turn, and how many datagrams the one before it brought.
    pub(in crate::io) fn count_turn(&mut self, datagrams_before: usize) {
        if self.turns > 0 {
            self.turn_sizes.count(datagrams_before);
        }
        self.turns += 1;
    }

    pub(in crate::io) fn count_received(&mut self, received: &Received) {
        let segments = received.segments();
        let datagrams = segments as u64;
        self.trains_in_sizes.count(segments);
        self.received += 1;
        self.received_datagrams += datagrams;
        self.received_bytes += received.lease.range().len() as u64;
        if datagrams > 1 {
            self.trains_in += 1;
            self.train_datagrams_in += datagrams;
        }
    }

    pub(in crate::io) fn count_sent(&mut self, train: &SendTrain) {
        let datagrams = train.segments as u64;
        self.trains_out_sizes.count(train.segments);
        self.sent += 1;
        self.sent_datagrams += datagrams;
        self.sent_bytes += train.bytes as u64;
        if datagrams > 1 {
            self.trains_out += 1;
            self.train_datagrams_out += datagrams;
        }
    }

    /// Counts one datagram that was sent by itself after its train was refused.
    pub(in crate::io) fn count_datagram(&mut self, bytes: usize) {
        self.trains_out_sizes.count(1);
        self.sent += 1;
        self.sent_datagrams += 1;
        self.sent_bytes += bytes as u64;
    }

    pub(in crate::io) fn count_dropped(&mut self, fate: SendFate, datagrams: usize) {
        let counter = match fate {
            SendFate::Full => &mut self.dropped_full,
            SendFate::Forbidden => &mut self.dropped_forbidden,
            SendFate::Unreachable => &mut self.dropped_unreachable,
            SendFate::TooLong => &mut self.dropped_too_long,
            SendFate::Unjoin | SendFate::NoOffload | SendFate::Error => &mut self.dropped_error,
        };
        *counter += datagrams as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_in_the_order_of_their_names() {
        let counters = Counters { turns: 1, received_bytes: 2, ..Default::default() };
        assert_eq!(Counters::NAMES[0], "turns");
        assert_eq!(counters.values()[0], 1);
        let place = Counters::NAMES.iter().position(|name| *name == "received_bytes").unwrap();
        assert_eq!((counters.values()[place], counters.values().iter().sum::<u64>()), (2, 3));
    }

    #[test]
    fn the_turn_under_way_has_no_size_yet() {
        let mut counters = Counters::default();
        for datagrams in [0, 7, 3] {
            counters.count_turn(datagrams);
        }
        assert_eq!((counters.turns, counters.turn_sizes.total()), (3, 2));
        assert_eq!(counters.turn_sizes.sum(), 10);
    }
}
