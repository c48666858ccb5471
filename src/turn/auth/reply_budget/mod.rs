//! How much strangers are answered, and who of them first.
//!
//! Whoever forges a source has the answer sent to somebody who never asked: a 401 of 72 bytes for a
//! request of 20. So what one network, an IPv4 /24 or an IPv6 /56, is sent in answers to strangers
//! is bounded in bytes. Who shows that he can be reached is no stranger and not limited: he returns
//! a nonce that was given to his address, expired or not, or has an allocation.
//!
//! What was sent is a debt, counted in the time it takes to pay off. The larger it is, the more is
//! asked of a request before it is answered; between yes and no the odds fall in a straight line.
//!
//! ```text
//! debt of the network   0 s        0.5 s        1 s         1.5 s         2 s
//! any source            | answered | odds fall  |            |             |
//! a new one             | answered              | odds fall  |             |
//! … at a quiet address  | answered                           | odds fall   |
//! ```
//!
//! A source is an address with a port; it is new when it was not answered within 30 s. An address
//! (of IPv6: a /64) is quiet while it takes less than an eighth of its network's rate. What this
//! guarantees, for each network and worker, with `rate` bytes a second:
//!
//! - **Bound.** In w seconds no more than `rate` × (w + 2) bytes leave, and one answer.
//! - **A flood from no more sources than are remembered costs no newcomer an answer.** It keeps the
//!   debt below 1 s, where every new source is answered: one flooder, a hundred with some ports
//!   each, or one with all other ports of the newcomer's own address: each is new once in 30 s.
//! - **A flood from one address costs no quiet neighbour an answer**, even if no port comes twice:
//!   it keeps the debt below 1.5 s.
//! - **A flood with forged sources all over the network**, the newcomer's own among them, cannot be
//!   told from newcomers by anything they send. All have the same odds then, rate / flood, in
//!   whatever order they come, and one answer is all that a client needs. He asks seven times
//!   within 32 s (RFC 8489 §6.2.1): by default, 10,400 challenges a second, 99 of 100 clients get
//!   theirs beside 20,000 forged requests a second, 80 beside 50,000 and 54 beside 100,000.
//! - **A rush is no flood.** 5,000 clients behind one address that come at once are all answered.
//!
//! Challenges (401, 438) have three quarters of the bytes, Binding answers and other errors the
//! rest, so that neither is paid for by the other. The tables have a fixed size and are reached by
//! a seeded hash: nobody can choose whose cell he shares. Networks that share one share its rate,
//! and a flood forged from everywhere meets each cell with a 4096th of its packets.
//!
//! A flood from one source must not cost the time of all others: once one of its requests is
//! refused, the budget draws how many more are, until one would be answered. That many are refused
//! for the price of a comparison, within the same moment, with the same odds for each of them.

mod debt;
pub(in crate::turn) mod kind;
mod network;
mod recent;
mod source;
mod untold;

use std::net::SocketAddr;

use foldhash::quality::FixedState;

use self::{
    debt::{Debt, SECOND_NS},
    kind::ReplyKind,
    recent::Recent,
    source::Source,
    untold::Untold,
};
use crate::turn::{
    api::{now::Now, report::StrangersRefused},
    rng::Rng,
};

/// Cells for networks.
const NETWORKS: usize = 4096;

/// Cells for addresses.
const ADDRESSES: usize = 8192;

/// Of the debt of a network: from yes to no.
const STEP_NS: u64 = SECOND_NS / 2;

/// An address that takes this part of its network's rate is not quiet.
const QUIET_PART: u64 = 8;

/// Debt of an address, at that part of the rate, until which it is quiet.
const QUIET_NS: u64 = 2 * SECOND_NS;

/// Debt after which an address grows no louder: so long it takes to be quiet again.
const LOUDEST_NS: u64 = 2 * QUIET_NS;

/// Steps of the debt within which a new source at a quiet address is sure to be answered.
const STEPS_MAX: u64 = 3;

