//! What must come of connections: frames in order whatever the cuts, an end at its time and not
//! before, and what waits for a client to read.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
};

use uturn::{stream::HangUp, wire::Message};

use super::{Expect, Model, relayed_addresses};
use crate::packet::{Ask, Packet, Request, Wish};

const FIRST_MS: u64 = 5_000;
const UNALLOCATED_MS: u64 = 15_000;
const BINDINGS_MS: u64 = 60_000;
const BETWEEN_MS: u64 = 60_000;
const FRAME_MS: u64 = 10_000;
const WRITE_MS: u64 = 30_000;
const DRAINING_MS: u64 = 2_000;
/// Deadlines are this late at most where a worker is not.
const GRAIN_MS: u64 = 100;
/// Answers that wait for a client to read them.
pub(crate) const MOST_ANSWERS: usize = 64;
/// Answers to a client that has not shown who it is.
const STRANGER_ANSWERS: u32 = 64;
/// Media that has waited for longer is not sent.
const DELAY_MS: u64 = 250;

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Stage {
    First,
    Turn,
    Draining(HangUp),
}

/// An answer that its client has not been sent.
#[derive(Debug, Clone)]
pub(crate) struct Owed {
    pub(crate) worker: u8,
    pub(crate) request: Request,
    pub(crate) expect: Expect,
    pub(crate) unix_s: u64,
    /// What an Allocate was granted: addresses, milliseconds, and what its reservation is called
    /// until the token is known.
    pub(crate) granted: Option<Granted>,
}

#[derive(Debug, Clone)]
pub(crate) struct Granted {
    pub(crate) relayed: Vec<SocketAddr>,
    pub(crate) lifetime_ms: u64,
    pub(crate) unknown_token: [u8; 8],
}

/// A payload for a client that it has not been sent.
#[derive(Debug, Clone)]
pub(crate) struct Media {
    pub(crate) queued_ms: u64,
    pub(crate) sender: SocketAddr,
    pub(crate) channel: Option<u16>,
    pub(crate) payload: Vec<u8>,
}

impl Media {
    /// Bytes of its frame.
    pub(crate) fn bytes(&self) -> usize {
        let header = match (self.channel, self.sender) {
            (Some(_), _) => 4,
            (None, SocketAddr::V4(_)) => 20 + 12 + 4,
            (None, SocketAddr::V6(_)) => 20 + 24 + 4,
        };
        header + self.payload.len().next_multiple_of(4)
    }

    pub(crate) fn is_late(&self, now_ms: u64) -> bool {
        now_ms - self.queued_ms > DELAY_MS
    }
}

/// A client's connection.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) worker: u8,
    /// `None` before it is accepted; otherwise tells which came first.
    pub(crate) serial: Option<u64>,
    pub(crate) stage: Stage,
    pub(crate) is_stranger: bool,
    /// Answers since it was last known.
    strange_answers: u32,
    turn_ms: u64,
    stage_ms: u64,
    frame_ms: u64,
    write_ms: u64,
    /// What the client has sent, with the bytes it takes, and how many of the first have come.
    pub(crate) coming: VecDeque<(Packet, usize)>,
    carried: usize,
    pub(crate) answers: VecDeque<Owed>,
    pub(crate) media: VecDeque<Media>,
    /// Media that waited when it began to drain.
    lost: u64,
    /// A write is under way; what comes after it.
    pub(crate) writing: Option<Option<HangUp>>,
    /// Its client has sent its FIN.
    pub(crate) has_finished: bool,
    /// All is said, and the FIN of its client is waited for.
    pub(crate) is_lingering: bool,
}

impl Stream {
    pub(crate) fn new(worker: u8) -> Stream {
        Stream {
            worker,
            serial: None,
            stage: Stage::First,
            is_stranger: true,
            strange_answers: 0,
            turn_ms: 0,
            stage_ms: u64::MAX,
            frame_ms: u64::MAX,
            write_ms: u64::MAX,
            coming: VecDeque::new(),
            carried: 0,
            answers: VecDeque::new(),
            media: VecDeque::new(),
            lost: 0,
            writing: None,
            has_finished: false,
            is_lingering: false,
        }
    }

    pub(crate) fn accepted(&mut self, now_ms: u64, serial: u64) {
        self.serial = Some(serial);
        self.stage_ms = now_ms + FIRST_MS;
    }

