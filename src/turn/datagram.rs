//! A received datagram in the buffer it came in, which is also where its answer is written.

use std::ops::Range;

/// One datagram and the room around it.
///
/// Answers are written from `payload.start` on and may be longer than the request, so nothing that
/// still matters may stand behind the payload: a request inside a train of segments is given alone.
#[derive(Debug)]
pub struct Datagram<'a> {
    /// The whole buffer: headroom, payload, tail.
    pub buffer: &'a mut [u8],
    /// Where the datagram stands in `buffer`. Never outside of it.
    pub payload: Range<usize>,
}

impl Datagram<'_> {
    /// The bytes that were received.
    pub fn bytes(&self) -> &[u8] {
        self.buffer.get(self.payload.clone()).unwrap_or_default()
    }

    /// Where an answer is written: from the first byte of the payload to the end of the buffer.
    pub fn room(&mut self) -> &mut [u8] {
        self.buffer.get_mut(self.payload.start..).unwrap_or_default()
    }
}
