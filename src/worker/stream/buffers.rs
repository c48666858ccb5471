//! What is written stands in one of these until the kernel has it.

use bytes::BytesMut;

use crate::stream::limits::MOST_WRITE_BYTES;

/// Room behind a write's own bytes, for what TLS adds while it seals.
const SPARE_BYTES: usize = 512;
/// Writes under way at a time: 16 MiB. Connections beyond that wait for a buffer.
const MOST_BUFFERS: usize = 1_024;
/// Buffers that are kept while they are not in use: 4 MiB.
const MOST_IDLE: usize = 256;

/// The buffers of a worker. They are made when they are first needed.
#[derive(Debug, Default)]
pub(super) struct WriteBuffers {
    idle: Vec<BytesMut>,
    in_use: usize,
}

impl WriteBuffers {
    /// An empty buffer, unless all are in use.
    pub(super) fn take(&mut self) -> Option<BytesMut> {
        if self.in_use == MOST_BUFFERS {
            return None;
        }
        self.in_use += 1;
        let made = || BytesMut::with_capacity(MOST_WRITE_BYTES + SPARE_BYTES);
        Some(self.idle.pop().unwrap_or_else(made))
    }

    /// Takes an empty buffer back.
    pub(super) fn put(&mut self, buffer: BytesMut) {
        debug_assert!(buffer.is_empty(), "a buffer comes back empty");
        self.in_use -= 1;
        if self.idle.len() < MOST_IDLE && buffer.capacity() >= MOST_WRITE_BYTES {
            self.idle.push(buffer);
        }
    }

    /// Notes that one is gone with its connection.
    pub(super) fn lose(&mut self) {
        self.in_use -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_so_many_at_a_time_and_a_lost_one_makes_room() {
        let mut buffers = WriteBuffers::default();
        let mut taken: Vec<_> = (0..MOST_BUFFERS).map_while(|_| buffers.take()).collect();
        assert_eq!(taken.len(), MOST_BUFFERS);
        assert!(buffers.take().is_none());
        buffers.lose();
        assert!(buffers.take().is_some());
        taken.drain(..).for_each(|buffer| buffers.put(buffer));
        assert_eq!(buffers.idle.len(), MOST_IDLE);
    }
}
