//! The connections of one worker, by the driver's number and by five-tuple.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use bytes::BytesMut;

use crate::worker::stream::{
    bounds::{
        refusals::StreamRefusals,
        rules::StreamRules,
        sources::{SourceKey, Sources},
    },
    buffers::WriteBuffers,
    counters::StreamCounters,
    deadlines::{Armed, Deadlines},
    entry::{Client, Entry, Far, FarPurpose, Moving, Reading, Writing},
};
use crate::{
    io::StreamId,
    stream::{HangUp, Intake, QueueMemory, Then, limits::MOST_RAW_BYTES},
    turn::{ConnectionId, FiveTuple, earliest},
};

/// Connections of a worker that have shown no credentials: one in so many of all there may be.
const STRANGERS_PART: u32 = 4;

/// Far sides, of all connections of a worker, one in so many: clients always find a place.
const FAR_SIDES_PART: u32 = 2;

/// How long a connection keeps its place from others of its source without having shown
/// credentials: some round trips of TLS and TURN on a slow path.
const STRANGER_KEEPS_MS: u64 = 1_000;

/// All connections of a worker.
pub(in crate::worker) struct StreamTable {
    pub(in crate::worker) rules: Arc<StreamRules>,
    pub(super) entries: Vec<Option<Entry>>,
    by_flow: HashMap<FiveTuple, StreamId, foldhash::quality::RandomState>,
    /// Connections to peers.
    connections: HashMap<ConnectionId, StreamId, foldhash::quality::RandomState>,
    pub(super) sources: Sources,
    pub(super) deadlines: Deadlines,
    /// Those without credentials, the oldest first; entries of others stand among them.
    strangers: VecDeque<(StreamId, u64)>,
    most_strangers: u32,
    most_far_sides: u32,
    last_serial: u64,
    /// Those that have something to write.
    pub(super) dirty: Vec<StreamId>,
    /// Turns in which those have been written to.
    pub(super) turn: u64,
    /// Those whose handshake waits, first in, first out.
    pub(super) steps: VecDeque<StreamId>,
    pub(super) buffers: WriteBuffers,
    memory: QueueMemory,
    /// The number with which the search for those above their share goes on.
    pub(super) next_to_shed: usize,
    pub(super) intake: Intake,
    pub(super) refusals: StreamRefusals,
    pub(in crate::worker) counters: StreamCounters,
}

impl StreamTable {
    /// Begins with no connection; there may be so many.
    pub(in crate::worker) fn new(rules: Arc<StreamRules>, most: u32) -> StreamTable {
        StreamTable {
            rules,
            entries: Vec::new(),
            by_flow: HashMap::default(),
            connections: HashMap::default(),
            sources: Sources::default(),
            deadlines: Deadlines::default(),
            strangers: VecDeque::new(),
            most_strangers: (most / STRANGERS_PART).max(1),
            most_far_sides: (most / FAR_SIDES_PART).max(1),
            last_serial: 0,
            dirty: Vec::new(),
            turn: 0,
            steps: VecDeque::new(),
            buffers: WriteBuffers::default(),
            memory: QueueMemory::default(),
            next_to_shed: 0,
            intake: Intake::default(),
            refusals: StreamRefusals::default(),
            counters: StreamCounters::default(),
        }
    }

    /// Notes a new connection.
    pub(super) fn insert(&mut self, stream: StreamId, mut client: Client) {
        self.last_serial += 1;
        client.serial = self.last_serial;
        self.strangers.push_back((stream, client.serial));
        self.counters.open += 1;
        self.counters.strangers += 1;
        self.put(stream, Entry::Client(Box::new(client)));
        self.forget_former_strangers();
    }

    /// Notes a connection that is refused.
    pub(super) fn refuse(&mut self, stream: StreamId) {
        self.put(stream, Entry::Leaving { writing: None });
    }

    fn put(&mut self, stream: StreamId, entry: Entry) {
        let index = stream.index();
        if self.entries.len() <= index {
            self.entries.resize_with(index + 1, || None);
        }
        debug_assert!(self.entries[index].is_none(), "a number is used again when it is free");
        self.entries[index] = Some(entry);
    }

    pub(super) fn client(&mut self, stream: StreamId) -> Option<&mut Client> {
        client_of(&mut self.entries, stream)
    }

    /// A client, and the memory that its queues are lent.
    pub(super) fn client_with_memory(
        &mut self,
        stream: StreamId,
    ) -> Option<(&mut Client, &mut QueueMemory)> {
        client_of(&mut self.entries, stream).map(|client| (client, &mut self.memory))
    }

    pub(super) fn far(&mut self, stream: StreamId) -> Option<&mut Far> {
        match self.entries.get_mut(stream.index())?.as_mut()? {
            Entry::Far(far) => Some(far),
            Entry::Client(_) | Entry::Moving(_) | Entry::Leaving { .. } => None,
        }
    }

