//! Datagrams that are judged as one.

/// A run of datagrams of one size, of which only the last may be shorter; a single one is a run
/// of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Train {
    /// Datagrams in it; none only where nothing of a train may pass.
    pub segments: usize,
    /// Payload bytes of each but perhaps the last.
    pub segment_bytes: usize,
    /// Payload bytes of all together.
    pub bytes: usize,
}

impl Train {
    /// One datagram.
    pub const fn single(bytes: usize) -> Train {
        Train::equal(1, bytes)
    }

    /// So many datagrams of the same size.
    pub const fn equal(segments: usize, segment_bytes: usize) -> Train {
        Train { segments, segment_bytes, bytes: segments * segment_bytes }
    }

    /// The first so many of its datagrams; all of them when it has no more.
    #[must_use]
    pub const fn first(self, segments: usize) -> Train {
        if segments >= self.segments { self } else { Train::equal(segments, self.segment_bytes) }
    }
}
