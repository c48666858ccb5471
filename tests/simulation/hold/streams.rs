//! Connections: what comes of their bytes, how they end, and what they are written.

use std::net::SocketAddr;

use uturn::{io::HangUpHow, stream::HangUp, turn::Cause};

use super::payload::{Buffer, check_indication};
use crate::{
    line::frames,
    machine::Deed,
    model::{Arrival as Asked, Expect, MOST_ANSWERS, Media, Owed, Stage},
    packet::Ask,
    run::Story,
    wires::StreamNews,
};

impl Story {
    /// The driver told a worker of a connection.
    pub(super) fn took_of_stream(&mut self, worker: u8, client: SocketAddr, news: &StreamNews) {
        if !matches!(news, StreamNews::Syn(..)) && !self.model.streams.open.contains_key(&client) {
            return;
        }
        match news {
            StreamNews::Syn(..) => self.accepted(worker, client),
            StreamNews::Bytes(bytes) => self.reach_stream(worker, client, bytes.len()),
            StreamNews::Fin => {
                let now_ms = self.now_ms;
                let stream = self.stream(client);
                stream.drain(now_ms, HangUp::Left);
                stream.has_finished = true;
                if stream.is_lingering {
                    return self.hangs_up(worker, client, HangUp::AnswersUsedUp);
                }
                self.lose_stream(worker, client);
            }
            StreamNews::Reset => {
                self.lose_stream(worker, client);
                self.model.streams.end(client, HangUp::Broke);
                self.tally.streams_reset += 1;
            }
            StreamNews::Room(_) => {
                if let Some(reason) = self.stream(client).written() {
                    self.hangs_up(worker, client, reason);
                }
            }
            StreamNews::Gone => panic!("{client} is gone before it was hung up"),
            StreamNews::Connected(_)
            | StreamNews::Refused(_)
            | StreamNews::ReadOn
            | StreamNews::Leave => panic!("{client} is no peer's: {news:?}"),
        }
    }

    fn stream(&mut self, client: SocketAddr) -> &mut crate::model::Stream {
        self.model.streams.open.get_mut(&client).expect("a connection")
    }

    fn accepted(&mut self, worker: u8, client: SocketAddr) {
        if self.model.streams.refusing.contains(&worker) {
            let deed = self.deeds.pop_front();
            let is_refused =
                matches!(deed, Some(Deed::HungUp(it, HangUpHow::Reset)) if it == client);
            assert!(is_refused, "{client} is taken by a worker that ends: {deed:?}");
            return self.model.streams.end(client, HangUp::ServerEnds);
        }
        self.model.streams.accepted += 1;
        let (now_ms, serial) = (self.now_ms, self.model.streams.accepted);
        self.stream(client).accepted(now_ms, serial);
        self.tally.streams += 1;
        if let Some(oldest) = self.model.streams.displaced(worker) {
            self.hangs_up(worker, oldest, HangUp::Displaced);
        }
    }

    /// Bytes reach a worker: of the packets that are whole with them it judges each.
    fn reach_stream(&mut self, worker: u8, client: SocketAddr, bytes: usize) {
        let now_ms = self.now_ms;
        let stream = self.stream(client);
        if matches!(stream.stage, Stage::Draining(_)) {
            return;
        }
        let had_begun = stream.has_begun();
        let (whole, end) = stream.receive(now_ms, bytes);
        self.tally.stream_frames += whole.len() as u64;
        self.tally.frames_cut += u64::from(had_begun && !whole.is_empty());
        for (place, packet) in whole.iter().enumerate() {
            if self.is_let_go(client) {
                break;
            }
            // One that came in pieces may need a buffer of its own, which may not be there.
            let is_copied = place == 0 && had_begun;
            let has_copy = is_copied && matches!(self.deeds.front(), Some(Deed::Blank(_)));
            if has_copy && !self.has_buffer(Buffer::Blank, packet) {
                continue;
            }
            if !self.model.streams.open.contains_key(&client) {
                return;
            }
            self.reach_server(worker, client, packet);
        }
        if let Some(reason) = end {
            self.hangs_up(worker, client, reason);
        }
    }

    /// Whether a connection is about to end: nothing more of it is read.
    fn is_let_go(&self, client: SocketAddr) -> bool {
        let stream = self.model.streams.open.get(&client);
        stream.is_some_and(|it| matches!(it.stage, Stage::Draining(_)))
    }

    /// A client that has not logged in has had all its answers: it is let go.
    pub(super) fn is_answered_no_more(&mut self, worker: u8, client: SocketAddr) {
        self.model.sums.dropped += 1;
        self.tally.unheard += 1;
        let now_ms = self.now_ms;
        self.stream(client).drain(now_ms, HangUp::AnswersUsedUp);
        self.lose_stream(worker, client);
    }