    /// Whether a connection is read.
    pub(super) fn reading(&mut self, stream: StreamId) -> Option<&mut Reading> {
        match self.entries.get_mut(stream.index())?.as_mut()? {
            Entry::Client(client) => Some(&mut client.reading),
            Entry::Far(far) => Some(&mut far.reading),
            Entry::Moving(_) | Entry::Leaving { .. } => None,
        }
    }

    /// Whether there is room for what a connection sends, where that goes; not before it goes
    /// anywhere.
    pub(super) fn has_room_beyond(&mut self, stream: StreamId) -> bool {
        if let Some(client) = self.client(stream) {
            let far = client.far;
            let far = far.and_then(|far| self.far(far));
            return far.is_none_or(|far| far.waiting.len() <= MOST_RAW_BYTES);
        }
        let client = self.far(stream).and_then(|far| far.client);
        let client = client.and_then(|client| self.client(client));
        client.is_some_and(|client| client.connection.waiting_bytes() <= MOST_RAW_BYTES)
    }

    /// Whether there may be one more far side; counts one that may not be.
    pub(super) fn has_far_place(&mut self) -> bool {
        let has_place = self.counters.pipes.far_sides < u64::from(self.most_far_sides);
        self.counters.pipes.far_sides_refused += u64::from(!has_place);
        has_place
    }

    /// Notes the other side of a client.
    pub(super) fn insert_far(&mut self, stream: StreamId, far: Far) {
        if let FarPurpose::Peer(id) = far.purpose {
            self.connections.insert(id, stream);
        }
        self.counters.pipes.far_sides += 1;
        self.put(stream, Entry::Far(Box::new(far)));
        self.settle(stream);
    }

    /// The connection to a peer that has a name.
    pub(super) fn connection(&self, id: ConnectionId) -> Option<StreamId> {
        self.connections.get(&id).copied()
    }

    /// Makes a pair of a client and its other side.
    pub(super) fn pair(&mut self, client: StreamId, stream: StreamId) {
        let Some(far) = self.far(stream) else { return };
        far.client = Some(client);
        self.counters.pipes.open += 1;
        if let Some(client) = self.client(client) {
            client.far = Some(stream);
        }
    }

    /// Has the other side of a client that is gone write what waits for it, until a time.
    pub(super) fn part(&mut self, stream: StreamId, until_ms: u64) {
        let Some(far) = self.far(stream) else { return };
        far.is_parting = true;
        far.due_ms = until_ms;
        let (purpose, had_client) = (far.purpose, far.client.take().is_some());
        self.counters.pipes.open -= u64::from(had_client);
        if let FarPurpose::Peer(id) = purpose {
            self.connections.remove(&id);
        }
        self.settle(stream);
    }

    /// Takes the other side of a client out.
    pub(super) fn take_far(&mut self, stream: StreamId) -> Option<Box<Far>> {
        let place = self.entries.get_mut(stream.index())?;
        let Some(Entry::Far(far)) = place.take_if(|it| matches!(it, Entry::Far(_))) else {
            return None;
        };
        *place = Some(Entry::Leaving { writing: far.writing });
        self.counters.pipes.far_sides -= 1;
        if let FarPurpose::Peer(id) = far.purpose {
            self.connections.remove(&id);
        }
        self.counters.pipes.open -= u64::from(far.client.is_some());
        Some(far)
    }

    /// Notes that a client that was taken out goes to another worker.
    pub(super) fn moves(&mut self, stream: StreamId, moving: Moving) {
        if let Some(place) = self.entries.get_mut(stream.index()) {
            *place = Some(Entry::Moving(moving));
        }
    }

    /// Notes that a write is over; says what follows it where it was a client's that is here still.
    pub(super) fn written(
        &mut self,
        now_ms: u64,
        stream: StreamId,
        buffer: BytesMut,
    ) -> Option<Then> {
        let (size, then) = match self.entries.get_mut(stream.index())?.as_mut()? {
            Entry::Client(client) => {
                client.connection.written(now_ms);
                let Writing { size, turn, then } = client.writing.take()?;
                client.pace.written(size, turn == self.turn);
                (size, Some(then))
            }
            Entry::Moving(moving) => {
                moving.client.connection.written(now_ms);
                (moving.client.writing.take()?.size, None)
            }
            Entry::Far(far) => {
                far.write_by_ms = u64::MAX;
                (far.writing.take()?, None)
            }
            Entry::Leaving { .. } => return None,
        };
        self.buffers.put(buffer, size);
        then
    }

