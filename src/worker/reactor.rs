//! The loop of one worker: reap a batch, act on it, submit once.

use std::{io, sync::Arc, time::Duration};

use crossbeam_channel::Receiver;

use super::{
    clock::{self, Clock},
    data::{
        owners::FlowOwners,
        sockets::{Listener, Role, Sockets},
    },
    effects::{
        departures::Departures,
        forwarder::{Forwarder, NoForwarder},
        pending::PendingSockets,
    },
    mail::{
        handoff::OpenBatches,
        mailbox::{Mail, Mailboxes},
    },
    start::listen::ListenerSockets,
    status::{
        report::{Report, Tell},
        snapshot::{Counters, Snapshot},
    },
    stream::{bounds::rules::StreamRules, table::StreamTable},
};
use crate::{
    io::{Driver, Event, Received, SocketId, Wait},
    turn::{ListenerId, Now, REPLY_BYTES, Server, WorkerIndex, earliest},
};

/// How soon a message that found an inbox full is posted again.
const RETRY: Duration = Duration::from_millis(1);

/// One worker: a state machine and a driver, and the glue between them.
///
/// [`spawn`](super::spawn) has a thread run each; [`assemble`](super::assemble) gives them to
/// whoever takes their turns.
pub struct Worker<D> {
    pub(super) index: WorkerIndex,
    pub(super) driver: D,
    pub(super) server: Server,
    pub(super) sockets: Sockets,
    pub(super) pending_sockets: PendingSockets,
    pub(super) departures: Departures,
    pub(super) mailboxes: Mailboxes,
    pub(super) batches: OpenBatches,
    pub(super) owners: FlowOwners,
    pub(super) tell: Tell,
    pub(super) reply: Box<[u8; REPLY_BYTES]>,
    pub(super) counters: Counters,
    pub(super) forwarder: Box<dyn Forwarder>,
    pub(super) streams: StreamTable,
    /// The end has been asked for: until when connections have for it.
    pub(super) ends_at_ms: Option<u64>,
    stopping: bool,
    /// What the kernel had dropped at listening sockets that are closed.
    closed_overflow: u64,
    clock: Clock,
    /// The time of the turn before.
    now: Now,
    inbox: Receiver<Mail>,
}

/// What a worker is made of.
pub(super) struct Parts<D> {
    /// Its place in the process.
    pub index: WorkerIndex,
    /// Its rings, buffers and sockets.
    pub driver: D,
    /// Its state machine.
    pub server: Server,
    /// Its listening sockets, already open in the driver, in the order of their names.
    pub listeners: Vec<Listener>,
    /// Sockets of reserved ports that it may hold at a time.
    pub reserved_sockets: u32,
    /// What the operator decides about connections.
    pub stream_rules: Arc<StreamRules>,
    /// Connections that it may hold at a time.
    pub most_streams: u32,
    /// The clock all workers share.
    pub clock: Clock,
    /// Where its mail arrives.
    pub inbox: Receiver<Mail>,
    /// Its way to the other workers.
    pub mailboxes: Mailboxes,
    /// Its batches.
    pub batches: OpenBatches,
    /// What it knows of the other workers' clients.
    pub owners: FlowOwners,
    /// Its way to the control thread.
    pub tell: Tell,
}

impl<D: Driver> Worker<D> {
    /// Puts a worker together.
    pub(super) fn new(parts: Parts<D>) -> Worker<D> {
        let mut sockets = Sockets::new(parts.reserved_sockets);
        for (id, listener) in parts.listeners.into_iter().enumerate() {
            sockets.listen(ListenerId(id as u16), listener);
        }
        Worker {
            index: parts.index,
            driver: parts.driver,
            server: parts.server,
            sockets,
            pending_sockets: PendingSockets::default(),
            departures: Departures::default(),
            mailboxes: parts.mailboxes,
            batches: parts.batches,
            owners: parts.owners,
            tell: parts.tell,
            reply: Box::new([0; REPLY_BYTES]),
            counters: Counters::default(),
            forwarder: Box::new(NoForwarder),
            streams: StreamTable::new(parts.stream_rules, parts.most_streams),
            ends_at_ms: None,
            stopping: false,
            closed_overflow: 0,
            now: parts.clock.now(),
            clock: parts.clock,
            inbox: parts.inbox,
        }
    }

