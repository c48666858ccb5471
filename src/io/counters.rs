//! What a driver counts, and how another thread reads it.
//!
//! The driver counts in plain integers of its own. Now and then, at the end of a turn, it copies
//! them to a [`CounterBoard`] with relaxed stores; the cache lines of the board are touched by
//! nobody else until a sampler reads them. No packet ever writes a shared line.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{Received, errno::SendFate, outbox::Train};

macro_rules! counters {
    ($(#[doc = $doc:literal] $name:ident,)*) => {
        /// Totals of one driver since it was made.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Counters {
            $(#[doc = $doc] pub $name: u64,)*
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

            fn from_values(values: [u64; Self::NAMES.len()]) -> Self {
                let [$($name),*] = values;
                Self { $($name),* }
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
    /// Lowest number of free receive buffers seen at the end of a turn.
    buffers_low,
    /// Blank buffers asked for when none was left.
    blank_exhausted,
}

impl Counters {
    pub(super) fn count_received(&mut self, received: &Received) {
        let datagrams = received.segments() as u64;
        self.received += 1;
        self.received_datagrams += datagrams;
        self.received_bytes += received.lease.range().len() as u64;
        if datagrams > 1 {
            self.trains_in += 1;
            self.train_datagrams_in += datagrams;
        }
    }

    pub(super) fn count_sent(&mut self, train: &Train) {
        let datagrams = train.segments as u64;
        self.sent += 1;
        self.sent_datagrams += datagrams;
        self.sent_bytes += train.bytes as u64;
        if datagrams > 1 {
            self.trains_out += 1;
            self.train_datagrams_out += datagrams;
        }
    }

    /// Counts one datagram that was sent by itself after its train was refused.
    pub(super) fn count_datagram(&mut self, bytes: usize) {
        self.sent += 1;
        self.sent_datagrams += 1;
        self.sent_bytes += bytes as u64;
    }

    pub(super) fn count_dropped(&mut self, fate: SendFate, datagrams: usize) {
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

/// A driver's counters where other threads can read them.
///
/// Each value is exact as of a recent turn; together they are not one instant.
#[derive(Debug)]
#[repr(align(128))]
pub struct CounterBoard {
    values: [AtomicU64; Counters::NAMES.len()],
}

impl CounterBoard {
    pub(crate) fn new() -> Self {
        Self { values: std::array::from_fn(|_| AtomicU64::new(0)) }
    }

    /// The counters as last copied.
    #[must_use]
    pub fn read(&self) -> Counters {
        Counters::from_values(std::array::from_fn(|i| self.values[i].load(Relaxed)))
    }

    pub(crate) fn write(&self, counters: &Counters) {
        for (shared, value) in self.values.iter().zip(counters.values()) {
            shared.store(value, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_returns_what_was_written() {
        let counters =
            Counters { turns: 1, received_bytes: 2, blank_exhausted: 3, ..Default::default() };
        let board = CounterBoard::new();
        board.write(&counters);
        assert_eq!(board.read(), counters);
        assert_eq!(Counters::NAMES[0], "turns");
        assert_eq!(counters.values()[0], 1);
    }
}