    /// Takes a client that goes to another worker; its number is free.
    pub(super) fn take_moving(&mut self, stream: StreamId) -> Option<Moving> {
        let place = self.entries.get_mut(stream.index())?;
        match place.take_if(|it| matches!(it, Entry::Moving(_)))? {
            Entry::Moving(moving) => Some(moving),
            Entry::Client(_) | Entry::Far(_) | Entry::Leaving { .. } => None,
        }
    }

    /// Every client there is.
    pub(super) fn clients(&self) -> Vec<StreamId> {
        let is_client = |entry: &Option<Entry>| matches!(entry, Some(Entry::Client(_)));
        let indices = self.entries.iter().enumerate().filter(|(_, entry)| is_client(entry));
        indices.map(|(index, _)| StreamId::new(index as u32)).collect()
    }

    /// The connection of a five-tuple.
    pub(super) fn of(&self, flow: FiveTuple) -> Option<StreamId> {
        self.by_flow.get(&flow).copied()
    }

    /// Gives a connection its five-tuple; says which other one had it.
    pub(super) fn name(&mut self, stream: StreamId, flow: FiveTuple) -> Option<StreamId> {
        if let Some(client) = self.client(stream) {
            client.flow = Some(flow);
        }
        self.by_flow.insert(flow, stream).filter(|former| *former != stream)
    }

    /// Takes a connection's five-tuple away.
    pub(super) fn unname(&mut self, stream: StreamId) -> Option<FiveTuple> {
        let flow = self.client(stream)?.flow.take()?;
        if self.by_flow.get(&flow) == Some(&stream) {
            self.by_flow.remove(&flow);
        }
        Some(flow)
    }

    /// Takes a client out; its number is the driver's until that lets go of it.
    pub(super) fn take(&mut self, now_ms: u64, stream: StreamId) -> Option<Box<Client>> {
        let place = self.entries.get_mut(stream.index())?;
        let Some(Entry::Client(client)) = place.take_if(|it| matches!(it, Entry::Client(_))) else {
            return None;
        };
        *place = Some(Entry::Leaving { writing: client.writing.map(|it| it.size) });
        self.counters.open -= 1;
        self.counters.strangers -= u64::from(client.is_stranger);
        self.counters.queued_bytes -= client.queue_bytes as u64;
        if let Some(source) = client.source {
            self.sources.leave(now_ms, source, client.is_stranger);
        }
        Some(client)
    }

    /// Frees a number that the driver has let go of.
    pub(super) fn forget(&mut self, stream: StreamId) {
        let place = self.entries.get_mut(stream.index());
        let writing = match place.and_then(Option::take) {
            Some(Entry::Leaving { writing }) => writing,
            Some(Entry::Moving(moving)) => {
                self.counters.count(HangUp::Broke);
                moving.client.writing.map(|it| it.size)
            }
            Some(Entry::Client(_) | Entry::Far(_)) | None => None,
        };
        writing.into_iter().for_each(|size| self.buffers.lose(size));
    }

    /// Notes that a connection has shown credentials.
    pub(super) fn authenticated(&mut self, stream: StreamId) {
        let Some(client) = self.client(stream) else { return };
        let (source, was_stranger) = (client.source, client.is_stranger);
        client.is_stranger = false;
        if was_stranger {
            self.counters.strangers -= 1;
            source.into_iter().for_each(|source| self.sources.authenticated(source));
        }
    }

    /// The oldest connection without credentials, if there are more of them than there may be.
    pub(super) fn stranger_too_many(&mut self) -> Option<StreamId> {
        if self.counters.strangers <= u64::from(self.most_strangers) {
            return None;
        }
        while let Some((stream, serial)) = self.strangers.pop_front() {
            if self.is_stranger(stream, serial) {
                return Some(stream);
            }
        }
        None
    }

    /// The oldest connection of a source that has had its time to show credentials. The search ends
    /// with the first connection that has its time still, which in a storm of them comes soon.
    pub(super) fn overdue_stranger(&mut self, now_ms: u64, source: SourceKey) -> Option<StreamId> {
        for place in 0..self.strangers.len() {
            let (stream, serial) = self.strangers[place];
            if !self.is_stranger(stream, serial) {
                continue;
            }
            let client = self.client(stream)?;
            if client.since_ms + STRANGER_KEEPS_MS > now_ms {
                return None;
            }
            if client.source == Some(source) {
                return Some(stream);
            }
        }
        None
    }

    fn is_stranger(&mut self, stream: StreamId, serial: u64) -> bool {
        self.client(stream).is_some_and(|client| client.is_stranger && client.serial == serial)
    }

    /// Keeps the list of strangers at twice as many as there are.
    fn forget_former_strangers(&mut self) {
        if self.strangers.len() as u64 <= 2 * self.counters.strangers + 64 {
            return;
        }
        let mut strangers = std::mem::take(&mut self.strangers);
        strangers.retain(|(stream, serial)| self.is_stranger(*stream, *serial));
        self.strangers = strangers;
    }