    /// Serves until [`Mail::Stop`] arrives and says what was done.
    ///
    /// # Errors
    /// When the ring itself fails, which leaves nothing to serve with.
    pub(super) fn run(mut self) -> io::Result<Snapshot> {
        self.now = self.clock.now();
        while !self.is_stopping() {
            self.turn()?;
        }
        self.end()
    }

    /// Tells a forwarder from now on which channels may be served without asking. To be set before
    /// the first turn.
    pub fn set_forwarder(&mut self, forwarder: Box<dyn Forwarder>) {
        self.forwarder = forwarder;
    }

    /// Whether the order to stop has arrived: there is no next turn.
    pub fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Sends what the last calls queued, such as answers, and says what was done.
    ///
    /// # Errors
    /// As for [`turn`](Self::turn).
    pub fn end(mut self) -> io::Result<Snapshot> {
        self.driver.turn(Wait::None)?;
        Ok(self.snapshot())
    }

    /// One turn of the loop: one entry into the kernel, one look at the clock.
    ///
    /// # Errors
    /// When the ring itself fails.
    pub fn turn(&mut self) -> io::Result<()> {
        let due_ms = self.next_deadline_ms();
        self.driver.turn(self.wait_until(due_ms))?;
        let now = self.clock.now();
        self.now = now;
        if due_ms.is_some_and(|due_ms| due_ms <= now.mono_ms) {
            self.advance(now);
        }
        // Message before packets: who owns a five-tuple was posted before its client could send
        // one.
        self.read_messages(now);
        let mut events = 0;
        while let Some(event) = self.driver.next() {
            self.on_event(now, event);
            events += 1;
        }
        self.step_handshakes(now, events);
        self.flush_streams(now);
        let may_end = |ends_at_ms| self.streams.is_empty() || ends_at_ms <= now.mono_ms;
        self.stopping = self.ends_at_ms.is_some_and(may_end);
        if self.stopping {
            // Whoever has allocated while connections were closed is told of, too.
            self.server.shut_down(now);
            self.carry_out(now);
        }
        self.batches.flush(&self.mailboxes);
        self.mailboxes.retry();
        Ok(())
    }

