//! What is sent: datagrams of one size out of one buffer.

use std::ops::Range;

use super::memory::pool::Lease;

/// What [`Driver::send`] puts on the wire: `segments` datagrams, each `header`, `body`, `pad`.
///
/// ```text
/// buffer   ..│ body │........│ body │........│ body │..      each body `stride` after the last
/// wire       [header][body][pad] [header][body][pad] [header][body][pad]
/// ```
///
/// Most pieces are one datagram; a received train whose segments are framed alike goes out as one
/// piece, with one lease and one header for all of them.
///
/// [`Driver::send`]: crate::io::Driver::send
#[derive(Debug)]
pub struct Piece<'a> {
    /// Copied by `send`, in front of every body. At most [`HEADROOM`] bytes.
    ///
    /// [`HEADROOM`]: crate::io::HEADROOM
    pub header: &'a [u8],
    /// Holds the bodies until the kernel has sent them.
    pub lease: Lease,
    /// The first body, in offsets of the whole buffer (as [`Lease::range`] counts).
    pub body: Range<usize>,
    /// Datagrams in this piece, at least 1.
    pub segments: usize,
    /// Bytes from the start of one body to the start of the next; without meaning for one segment.
    pub stride: usize,
    /// Zero bytes behind every body. At most [`PAD_MAX`].
    ///
    /// [`PAD_MAX`]: crate::io::PAD_MAX
    pub pad: u8,
    /// Whether the datagrams leave with the DF bit set, and are dropped where they do not fit.
    pub dont_fragment: bool,
}

impl<'a> Piece<'a> {
    /// One datagram: `body` of the lease's buffer, nothing in front or behind.
    #[must_use]
    pub fn single(lease: Lease, body: Range<usize>) -> Self {
        Self { header: &[], lease, body, segments: 1, stride: 0, pad: 0, dont_fragment: false }
    }

    /// Puts `header` in front of every body.
    #[must_use]
    pub fn with_header(mut self, header: &'a [u8]) -> Self {
        self.header = header;
        self
    }

    /// Puts `pad` zero bytes behind every body.
    #[must_use]
    pub fn with_pad(mut self, pad: u8) -> Self {
        self.pad = pad;
        self
    }

    /// Repeats the body `segments` times, each `stride` bytes after the one before.
    #[must_use]
    pub fn repeated(mut self, segments: usize, stride: usize) -> Self {
        self.segments = segments;
        self.stride = stride;
        self
    }
}