    /// A client is gone, and its allocation and whatever it waited for with it.
    fn lose_stream(&mut self, worker: u8, client: SocketAddr) {
        if self.model.live(client, self.now_ms).is_some() {
            self.model.end(client, Cause::Disconnected);
            self.tally.disconnected += 1;
        }
        if let Some(opening) = self.model.openings.remove(&client) {
            self.model.abandoned.insert(client, opening);
            self.tally.abandoned += 1;
        }
        self.settle_news(worker, None);
    }

    /// A worker ends a connection, and its client's allocation with it.
    pub(super) fn hangs_up(&mut self, worker: u8, client: SocketAddr, reason: HangUp) {
        self.lose_stream(worker, client);
        let how = match reason {
            HangUp::Displaced | HangUp::WriteTimeout | HangUp::TooManyAnswers => HangUpHow::Reset,
            _ => HangUpHow::Close,
        };
        match self.deeds.pop_front() {
            Some(Deed::HungUp(it, was)) if (it, was) == (client, how) => {}
            deed => panic!("{client} is to be hung up, {reason:?}, not {deed:?}"),
        }
        self.model.streams.end(client, reason);
    }

    /// Connections whose time is over are ended, in whatever order.
    pub(super) fn expire_streams(&mut self, worker: u8) {
        loop {
            let overdue = self.model.streams.overdue(worker, self.now_ms);
            let next = self.deeds.iter().find_map(|deed| match deed {
                Deed::HungUp(client, _) => overdue.iter().find(|(it, _)| it == client),
                _ => None,
            });
            let Some((client, reason)) = next.copied() else {
                return assert!(overdue.is_empty(), "{overdue:?} should be over");
            };
            self.hangs_up(worker, client, reason);
            self.tally.streams_expired += 1;
        }
    }

    /// An answer waits to be written.
    pub(super) fn owe(&mut self, asked: Asked<'_>, expect: Expect) {
        let Asked { worker, client, request, .. } = asked;
        let Some(stream) = self.model.streams.open.get_mut(&client) else { return };
        if matches!(stream.stage, Stage::Draining(_)) {
            return;
        }
        if stream.answers.len() == MOST_ANSWERS {
            return self.hangs_up(worker, client, HangUp::TooManyAnswers);
        }
        let (request, unix_s) = (request.clone(), self.model.unix_s);
        stream.answers.push_back(Owed { worker, request, expect, unix_s, granted: None });
    }

    /// A payload waits to be written.
    pub(super) fn queue(
        &mut self,
        (client, sender, channel): (SocketAddr, SocketAddr, Option<u16>),
        payload: &[u8],
    ) {
        let queued_ms = self.now_ms;
        let stream = self.model.streams.open.get_mut(&client);
        let Some(stream) = stream else { panic!("{client} has no connection") };
        if !matches!(stream.stage, Stage::Draining(_)) {
            let payload = payload.to_vec();
            stream.media.push_back(Media { queued_ms, sender, channel, payload });
        }
    }

    /// At the end of a turn whoever has something to say and is not saying anything does.
    pub(super) fn flush_streams(&mut self, worker: u8) {
        loop {
            match self.deeds.front() {
                Some(Deed::Wrote(..)) => {
                    let Some(Deed::Wrote(client, bytes)) = self.deeds.pop_front() else { return };
                    self.wrote(client, &bytes);
                }
                Some(Deed::HungUp(client, _)) => {
                    let client = *client;
                    let stream = self.stream(client);
                    assert!(stream.has_output() && stream.answers.is_empty(), "{stream:?}");
                    let Stage::Draining(reason) = stream.stage else { panic!("{stream:?}") };
                    self.hangs_up(worker, client, reason);
                }
                _ => break,
            }
        }
        for client in self.model.streams.with_output(worker) {
            let now_ms = self.now_ms;
            let stream = self.stream(client);
            let has_words = !stream.answers.is_empty();
            let is_over = matches!(stream.stage, Stage::Draining(_));
            let is_late = stream.media.iter().all(|media| media.is_late(now_ms));
            assert!(!has_words && !is_over && is_late, "nothing was written: {stream:?}");
            self.model.streams.skipped += self.stream(client).media.drain(..).count() as u64;
        }
        let open = self.model.streams.open.values_mut();
        open.filter(|it| it.worker == worker).for_each(crate::model::Stream::linger);
    }