    /// What this worker has done so far.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            index: self.index,
            turn: self.server.counters().clone(),
            io: *self.driver.counters(),
            held: self.driver.hold_times().clone(),
            worker: self.counters(),
            ports: self.server.port_use(),
            listener_overflow: self.listener_overflow(),
            streams: self.streams.counters,
        }
    }

    /// Its state machine, to look at.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// What went wrong beside the state machine and the driver.
    pub fn counters(&self) -> Counters {
        Counters {
            hand_over_dropped: self.batches.dropped(),
            claims_dropped: self.mailboxes.claims_dropped(),
            ..self.counters
        }
    }

    /// Adds up what the kernel dropped at the listening sockets, as far as it says so.
    fn listener_overflow(&self) -> u64 {
        let open = self.sockets.listening();
        let open: u64 = open.filter_map(|socket| self.driver.kernel_drops(socket)).sum();
        self.closed_overflow + open
    }

    /// How long the next turn may sleep where nothing arrives.
    pub fn next_wait(&self) -> Wait {
        self.wait_until(self.next_deadline_ms())
    }

    fn wait_until(&self, due_ms: Option<u64>) -> Wait {
        if self.mailboxes.has_waiting() || self.batches.has_open() {
            return Wait::For(RETRY);
        }
        if self.has_steps() {
            return Wait::None;
        }
        match due_ms {
            Some(deadline_ms) => Wait::For(clock::until(self.now, deadline_ms)),
            None => Wait::Forever,
        }
    }

    /// When something is over next, of allocations, connections, or all of it.
    fn next_deadline_ms(&self) -> Option<u64> {
        let streams_ms = self.streams.next_deadline_ms();
        earliest(earliest(self.server.next_deadline(), streams_ms), self.ends_at_ms)
    }

    fn advance(&mut self, now: Now) {
        if self.server.next_deadline().is_some_and(|deadline_ms| deadline_ms <= now.mono_ms) {
            self.server.advance(now);
            self.carry_out(now);
        }
        self.expire_streams(now);
    }

    fn on_event(&mut self, now: Now, event: Event) {
        match event {
            Event::Received(received) => self.on_received(now, received),
            Event::Woken => self.read_messages(now),
            Event::Opened(socket) => self.on_opened(now, socket),
            Event::Refused(socket, errno) => self.on_refused(now, socket, errno),
            Event::Closed(socket) => self.on_closed(now, socket),
            Event::Taken(socket, descriptor) => self.on_taken(socket, descriptor),
            Event::Broken(socket, errno) => self.on_broken(socket, errno),
            Event::SegmentationOff => self.report(Report::SegmentationOff),
            Event::SegmentationOn => self.report(Report::SegmentationOn),
            Event::Stream(event) => self.on_stream(now, event),
        }
    }

    fn on_received(&mut self, now: Now, received: Received) {
        match self.sockets.role(received.socket) {
            Some(Role::Listener(listener)) => self.receive_from_client(now, listener, received),
            Some(Role::Relay(relay)) => self.receive_from_peer(now, relay, received),
            None => debug_assert!(false, "an open socket has a role"),
        }
    }

    /// The kernel let go of a socket: only now is its port free again.
    fn on_closed(&mut self, now: Now, socket: SocketId) {
        if self.depart(socket, None) {
            return;
        }
        if let Some(Role::Relay(relay)) = self.sockets.forget(socket) {
            self.server.released(relay);
            self.carry_out(now);
        }
    }

    /// Reports that a socket is of no more use, by its address.
    pub(super) fn report_broken(&mut self, role: Role, errno: i32) {
        let local = match role {
            Role::Listener(_) => None,
            Role::Relay(relay) => Some(self.server.local(relay)),
        };
        self.report(Report::SocketBroken { role, local, errno });
    }

    fn on_broken(&mut self, socket: SocketId, errno: i32) {
        self.counters.relays_broken += 1;
        if let Some(role) = self.sockets.role(socket) {
            self.report_broken(role, errno);
        }
    }

    fn read_messages(&mut self, now: Now) {
        // To find out that there is none costs less in this way, and a turn does so each time.
        if self.inbox.is_empty() {
            return;
        }
        while let Ok(mail) = self.inbox.try_recv() {
            self.on_message(now, mail);
        }
    }

    /// Listens on one more address.
    pub(super) fn listen(&mut self, id: ListenerId, sockets: ListenerSockets) {
        match Listener::open(&mut self.driver, sockets) {
            Ok(listener) => {
                let before = self.sockets.listen(id, listener);
                debug_assert!(before.is_none(), "an address is closed before it is opened again");
            }
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or_default();
                self.report_broken(Role::Listener(id), errno);
            }
        }
    }

    /// Listens on an address no more.
    pub(super) fn stop_listening(&mut self, id: ListenerId) {
        let Some(listener) = self.sockets.stop_listening(id) else { return };
        for socket in listener.sockets() {
            self.closed_overflow += self.driver.kernel_drops(socket).unwrap_or_default();
            self.driver.close(socket);
        }
        if let Listener::Streams(acceptor, _) = listener {
            self.driver.stop_accepting(acceptor);
        }
    }

    pub(super) fn report(&mut self, report: Report) {
        (self.tell)(self.index, report);
    }

    /// Closes whatever socket a relay has, which is gone when the kernel says so.
    pub(super) fn close_relay(&mut self, relay: crate::turn::RelayId) {
        if let Some(acceptor) = self.sockets.take_acceptor(relay) {
            self.driver.stop_accepting(acceptor);
            return self.server.released(relay);
        }
        match self.sockets.take(relay) {
            Some(socket) => self.driver.close(socket),
            None => self.server.released(relay),
        }
    }
}
