//! When packets that have arrived are held for company.
//!
//! A turn of a driver begins with the first packet that arrives. Worked off at once, it costs a
//! whole send. Held for a moment, it may be joined by more of its stream, and all of them leave as
//! one train. Whether that happens is a matter of the traffic: a burst of video joins, a thousand
//! voice calls of one packet each never do. So what a hold brings is measured, and where it brings
//! nothing there is none:
//!
//! ```text
//!        one turn is a probe: held, to see what joins.        a packet of a held turn costs
//!        Then as many packets go on at once that               an eighth less than others
//!        fewer than one in 128 was ever held
//!   ╭──▶ Off ────────────────────────────────────────────────────────────────────────▶ On ──╮
//!   │                                                                                       │
//!   ╰──────────────── a packet of a held turn costs no twentieth less ◀─────────────────────╯
//!                     (some turns are not held, to compare with)
//! ```
//!
//! A turn that finds many packets is never held: batches form by themselves where packets queue.
//! And none is held while the core has time to spare, where a hold is a sleep more, which costs as
//! much as the sends it saves, and latency for nothing:
//!
//! ```text
//! use of the core   15 % ◀── 50 % ──▶      45 % ◀── 75 % ──▶
//! a hold lasts      none          half as long as it may    as long as it may
//! ```
//!
//! Packets are counted as they arrive, so that a train the kernel has joined already counts as one.
//! A packet costs one receive, and one send if it was not joined, which is worth two receives.

use std::{mem, time::Duration};

/// A turn with so many arrivals is not held, and one that is held ends with as many.
const CROWD: u32 = 32;
/// A probe ends with so many arrivals.
const PROBE: u32 = 8;
/// Packets before the first probe, doubled with each time that holding ended, up to the most.
const PAUSE: u32 = PROBE * UNHELD_PER_PROBED;
const PAUSE_MAX: u32 = 64 * PAUSE;
/// For each packet that a probe held, so many go on at once before the next probe.
const UNHELD_PER_PROBED: u32 = 128;
/// Held turns between two looks at what turns bring that are not held.
const LOOK_EVERY: u32 = 128;
/// Turns of a look.
const LOOK_TURNS: u32 = 8;
/// The first turns of a look, which find what queued up during the held turn before.
const LOOK_SETTLES: u32 = 2;
/// Arrivals after which what was counted has half its weight; fewer while probes are all there is.
const WINDOW: u32 = 512;
const PROBE_WINDOW: u32 = 64;
/// Arrivals in probes that suffice for a judgement.
const JUDGED_FROM: u32 = 2 * PROBE;
/// Use of the core, in percent, from which packets are held at all, and for as long as they may be;
/// and below which that ends. Holding takes up to half of the load away, which must not end it.
const BUSY_FROM: u32 = 50;
const IDLE_BELOW: u32 = 15;
const SHORT_FROM: u32 = 75;
const AMPLE_BELOW: u32 = 45;
/// What holding has to save of each packet's cost, in thousandths, to begin with it and to go on.
const BEGINS_AT: u32 = 125;
const GOES_ON_AT: u32 = 50;

/// Decides, turn by turn, whether what has arrived is held. Public for drivers outside of this
/// floor.
#[derive(Debug)]
pub struct Pace {
    /// The longest that any packet is held; zero for never.
    longest: Duration,
    cpu: Cpu,
    mode: Mode,
    pause: u32,
    /// Of turns that were held, and of those that were not.
    held: Joins,
    unheld: Joins,
    /// The turn under way.
    turn: Turn,
    arrivals: u32,
    datagrams: usize,
    /// Joins there had been when it began.
    joined_before: u64,
}

/// Whether there is CPU time to spare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cpu {
    /// No packet is held.
    Plenty,
    /// Packets are held for half as long as they may be.
    Ample,
    /// And for as long as they may be.
    Short,
}

/// What becomes of turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// They are not held, until so many more packets have arrived; the next one then is, as a
    /// probe.
    Off { until_probe: u32 },
    /// They are held, so many more until a look.
    On { until_look: u32 },
    /// So many more are not held, to compare with.
    Look { turns: u32 },
}

/// What became of one turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// It brought nothing, or too much to be held: either way there was nothing to decide.
    Undecided,
    Unheld,
    Held,
}

/// How long to hold: until so many more arrivals, but no longer than this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// Arrivals that end it, beside those that have come already.
    pub arrivals: u32,
    /// The longest it lasts.
    pub longest: Duration,
}

/// Arrivals and joins, the latest with the most weight.
#[derive(Debug, Clone, Copy, Default)]
struct Joins {
    arrivals: u32,
    joined: u32,
}

impl Pace {
    /// Holds no packet for longer than this; for no time at all if it is zero.
    #[must_use]
    pub fn new(longest: Duration) -> Self {
        Self {
            longest,
            cpu: Cpu::Plenty,
            mode: Mode::Off { until_probe: PAUSE },
            pause: PAUSE,
            held: Joins::default(),
            unheld: Joins::default(),
            turn: Turn::Undecided,
            arrivals: 0,
            datagrams: 0,
            joined_before: 0,
        }
    }

    /// Counts a receive of this turn: a datagram, or a train the kernel joined.
    pub fn arrived(&mut self) {
        self.arrivals += 1;
    }

    /// Counts datagrams of this turn.
    pub(in crate::io) fn received(&mut self, datagrams: usize) {
        self.datagrams += datagrams;
    }

    /// Datagrams of this turn so far.
    pub(in crate::io) fn datagrams(&self) -> usize {
        self.datagrams
    }