/// The budget of one worker.
pub(in crate::turn) struct ReplyBudget {
    bytes_per_s: u64,
    hasher: FixedState,
    networks: [Box<[Debt]>; 2],
    addresses: [Box<[Debt]>; 2],
    recent: Recent,
    latest: Option<Refusals>,
    untold: Option<Untold>,
}

/// The right to send one answer; what it weighs is still to be said.
#[derive(Debug)]
#[must_use]
pub(in crate::turn) struct Admitted(Source);

impl Admitted {
    /// True when answers of that kind are paid for with this.
    pub(in crate::turn) fn covers(&self, kind: ReplyKind) -> bool {
        self.0.purse == kind.purse()
    }
}

/// The source that was refused last, and what becomes of its next requests at the same moment.
#[derive(Debug)]
struct Refusals {
    source: Source,
    mono_ms: u64,
    odds: Odds,
    /// Requests that are refused before one is answered; `None` while nobody has asked again.
    left: Option<u64>,
}

/// What was drawn for a request before it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drawn {
    Refused,
    /// It is answered, if any is at all.
    Answered,
}

/// The odds of one request to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Odds {
    Sure,
    /// So many nanoseconds of [`STEP_NS`] speak against it; fewer than all.
    Against(u64),
    None,
}

impl ReplyBudget {
    /// Begins with nothing sent; 0 bytes a second is no limit. The seed keeps strangers from
    /// choosing whose cell they share.
    pub(in crate::turn) fn new(bytes_per_s: u32, seed: u64) -> ReplyBudget {
        ReplyBudget {
            bytes_per_s: bytes_per_s.into(),
            hasher: FixedState::with_seed(seed),
            networks: [(); 2].map(|()| vec![Debt::default(); NETWORKS].into()),
            addresses: [(); 2].map(|()| vec![Debt::default(); ADDRESSES].into()),
            recent: Recent::new(),
            latest: None,
            untold: None,
        }
    }

    /// Changes the rate; what has been sent stays a debt of as many seconds.
    pub(in crate::turn) fn set_rate(&mut self, bytes_per_s: u32) {
        self.bytes_per_s = bytes_per_s.into();
        self.latest = None;
    }

    /// Decides whether a stranger is answered; `None` when not.
    pub(in crate::turn) fn admit(
        &mut self,
        now: Now,
        client: SocketAddr,
        kind: ReplyKind,
        rng: &mut Rng,
    ) -> Option<Admitted> {
        let source = Source { client, purse: kind.purse() };
        if self.bytes_per_s == 0 {
            return Some(Admitted(source));
        }
        let drawn = self.drawn_before(now, source, rng);
        if drawn == Some(Drawn::Refused) {
            return None;
        }
        let odds = self.odds(now, source);
        let is_answered = match odds {
            Odds::Sure => true,
            Odds::Against(against_ns) => {
                drawn == Some(Drawn::Answered)
                    || rng.below(STEP_NS as usize).is_some_and(|drawn| drawn as u64 >= against_ns)
            }
            Odds::None => false,
        };
        self.latest =
            (!is_answered).then_some(Refusals { source, mono_ms: now.mono_ms, odds, left: None });
        is_answered.then_some(Admitted(source))
    }

    /// True for one more request of the source that was refused last, when it is refused, too. This
    /// is all that a refused request of a train costs.
    pub(in crate::turn) fn refuses_next(
        &mut self,
        now: Now,
        client: SocketAddr,
        kind: ReplyKind,
        rng: &mut Rng,
    ) -> bool {
        let source = Source { client, purse: kind.purse() };
        self.drawn_before(now, source, rng) == Some(Drawn::Refused)
    }