    /// Takes so many bytes; gives the packets that are whole with them, whether the first of them
    /// had begun earlier, and why the connection ends, if it does.
    pub(crate) fn receive(&mut self, now_ms: u64, bytes: usize) -> (Vec<Packet>, Option<HangUp>) {
        self.carried += bytes;
        if self.stage == Stage::First {
            let first = self.coming.front().expect("it came from somewhere");
            if matches!(first.0, Packet::Junk(_) | Packet::Channel { .. }) {
                return (Vec::new(), Some(HangUp::UnknownProtocol));
            }
            self.stage = Stage::Turn;
            (self.turn_ms, self.stage_ms) = (now_ms, now_ms + UNALLOCATED_MS);
        }
        let mut whole = Vec::new();
        while let Some((packet, bytes)) = self.coming.front()
            && *bytes <= self.carried
            && !matches!(packet, Packet::Junk(_))
        {
            self.carried -= bytes;
            whole.extend(self.coming.pop_front().map(|(packet, _)| packet));
        }
        let is_junk = matches!(self.coming.front(), Some((Packet::Junk(_), _)));
        if is_junk && self.carried > 0 {
            return (whole, Some(HangUp::BadFrame));
        }
        let is_binding =
            |it: &Packet| matches!(it, Packet::Request(Request { ask: Ask::Binding, .. }));
        if whole.iter().any(is_binding) {
            self.stage_ms = self.stage_ms.max(self.turn_ms + BINDINGS_MS);
        }
        if self.carried == 0 {
            self.frame_ms = u64::MAX;
        } else if !whole.is_empty() || self.frame_ms == u64::MAX {
            self.frame_ms = now_ms + FRAME_MS;
        }
        (whole, None)
    }

    /// Bytes of a frame have come that is not whole.
    pub(crate) fn has_begun(&self) -> bool {
        self.carried > 0 && self.stage == Stage::Turn
    }

    pub(crate) fn allocated(&mut self) {
        self.is_stranger = false;
        if self.stage == Stage::Turn {
            self.stage_ms = u64::MAX;
        }
    }

    pub(crate) fn deallocated(&mut self, now_ms: u64) {
        if self.stage == Stage::Turn {
            self.stage_ms = now_ms + BETWEEN_MS;
        }
    }

    /// It is to end once its answers are written.
    pub(crate) fn drain(&mut self, now_ms: u64, reason: HangUp) {
        if matches!(self.stage, Stage::Draining(_)) {
            return;
        }
        self.stage = Stage::Draining(reason);
        (self.stage_ms, self.frame_ms) = (now_ms + DRAINING_MS, u64::MAX);
        self.lost += self.media.drain(..).count() as u64;
    }

    pub(crate) fn writes(&mut self, now_ms: u64) {
        self.writing = Some(match self.stage {
            Stage::Draining(reason) => Some(reason),
            Stage::First | Stage::Turn => None,
        });
        self.write_ms = now_ms + WRITE_MS;
    }

    /// A write is over: gives what follows.
    pub(crate) fn written(&mut self) -> Option<HangUp> {
        self.write_ms = u64::MAX;
        let end = self.writing.take().expect("one was under way");
        if end.is_some() {
            self.linger();
        }
        end.filter(|_| !self.is_lingering)
    }

    /// Whether the end of this turn must write something, or the end.
    pub(crate) fn has_output(&self) -> bool {
        let has_some = !self.answers.is_empty() || !self.media.is_empty();
        let is_over = matches!(self.stage, Stage::Draining(_)) && !self.waits_for_fin();
        self.serial.is_some() && self.writing.is_none() && (has_some || is_over)
    }

    /// Whether its client may still be sending at the end, so that its FIN is waited for.
    fn waits_for_fin(&self) -> bool {
        self.stage == Stage::Draining(HangUp::AnswersUsedUp) && !self.has_finished
    }

    /// Notes at the end of a turn that all is said, where the FIN of the client is waited for.
    pub(crate) fn linger(&mut self) {
        let all_is_said = self.writing.is_none() && self.answers.is_empty();
        self.is_lingering |= all_is_said && self.waits_for_fin();
    }

    /// Why its time is over, if it is.
    pub(crate) fn overdue(&self, now_ms: u64) -> Option<HangUp> {
        let due_ms = self.stage_ms.min(self.frame_ms).min(self.write_ms);
        if self.serial.is_none() || due_ms.checked_next_multiple_of(GRAIN_MS)? > now_ms {
            return None;
        }
        Some(match self.stage {
            Stage::Draining(reason) => reason,
            _ if self.write_ms <= now_ms => HangUp::WriteTimeout,
            _ if self.frame_ms <= now_ms => HangUp::FrameTimeout,
            Stage::First => HangUp::FirstTimeout,
            Stage::Turn => HangUp::NoAllocation,
        })
    }
}