    /// Takes note of how much of its core the worker uses, in percent.
    pub fn uses(&mut self, percent: u32) {
        self.cpu = match self.cpu {
            Cpu::Plenty | Cpu::Ample if percent >= SHORT_FROM => Cpu::Short,
            Cpu::Plenty if percent >= BUSY_FROM => Cpu::Ample,
            Cpu::Ample | Cpu::Short if percent < IDLE_BELOW => Cpu::Plenty,
            Cpu::Short if percent < AMPLE_BELOW => Cpu::Ample,
            Cpu::Plenty | Cpu::Ample | Cpu::Short => self.cpu,
        };
        if self.cpu == Cpu::Plenty && !matches!(self.mode, Mode::Off { .. }) {
            self.pause = PAUSE;
            self.mode = self.off();
        }
    }

    /// Decides about the turn under way, once its first packets have arrived.
    pub fn hold(&mut self) -> Option<Hold> {
        if self.arrivals == 0 || self.arrivals >= CROWD {
            return None;
        }
        let longest = match self.cpu {
            Cpu::Plenty => Duration::ZERO,
            Cpu::Ample => self.longest / 2,
            Cpu::Short => self.longest,
        };
        if longest.is_zero() {
            self.turn = Turn::Unheld;
            return None;
        }
        let complete = match self.mode {
            Mode::Off { until_probe: 1.. } | Mode::Look { .. } => {
                self.turn = Turn::Unheld;
                return None;
            }
            Mode::Off { until_probe: 0 } => PROBE,
            Mode::On { .. } => CROWD,
        };
        self.turn = Turn::Held;
        let arrivals = complete.saturating_sub(self.arrivals).max(1);
        Some(Hold { arrivals, longest })
    }

    /// Ends the turn under way: all it brought has been queued to be sent, with so many joins since
    /// the driver was made.
    pub fn end_turn(&mut self, joined: u64) {
        let arrivals = mem::take(&mut self.arrivals);
        let joined_now = joined - mem::replace(&mut self.joined_before, joined);
        // Frames of one train may be joined with each other.
        let joined = u32::try_from(joined_now).unwrap_or(u32::MAX).min(arrivals);
        self.datagrams = 0;
        let turn = mem::replace(&mut self.turn, Turn::Undecided);
        self.mode = self.after(turn, Joins { arrivals, joined });
    }

    /// Counts a turn, and says what becomes of the next.
    fn after(&mut self, turn: Turn, brought: Joins) -> Mode {
        match (self.mode, turn) {
            (Mode::Off { until_probe }, Turn::Undecided) => {
                Mode::Off { until_probe: until_probe.saturating_sub(brought.arrivals) }
            }
            (Mode::Off { until_probe }, Turn::Unheld) => {
                self.unheld.count(brought, WINDOW);
                Mode::Off { until_probe: until_probe.saturating_sub(brought.arrivals) }
            }
            (Mode::Off { .. }, Turn::Held) => self.probed(brought),
            (Mode::On { .. } | Mode::Look { .. }, Turn::Undecided) => self.mode,
            (Mode::On { until_look } | Mode::Look { turns: until_look }, Turn::Held) => {
                self.held_on(until_look, brought)
            }
            (Mode::On { until_look: turns } | Mode::Look { turns }, Turn::Unheld) => {
                self.looked(turns, brought)
            }
        }
    }

    fn probed(&mut self, brought: Joins) -> Mode {
        self.held.count(brought, PROBE_WINDOW);
        let suffices = self.held.arrivals >= JUDGED_FROM;
        if suffices && self.saves(BEGINS_AT) {
            return Mode::On { until_look: LOOK_EVERY };
        }
        Mode::Off { until_probe: brought.arrivals.saturating_mul(UNHELD_PER_PROBED) }
    }

    fn held_on(&mut self, until_look: u32, brought: Joins) -> Mode {
        self.held.count(brought, WINDOW);
        if !self.saves(GOES_ON_AT) {
            return self.off();
        }
        match until_look {
            0 | 1 => Mode::Look { turns: LOOK_TURNS },
            _ => Mode::On { until_look: until_look - 1 },
        }
    }

    fn looked(&mut self, turns: u32, brought: Joins) -> Mode {
        if turns <= LOOK_TURNS - LOOK_SETTLES {
            self.unheld.count(brought, WINDOW);
        }
        match turns {
            0 | 1 => Mode::On { until_look: LOOK_EVERY },
            _ => Mode::Look { turns: turns - 1 },
        }
    }

    /// Probes begin with a clean sheet, and later each time, so that traffic between the bounds
    /// does not switch to and fro.
    fn off(&mut self) -> Mode {
        self.held = Joins::default();
        let until_probe = self.pause;
        self.pause = (2 * self.pause).min(PAUSE_MAX);
        Mode::Off { until_probe }
    }

    /// Whether packets cost so many thousandths less where they are held.
    fn saves(&self, thousandths: u32) -> bool {
        self.held.cost() * 1000 <= self.unheld.cost() * (1000 - thousandths)
    }
}

impl Joins {
    fn count(&mut self, brought: Joins, window: u32) {
        self.arrivals += brought.arrivals;
        self.joined += brought.joined;
        while self.arrivals >= 2 * window {
            self.arrivals /= 2;
            self.joined /= 2;
        }
    }

    /// What a packet costs: a receive is a thousand.
    fn cost(&self) -> u32 {
        3000 - 2000 * self.joined / self.arrivals.max(1)
    }
}

#[cfg(test)]
mod driven;
#[cfg(test)]
mod tests;
