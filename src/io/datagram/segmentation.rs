//! Which destinations may be sent trains.
//!
//! Whether the kernel segments a train (UDP_SEGMENT) is a matter of the route: an IPsec policy or a
//! tunnel refuses it with EIO, and the route beside it does not. So a refusal holds for its
//! destination alone, and for a minute:
//!
//! ```text
//! refused ──▶ its datagrams leave one by one ──a minute──▶ the next train finds out again
//! ```
//!
//! Where trains to several destinations are refused in a row and none is taken in between, it is
//! the machine that refuses them, and all destinations do without for a minute.

use std::{
    mem,
    net::IpAddr,
    time::{Duration, Instant},
};

/// How long a refusal holds.
const HOLDS: Duration = Duration::from_secs(60);
/// Destinations that are remembered. Two that meet in one place take it from each other, which
/// costs a refused train.
const PLACES: usize = 256;
/// Refusals in a row, each of another destination, after which nobody is sent trains.
const ALL_FROM: u32 = 4;

/// What is known of the kernel's refusals.
#[derive(Debug)]
pub struct Segmentation {
    is_wanted: bool,
    places: Box<[Option<Refusal>; PLACES]>,
    in_a_row: u32,
    /// Until when nobody is sent trains.
    all_until: Option<Instant>,
    /// When the last refusal is over; `None` while there is none.
    last_until: Option<Instant>,
    /// The time, while there is a refusal.
    now: Instant,
    /// That it is off for all has been told, and no train was taken since.
    is_told_off: bool,
}

#[derive(Debug, Clone, Copy)]
struct Refusal {
    to: IpAddr,
    until: Instant,
}

impl Segmentation {
    /// Begins without a refusal; never allows a train unless they are wanted.
    pub(in crate::io) fn new(is_wanted: bool) -> Self {
        Self {
            is_wanted,
            places: Box::new([None; PLACES]),
            in_a_row: 0,
            all_until: None,
            last_until: None,
            now: Instant::now(),
            is_told_off: false,
        }
    }

    /// Whether a train may go there.
    pub(in crate::io) fn allows(&self, to: IpAddr) -> bool {
        self.is_wanted && (self.last_until.is_none() || !self.is_refused(to))
    }

    fn is_refused(&self, to: IpAddr) -> bool {
        self.all_until.is_some() || self.holds(self.places[place(to)], to)
    }

    fn holds(&self, refusal: Option<Refusal>, to: IpAddr) -> bool {
        refusal.is_some_and(|refusal| refusal.to == to && refusal.until > self.now)
    }

    /// Lets go of refusals that are over. Called once a turn; reads the clock only while there is
    /// one.
    pub(in crate::io) fn begin_turn(&mut self) {
        if self.last_until.is_some() {
            self.move_on(Instant::now());
        }
    }

    /// Lets go of refusals that are over by now.
    pub(in crate::io) fn move_on(&mut self, now: Instant) {
        self.now = now;
        if self.all_until.is_some_and(|until| until <= now) {
            (self.all_until, self.in_a_row) = (None, 0);
        }
        if self.last_until.is_some_and(|until| until <= now) {
            self.last_until = None;
        }
    }

    /// Makes every refusal as much older.
    #[cfg(test)]
    pub(in crate::io) fn age(&mut self, by: Duration) {
        self.places.iter_mut().flatten().for_each(|refusal| refusal.until -= by);
        self.all_until = self.all_until.map(|until| until - by);
        self.last_until = self.last_until.map(|until| until - by);
        self.begin_turn();
    }

    /// Notes that the kernel took a train. Whether it is news that it does.
    pub(in crate::io) fn taken(&mut self) -> bool {
        self.in_a_row = 0;
        mem::take(&mut self.is_told_off)
    }

    /// Notes that the kernel refused a train. Whether it is news that nobody is sent any.
    pub(in crate::io) fn refused(&mut self, to: IpAddr, now: Instant) -> bool {
        self.move_on(now);
        let (place, until) = (place(to), now + HOLDS);
        self.in_a_row += u32::from(!self.holds(self.places[place], to));
        self.places[place] = Some(Refusal { to, until });
        self.last_until = Some(until);
        if self.in_a_row < ALL_FROM || self.all_until.is_some() {
            return false;
        }
        self.all_until = Some(until);
        !mem::replace(&mut self.is_told_off, true)
    }
}

/// Where a destination is remembered.
fn place(to: IpAddr) -> usize {
    const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
    let bits = match to {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits(),
    };
    let folded = (bits >> 64) as u64 ^ bits as u64;
    (folded.wrapping_mul(ODD) >> 32) as usize % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destination(number: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, number])
    }

    #[test]
    fn a_refusal_holds_for_its_destination_and_a_minute() {
        let mut segmentation = Segmentation::new(true);
        let begun = Instant::now();
        assert!(!segmentation.refused(destination(1), begun), "others may be sent trains");
        assert!(!segmentation.allows(destination(1)));
        assert!(segmentation.allows(destination(2)));
        segmentation.move_on(begun + HOLDS - Duration::from_millis(1));
        assert!(!segmentation.allows(destination(1)));
        segmentation.move_on(begun + HOLDS);
        assert!(segmentation.allows(destination(1)));
        assert_eq!(segmentation.last_until, None, "no clock is read any more");
    }

    #[test]
    fn one_destination_that_refuses_again_and_again_stays_one() {
        let mut segmentation = Segmentation::new(true);
        let mut now = Instant::now();
        for _ in 0..10 {
            assert!(!segmentation.refused(destination(1), now));
            assert!(!segmentation.refused(destination(1), now), "a second train of the batch");
            assert!(segmentation.allows(destination(2)));
            assert!(!segmentation.taken());
            now += HOLDS;
        }
    }

    #[test]
    fn many_destinations_that_refuse_beside_some_that_do_not_are_each_for_itself() {
        let mut segmentation = Segmentation::new(true);
        let now = Instant::now();
        for number in 0..100 {
            assert!(!segmentation.refused(destination(number), now));
            segmentation.taken();
        }
        assert!(segmentation.allows(destination(200)));
    }

    #[test]
    fn several_in_a_row_are_all_for_a_minute_which_is_told_once() {
        let mut segmentation = Segmentation::new(true);
        let mut now = Instant::now();
        for round in 0..3 {
            let news: Vec<_> =
                (0..6).map(|number| segmentation.refused(destination(number), now)).collect();
            assert_eq!(news, [false, false, false, round == 0, false, false]);
            assert!(!segmentation.allows(destination(200)));
            now += HOLDS;
            segmentation.move_on(now);
            assert!(segmentation.allows(destination(200)) && segmentation.allows(destination(0)));
        }
        assert!(segmentation.taken(), "it works again");
        assert!(!segmentation.taken());
    }

    #[test]
    fn unwanted_trains_are_never_allowed() {
        assert!(!Segmentation::new(false).allows(destination(1)));
    }
}
