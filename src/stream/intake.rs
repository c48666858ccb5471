//! What arrived on a stream, as ranges: the caller may share and send the buffer they stand in.

use std::ops::Range;

/// Where some bytes stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Span {
    /// In the bytes that were given to `receive`: plain TCP, and nothing was copied.
    Here(Range<usize>),
    /// In the intake: decrypted, or put together from several receives.
    Elsewhere(Range<usize>),
}

/// One thing that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrival {
    /// Whole frames back to back, each of `frame_bytes` with its padding: a train.
    Frames {
        /// At least one frame; a multiple of `frame_bytes`.
        place: Span,
        /// A multiple of 4.
        frame_bytes: usize,
    },
    /// A ConnectionBind request (RFC 6062 §4.3). What follows it may be frames or a peer's raw
    /// bytes, so it is held back until `go_on` says which.
    Bind(Span),
    /// Everything the client sent so far, for the web backend; raw bytes follow as `Data`.
    Web(Span),
    /// Raw bytes, of a data connection (RFC 6062) or for the web backend.
    Data(Span),
    /// The client sends no more inside TLS (close_notify), and may still read.
    Finished,
}

/// What one receive brought, in its order. A worker has one and fills it again and again.
#[derive(Debug, Default)]
pub struct Intake {
    pub(super) arrivals: Vec<Arrival>,
    pub(super) elsewhere: Vec<u8>,
}

impl Intake {
    /// What arrived, in the order it was sent.
    pub fn arrivals(&self) -> &[Arrival] {
        &self.arrivals
    }

    /// The bytes of a place; `here` is what was given to `receive`.
    pub fn bytes<'a>(&'a self, place: &Span, here: &'a [u8]) -> &'a [u8] {
        match place {
            Span::Here(range) => &here[range.clone()],
            Span::Elsewhere(range) => &self.elsewhere[range.clone()],
        }
    }

    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.arrivals.clear();
        self.elsewhere.clear();
    }

    /// Copies bytes in and says where they stand.
    pub(super) fn keep(&mut self, bytes: &[u8]) -> Span {
        let begin = self.elsewhere.len();
        self.elsewhere.extend_from_slice(bytes);
        Span::Elsewhere(begin..self.elsewhere.len())
    }
}
