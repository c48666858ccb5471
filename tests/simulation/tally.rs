//! What stories have seen, added up.

use std::collections::BTreeMap;

use uturn::stream::HangUp;

/// What ends connections in a story.
const HANG_UPS: [HangUp; 10] = [
    HangUp::Left,
    HangUp::Broke,
    HangUp::ServerEnds,
    HangUp::Displaced,
    HangUp::UnknownProtocol,
    HangUp::FirstTimeout,
    HangUp::BadFrame,
    HangUp::FrameTimeout,
    HangUp::NoAllocation,
    HangUp::WriteTimeout,
];

/// What a story has seen: a story in which nothing happened proves nothing.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) steps: u64,
    pub(crate) turns: u64,
    pub(crate) datagrams: u64,
    pub(crate) trains: u64,
    pub(crate) later: u64,
    pub(crate) to_peers: u64,
    pub(crate) forwarded_to_peers: u64,
    pub(crate) forwarded_to_clients: u64,
    pub(crate) to_clients: u64,
    pub(crate) hairpins: u64,
    pub(crate) hand_overs: u64,
    pub(crate) taken_over: u64,
    pub(crate) misrouted: u64,
    pub(crate) redeemed_elsewhere: u64,
    pub(crate) drawn_elsewhere: u64,
    pub(crate) refused: u64,
    pub(crate) no_buffer: u64,
    pub(crate) broken: u64,
    pub(crate) unsent: u64,
    pub(crate) stalls: u64,
    pub(crate) late_wakes: u64,
    pub(crate) idle_wakes: u64,
    pub(crate) clock_jumps: u64,
    pub(crate) closed: u64,
    pub(crate) listed: u64,
    pub(crate) listeners_opened: u64,
    pub(crate) killed: u64,
    pub(crate) changed: u64,
    pub(crate) drained: u64,
    pub(crate) found_full: u64,
    pub(crate) overflows: u64,
    pub(crate) streams: u64,
    pub(crate) streams_reset: u64,
    pub(crate) streams_expired: u64,
    pub(crate) streams_waited: u64,
    pub(crate) acceptors_broken: u64,
    pub(crate) stream_frames: u64,
    pub(crate) frames_cut: u64,
    pub(crate) to_streams: u64,
    pub(crate) media_skipped: u64,
    pub(crate) media_full: u64,
    pub(crate) disconnected: u64,
    pub(crate) abandoned: u64,
    pub(crate) unheard: u64,
    pub(crate) codes: BTreeMap<u16, u64>,
    /// Why connections were closed.
    pub(crate) hang_ups: BTreeMap<HangUp, u64>,
    stories: u64,
    pub(crate) torn: u64,
}

impl Tally {
    fn counts(&mut self) -> [&mut u64; 44] {
        [
            &mut self.steps,
            &mut self.turns,
            &mut self.datagrams,
            &mut self.trains,
            &mut self.later,
            &mut self.to_peers,
            &mut self.forwarded_to_peers,
            &mut self.forwarded_to_clients,
            &mut self.to_clients,
            &mut self.hairpins,
            &mut self.hand_overs,
            &mut self.taken_over,
            &mut self.misrouted,
            &mut self.redeemed_elsewhere,
            &mut self.drawn_elsewhere,
            &mut self.refused,
            &mut self.no_buffer,
            &mut self.broken,
            &mut self.unsent,
            &mut self.stalls,
            &mut self.late_wakes,
            &mut self.idle_wakes,
            &mut self.clock_jumps,
            &mut self.closed,
            &mut self.listed,
            &mut self.listeners_opened,
            &mut self.killed,
            &mut self.changed,
            &mut self.drained,
            &mut self.found_full,
            &mut self.overflows,
            &mut self.streams,
            &mut self.streams_reset,
            &mut self.streams_expired,
            &mut self.streams_waited,
            &mut self.acceptors_broken,
            &mut self.stream_frames,
            &mut self.frames_cut,
            &mut self.to_streams,
            &mut self.media_skipped,
            &mut self.media_full,
            &mut self.disconnected,
            &mut self.abandoned,
            &mut self.unheard,
        ]
    }

    pub(crate) fn add(&mut self, mut other: Tally) {
        let counts = self.counts().into_iter().zip(other.counts());
        counts.for_each(|(sum, count)| *sum += *count);
        self.stories += 1;
        self.torn += other.torn;
        for (code, count) in &other.codes {
            *self.codes.entry(*code).or_default() += count;
        }
        for (reason, count) in &other.hang_ups {
            *self.hang_ups.entry(*reason).or_default() += count;
        }
    }

    /// Every path was taken by some story.
    pub(crate) fn assert_rich(&mut self) {
        let is_rich = self.counts().iter().all(|count| **count > 0);
        assert!(is_rich, "{self:?}");
        assert!(self.torn * 20 <= self.stories, "too few are told to their end: {self:?}");
        for code in [300, 400, 401, 403, 437, 438, 440, 441, 443, 486, 508] {
            assert!(self.codes.contains_key(&code), "no {code} in any story");
        }
        for reason in HANG_UPS {
            assert!(self.hang_ups.contains_key(&reason), "{reason:?} in no story");
        }
    }
}