    /// Lists what a connection has come to want: to write, a step of its handshake, to be looked at
    /// in time.
    pub(super) fn settle(&mut self, stream: StreamId) {
        let client = match self.entries.get_mut(stream.index()) {
            Some(Some(Entry::Client(client))) => client,
            Some(Some(Entry::Far(far))) => {
                let due_ms = far.deadline_ms().min(resumes_at_ms(far.reading));
                return self.deadlines.arm(stream, due_ms, &mut far.armed);
            }
            _ => return,
        };
        let queue_bytes = client.connection.queue_memory_bytes();
        self.counters.queued_bytes += queue_bytes as u64;
        self.counters.queued_bytes -= client.queue_bytes as u64;
        client.queue_bytes = queue_bytes;
        let may_write = client.writing.is_none() && !client.is_lingering;
        if may_write && !client.is_dirty && client.connection.has_output() {
            client.is_dirty = true;
            self.dirty.push(stream);
        }
        if client.connection.wants_step() && !client.waits_for_step {
            client.waits_for_step = true;
            self.steps.push_back(stream);
        }
        let due_ms = client.connection.deadline_ms().min(resumes_at_ms(client.reading));
        self.deadlines.arm(stream, due_ms, &mut client.armed);
    }

    /// Takes a connection off the list of those that have something to write.
    pub(super) fn take_dirty(&mut self, stream: StreamId) -> Option<&mut Client> {
        let client = self.client(stream)?;
        std::mem::take(&mut client.is_dirty).then_some(client)
    }

    /// Takes a connection whose deadline may have passed.
    pub(super) fn next_due(&mut self, now_ms: u64) -> Option<StreamId> {
        while let Some((stream, due)) = self.deadlines.pop(now_ms) {
            let armed = match self.entries.get_mut(stream.index()) {
                Some(Some(Entry::Client(client))) => &mut client.armed,
                Some(Some(Entry::Far(far))) => &mut far.armed,
                Some(Some(Entry::Moving(_) | Entry::Leaving { .. }) | None) | None => continue,
            };
            if *armed == due {
                *armed = Armed::NO;
                return Some(stream);
            }
        }
        None
    }

    /// When some connection is to be looked at.
    pub(in crate::worker) fn next_deadline_ms(&self) -> Option<u64> {
        earliest(self.deadlines.next_ms(), self.refusals.due_ms())
    }

    /// No client is connected.
    pub(in crate::worker) fn is_empty(&self) -> bool {
        self.counters.open == 0
    }
}

fn client_of(entries: &mut [Option<Entry>], stream: StreamId) -> Option<&mut Client> {
    match entries.get_mut(stream.index())?.as_mut()? {
        Entry::Client(client) => Some(client),
        Entry::Far(_) | Entry::Moving(_) | Entry::Leaving { .. } => None,
    }
}

/// When a connection that is paused for a time is to be read again.
fn resumes_at_ms(reading: Reading) -> u64 {
    match reading {
        Reading { is_paused: true, until_ms } if until_ms > 0 => until_ms,
        Reading { .. } => u64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::{Connection, ProxyRule, StreamLimits, StreamSetup};
    use crate::turn::{ListenerId, WorkerIndex};

    fn client() -> Client {
        let peer = "192.0.2.1:5000".parse().unwrap();
        let setup = StreamSetup {
            peer,
            local: peer,
            proxy: ProxyRule::Refused,
            only_tls: false,
            tls: None,
            web: None,
            limits: StreamLimits::default(),
        };
        Client::new(Connection::new(0, setup), ListenerId(0), peer, 0)
    }

    #[test]
    fn a_client_that_breaks_on_its_way_to_another_worker_is_counted() {
        let mut table = StreamTable::new(Arc::default(), 8);
        let stream = StreamId::new(0);
        table.insert(stream, client());
        let client = table.take(0, stream).unwrap();
        table.moves(stream, Moving { client, worker: WorkerIndex(1), request: [].into() });
        table.forget(stream);
        assert_eq!(table.counters.hang_ups(HangUp::Broke), 1);
    }

    #[test]
    fn far_sides_have_half_of_the_places_and_give_them_back() {
        let mut table = StreamTable::new(Arc::default(), 4);
        for place in [0, 1] {
            assert!(table.has_far_place());
            table.insert_far(StreamId::new(place), Far::connected(FarPurpose::Web));
        }
        assert!(!table.has_far_place());
        assert_eq!(table.counters.pipes.far_sides_refused, 1);
        table.take_far(StreamId::new(0)).unwrap();
        assert!(table.has_far_place());
    }
}
