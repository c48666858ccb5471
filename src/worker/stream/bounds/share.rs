//! Whose media goes where all queues together are full: of those that have more than their share,
//! however little the one has that queues just now. So clients that read nothing take nothing from
//! those that do.

use crate::io::StreamId;
use crate::worker::stream::{entry::Entry, table::StreamTable};

/// Connections that are looked at for each one that queues.
const MOST_LOOKS: usize = 64;

impl StreamTable {
    /// Drops media until no more than `most_bytes` wait in all queues: first of the connection that
    /// has just queued, then of others in turn, and of none below its share.
    pub(in crate::worker::stream) fn shed(&mut self, stream: StreamId, most_bytes: u64) {
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
        let Some(Some(Entry::Client(client))) = self.entries.get_mut(stream.index()) else {
            return;
        };
        if client.waiting_bytes <= share_bytes {
            return;
        }
        let rest_bytes = client.waiting_bytes.saturating_sub(excess_bytes).max(share_bytes);
        let dropped = client.connection.shed(rest_bytes);
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

    const FRAME: [u8; 100] = [7; 100];

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
        table.shed(StreamId::new(0), 8_000);
        assert_eq!(waiting(&mut table, 0), 500);
        assert!(table.counters.queued_bytes <= 8_000);
        assert!((1..4).all(|index| waiting(&mut table, index) >= 2_000));
        assert_eq!(table.counters.dropped_full, 45);
    }

    #[test]
    fn who_queues_more_than_its_share_loses_its_own_first() {
        let mut table = table(2);
        queue(&mut table, 0, 50);
        queue(&mut table, 1, 70);
        table.shed(StreamId::new(1), 11_000);
        assert_eq!((waiting(&mut table, 0), waiting(&mut table, 1)), (5_000, 6_000));
    }
}