/// All connections, and what has become of those that are gone.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    pub(crate) open: BTreeMap<SocketAddr, Stream>,
    pub(crate) hang_ups: BTreeMap<HangUp, u64>,
    pub(crate) accepted: u64,
    /// Media that a client was never sent, and how much of that was not late.
    pub(crate) skipped: u64,
    pub(crate) skipped_early: u64,
    /// Media that waited for clients whose connections ended.
    pub(crate) lost: u64,
    /// Workers that are about to end, and take nobody.
    pub(crate) refusing: BTreeSet<u8>,
    /// Connections of a worker at a time.
    pub(crate) most: usize,
}

impl Streams {
    /// The oldest connection of a worker without credentials, if there are too many.
    pub(crate) fn displaced(&self, worker: u8) -> Option<SocketAddr> {
        let mut strangers: Vec<_> = self
            .open
            .iter()
            .filter(|(_, it)| it.worker == worker && it.is_stranger)
            .filter_map(|(client, it)| Some((it.serial?, *client)))
            .collect();
        strangers.sort_unstable();
        let is_full = strangers.len() > (self.most / 4).max(1);
        is_full.then(|| strangers[0].1)
    }

    pub(crate) fn end(&mut self, client: SocketAddr, reason: HangUp) {
        let stream = self.open.remove(&client).expect("one that is there");
        self.lost += stream.lost + stream.media.len() as u64;
        *self.hang_ups.entry(reason).or_default() += 1;
    }

    /// Media that may have been dropped and that no write has shown to be.
    pub(crate) fn unshown(&self) -> u64 {
        let waiting = self.open.values().map(|it| it.lost + it.media.len() as u64);
        self.lost + waiting.sum::<u64>()
    }

    /// Those of a worker that have something to say.
    pub(crate) fn with_output(&self, worker: u8) -> Vec<SocketAddr> {
        let wanted = self.open.iter().filter(|(_, it)| it.worker == worker && it.has_output());
        wanted.map(|(client, _)| *client).collect()
    }

    pub(crate) fn overdue(&self, worker: u8, now_ms: u64) -> Vec<(SocketAddr, HangUp)> {
        let of_worker = self.open.iter().filter(|(_, it)| it.worker == worker);
        of_worker.filter_map(|(client, it)| Some((*client, it.overdue(now_ms)?))).collect()
    }
}

impl Model {
    /// Whether a client has a connection, by its port.
    pub(crate) fn is_stream(client: SocketAddr) -> bool {
        client.port() >= crate::scenario::STREAM_PORTS
    }

    /// To whom a nonce is given: a client over UDP, or an address for all of its connections.
    pub(crate) fn nonce_address(client: SocketAddr) -> SocketAddr {
        if Self::is_stream(client) { SocketAddr::new(client.ip(), 0) } else { client }
    }

    /// Whether a client that has not shown who it is has had all answers that there are for such.
    pub(crate) fn is_heard_no_more(&self, client: SocketAddr) -> bool {
        let stream = self.streams.open.get(&client);
        let has_had_all = stream.is_some_and(|it| it.strange_answers >= STRANGER_ANSWERS);
        has_had_all && !self.allocations.contains_key(&client)
    }

    /// Counts an answer to a request that proves nothing, until one does.
    pub(crate) fn note_stranger(&mut self, client: SocketAddr, request: &Request, expect: Expect) {
        let is_known = self.allocations.contains_key(&client);
        let Some(stream) = self.streams.open.get_mut(&client) else { return };
        let is_strange = request.ask == Ask::Binding || matches!(expect, Expect::Code(401 | 438));
        match (is_strange, is_known) {
            (true, false) => stream.strange_answers += 1,
            (true, true) => {}
            (false, _) => stream.strange_answers = 0,
        }
    }

    /// Notes what the answer that is owed last will say.
    pub(crate) fn owe_granted(&mut self, client: SocketAddr, granted: Granted) {
        let stream = self.streams.open.get_mut(&client);
        if let Some(owed) = stream.and_then(|it| it.answers.back_mut()) {
            owed.granted = Some(granted);
        }
    }

    /// An Allocate's answer has left: it says what was granted, and a token has its name.
    pub(crate) fn granted(
        &mut self,
        client: SocketAddr,
        (wish, granted): (&Wish, &Granted),
        answer: &[u8],
    ) {
        let message = Message::parse(answer).expect("answers are well-formed");
        assert_eq!(relayed_addresses(&message), granted.relayed);
        let token = self.check_granted(client, wish, granted, &message);
        if let Some(token) = token
            && let Some(held) = self.reservations.remove(&granted.unknown_token)
        {
            self.reservations.insert(token, held);
        }
    }
}
