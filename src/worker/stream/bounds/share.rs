//! Whose media goes where all queues together are full: of those that have more than their share,
//! however little the one has that queues just now. So clients that read nothing take nothing from
//! those that do.

use crate::io::StreamId;
use crate::stream::LEAST_QUEUE_BYTES;
use crate::worker::stream::table::StreamTable;

/// Connections that are looked at for each one that queues.
const MOST_LOOKS: usize = 64;

impl StreamTable {
    /// Drops media until all queues have no more memory than `most_bytes`: first of the connection
    /// that has just queued, then of others in turn, and of none below its share. Nobody loses the
    /// little that takes one piece of memory: with so many connections that those alone take more,
    /// they are the bound.
    pub(in crate::worker::stream) fn shed(&mut self, stream: StreamId, most_bytes: u64) {
        let most_bytes = most_bytes.max(self.counters.open * LEAST_QUEUE_BYTES as u64);
        if self.counters.queued_bytes <= most_bytes {
            return;
        }
        self.shed_to_its_share(stream, most_bytes);
        for _ in 0..MOST_LOOKS.min(self.entries.len()) {
            if self.counters.queued_bytes <= most_bytes {
                return;
            }
            let index = self.next_to_shed % self.entries.len();
            self.next_to_shed = index + 1;
            self.shed_to_its_share(StreamId::new(index as u32), most_bytes);
        }
    }

    fn shed_to_its_share(&mut self, stream: StreamId, most_bytes: u64) {
        let excess_bytes = self.counters.queued_bytes.saturating_sub(most_bytes) as usize;
        let share_bytes = (most_bytes / self.counters.open.max(1)) as usize;
        let Some((client, memory)) = self.client_with_memory(stream) else { return };
        if client.queue_bytes <= share_bytes {
            return;
        }
        let rest_bytes = client.queue_bytes.saturating_sub(excess_bytes).max(share_bytes);
        let dropped = client.connection.shed(rest_bytes, memory);
        self.counters.dropped_full += u64::from(dropped);
        self.settle(stream);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        stream::{Connection, FrameKind, ProxyRule, StreamLimits, StreamSetup},
        turn::ListenerId,
        worker::stream::entry::Client,
    };

    const FRAME: [u8; 1_000] = [7; 1_000];

    fn table(clients: u32) -> StreamTable {
        let mut table = StreamTable::new(Arc::default(), clients);
        let address = "192.0.2.1:5000".parse().unwrap();
        for index in 0..clients {
            let setup = StreamSetup {
                peer: address,
                local: address,
                proxy: ProxyRule::Refused,
                only_tls: false,
                tls: None,
                web: None,
                limits: StreamLimits::default(),
            };
            let connection = Connection::new(0, setup);
            let client = Client::new(connection, ListenerId(0), address, 0);
            table.insert(StreamId::new(index), client);
        }
        table
    }

    fn queue(table: &mut StreamTable, index: u32, frames: usize) {
        for _ in 0..frames {
            let (client, memory) = table.client_with_memory(StreamId::new(index)).unwrap();
            let queued = client.connection.queue(0, FrameKind::Media, [&FRAME, &[], &[]], memory);
            table.note_queued(StreamId::new(index), queued.unwrap());
        }
    }

    fn waiting(table: &mut StreamTable, index: u32) -> usize {
        table.client(StreamId::new(index)).unwrap().connection.waiting_bytes()
    }

    #[test]
    fn who_has_less_than_its_share_loses_nothing_to_those_that_have_more() {
        let mut table = table(4);
        for index in 1..4 {
            queue(&mut table, index, 40);
        }
        queue(&mut table, 0, 5);
        table.shed(StreamId::new(0), 80_000);
        assert_eq!(waiting(&mut table, 0), 5_000);
        assert!(table.counters.queued_bytes <= 80_000);
        assert!((1..4).all(|index| waiting(&mut table, index) >= 16_000));
    }

    #[test]
    fn who_queues_more_than_its_share_loses_its_own_first() {
        let mut table = table(2);
        queue(&mut table, 0, 50);
        queue(&mut table, 1, 70);
        table.shed(StreamId::new(1), 110_000);
        assert_eq!(waiting(&mut table, 0), 50_000);
        assert!((54_000..58_000).contains(&waiting(&mut table, 1)));
        assert!(table.counters.queued_bytes <= 110_000);
    }

    // A share is no less than what one frame takes, however many connections there are.
    #[test]
    fn the_only_frame_of_a_connection_is_nobody_s_to_drop() {
        let mut table = table(100);
        (0..100).for_each(|index| queue(&mut table, index, 1));
        table.shed(StreamId::new(0), 80_000);
        assert_eq!(table.counters.dropped_full, 0);
        assert_eq!(table.next_to_shed, 0, "nobody is looked at");
        queue(&mut table, 7, 300);
        (0..2).for_each(|_| table.shed(StreamId::new(0), 80_000));
        assert!(table.counters.queued_bytes <= 100 * LEAST_QUEUE_BYTES as u64);
        assert!((0..100).all(|index| waiting(&mut table, index) >= 1_000));
    }
}