    /// A write begins: all that waits, answers first, but for what is late or had no room.
    fn wrote(&mut self, client: SocketAddr, bytes: &[u8]) {
        let now_ms = self.now_ms;
        let stream = self.stream(client);
        assert!(stream.has_output(), "{stream:?} has nothing to say");
        let (answers, mut media) =
            (std::mem::take(&mut stream.answers), std::mem::take(&mut stream.media));
        stream.writes(now_ms);
        let (frames, rest) = frames(bytes);
        assert!(rest.is_empty() && frames.len() >= answers.len(), "{client}: {frames:?} {rest:?}");
        let (said, sent) = frames.split_at(answers.len());
        for (owed, answer) in answers.into_iter().zip(said) {
            self.said(client, &owed, answer);
        }
        let skipped = media.len().checked_sub(sent.len()).expect("nothing is made up");
        for media in media.drain(..skipped) {
            self.model.streams.skipped += 1;
            self.model.streams.skipped_early += u64::from(!media.is_late(now_ms));
        }
        for (media, frame) in media.iter().zip(sent) {
            assert!(!media.is_late(now_ms), "{media:?} is late for {client}");
            check_frame(media, frame);
        }
        self.tally.media_skipped += skipped as u64;
    }

    /// An answer is written to its client.
    fn said(&mut self, client: SocketAddr, owed: &Owed, answer: &[u8]) {
        let request = &owed.request;
        let asked = Asked { now_ms: self.now_ms, worker: owed.worker, client, request };
        self.check_answer(asked, (owed.expect, owed.unix_s), answer);
        if let (Some(granted), Ask::Allocate(wish)) = (&owed.granted, &request.ask) {
            self.model.granted(client, (wish, granted), answer);
        }
    }

    /// Whoever waited for an Allocate is gone: what it drew is given back.
    pub(super) fn conclude_abandoned(&mut self, worker: u8, client: SocketAddr) {
        self.settle_news(worker, Some(client));
        let attempt = self.node.attempts.get(&client);
        if attempt.is_some_and(|attempt| !attempt.awaited.is_empty()) {
            return;
        }
        let opening = self.model.abandoned.remove(&client).expect("one that waits");
        assert_eq!(opening.worker, worker);
        self.node.drawn.remove(&client);
        self.node.attempts.remove(&client);
        self.model.sums.dropped += 1;
    }

    /// The order to end reaches a worker: each connection has two seconds for its last words.
    pub(super) fn drain_streams(&mut self, worker: u8) {
        let now_ms = self.now_ms;
        while let Some(Deed::HungUp(client, _)) = self.deeds.front()
            && self.model.streams.open[client].is_lingering
        {
            self.hangs_up(worker, *client, HangUp::ServerEnds);
        }
        let open = self.model.streams.open.values_mut();
        for stream in open.filter(|it| it.worker == worker && it.serial.is_some()) {
            stream.drain(now_ms, HangUp::ServerEnds);
        }
    }

    /// Workers have counted what has become of connections as the model has.
    pub(crate) fn check_streams(&mut self) {
        let workers = self.node.workers.iter().flatten().map(|it| it.snapshot().streams);
        let all: Vec<_> = workers.chain(self.gone.iter().map(|it| it.streams)).collect();
        let sum = |of: fn(&uturn::worker::StreamCounters) -> u64| all.iter().map(of).sum::<u64>();
        let streams = &self.model.streams;
        assert_eq!(sum(|it| it.accepted), streams.accepted);
        for reason in HangUp::ALL {
            let counted: u64 = all.iter().map(|it| it.hang_ups(*reason)).sum();
            let expected = streams.hang_ups.get(reason).copied().unwrap_or_default();
            assert_eq!(counted, expected, "{reason:?}");
        }
        let dropped = sum(|it| it.dropped_late) + sum(|it| it.dropped_full);
        assert!(streams.skipped_early <= sum(|it| it.dropped_full));
        assert!((streams.skipped..=streams.skipped + streams.unshown()).contains(&dropped));
        assert_eq!(sum(|it| it.dropped_gone), 0);
        self.tally.media_full = sum(|it| it.dropped_full);
        if !self.is_shut_down {
            let open = streams.open.values().filter(|it| it.serial.is_some());
            let strangers = open.clone().filter(|it| it.is_stranger);
            assert_eq!(sum(|it| it.open), open.count() as u64);
            assert_eq!(sum(|it| it.strangers), strangers.count() as u64);
        }
    }
}

/// A frame for a client is what a peer has sent, padded.
fn check_frame(media: &Media, frame: &[u8]) {
    assert_eq!(frame.len(), media.bytes(), "{media:?}");
    let Some(number) = media.channel else {
        return check_indication(frame, media.sender, &media.payload);
    };
    let length = media.payload.len() as u16;
    let padding = vec![0; media.payload.len().next_multiple_of(4) - media.payload.len()];
    let header = [number.to_be_bytes(), length.to_be_bytes()].concat();
    assert_eq!(frame, [&header, &*media.payload, &padding].concat(), "{media:?}");
}