    /// Counts an answer that leaves.
    pub(in crate::turn) fn charge(&mut self, now: Now, admitted: &Admitted, bytes: usize) {
        if self.bytes_per_s == 0 {
            return;
        }
        let Admitted(source) = *admitted;
        let bytes_per_s = source.purse.bytes_per_s(self.bytes_per_s);
        let quiet_per_s = bytes_per_s / QUIET_PART;
        let (network, address) = (self.network_cell(source), self.address_cell(source));
        let purse = source.purse as usize;
        self.networks[purse][network].add(now, bytes, bytes_per_s, u64::MAX);
        self.addresses[purse][address].add(now, bytes, quiet_per_s, LOUDEST_NS);
        self.recent.record(now, source.socket(&self.hasher));
    }

    /// Counts answers that do not leave.
    pub(in crate::turn) fn refuse(
        &mut self,
        now: Now,
        client: SocketAddr,
        kind: ReplyKind,
        answers: u64,
    ) {
        match &mut self.untold {
            Some(untold) => untold.add(client.ip(), kind, answers),
            None => self.untold = Some(Untold::begin(now, client.ip(), kind, answers)),
        }
    }

    /// When there is something to tell.
    pub(in crate::turn) fn next_deadline_ms(&self) -> Option<u64> {
        self.untold.as_ref().map(|untold| untold.due_ms)
    }

    /// Takes what is to be told by then.
    pub(in crate::turn) fn tell(&mut self, now_ms: u64) -> Option<StrangersRefused> {
        self.untold.take_if(|untold| untold.due_ms <= now_ms).map(|untold| untold.told())
    }

    /// What was drawn for the next request of a source, if it is the one that was refused last.
    fn drawn_before(&mut self, now: Now, source: Source, rng: &mut Rng) -> Option<Drawn> {
        let latest = self.latest.as_mut()?;
        if latest.mono_ms != now.mono_ms || latest.source != source {
            return None;
        }
        let left = latest.left.get_or_insert_with(|| latest.odds.refusals(rng));
        let Some(fewer) = left.checked_sub(1) else { return Some(Drawn::Answered) };
        *left = fewer;
        Some(Drawn::Refused)
    }

    /// The odds of a source to be answered now. What decides by itself is looked at first.
    fn odds(&self, now: Now, source: Source) -> Odds {
        let purse = source.purse as usize;
        let debt_ns = self.networks[purse][self.network_cell(source)].left_ns(now);
        if debt_ns < STEP_NS {
            return Odds::Sure;
        }
        if debt_ns >= STEP_NS * (STEPS_MAX + 1) {
            return Odds::None;
        }
        match debt_ns.checked_sub(STEP_NS * self.steps(now, source)) {
            None => Odds::Sure,
            Some(over_ns) if over_ns >= STEP_NS => Odds::None,
            Some(over_ns) => Odds::Against(over_ns),
        }
    }

    /// Steps of the debt within which a source is sure to be answered.
    fn steps(&self, now: Now, source: Source) -> u64 {
        if self.recent.has(now, source.socket(&self.hasher)) {
            return 1;
        }
        let address = self.addresses[source.purse as usize][self.address_cell(source)];
        if address.left_ns(now) <= QUIET_NS { STEPS_MAX } else { 2 }
    }

    fn network_cell(&self, source: Source) -> usize {
        source.network(&self.hasher) as usize % NETWORKS
    }

    fn address_cell(&self, source: Source) -> usize {
        source.address(&self.hasher) as usize % ADDRESSES
    }
}

impl Odds {
    /// Draws how many requests are refused before one is answered, as if each had drawn by itself.
    fn refusals(self, rng: &mut Rng) -> u64 {
        match self {
            Odds::Sure => 0,
            Odds::None => u64::MAX,
            Odds::Against(against_ns) => {
                let refused = against_ns as f64 / STEP_NS as f64;
                (rng.fraction().ln() / refused.ln()) as u64
            }
        }
    }
}

impl std::fmt::Debug for ReplyBudget {
    /// Leaves the tables out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReplyBudget")
            .field("bytes_per_s", &self.bytes_per_s)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
