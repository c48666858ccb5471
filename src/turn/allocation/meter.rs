//! How much one allocation may relay each way: bytes and packets a second.
//!
//! A token bucket for each, which a silence fills up to what one second is worth. It is kept as a
//! debt that time pays off, in thousandths, so that whole numbers are exact at a millisecond and an
//! allocation begins with a full bucket at zero. A train is cut where the bucket is empty: its
//! first datagrams pass, the rest is dropped.
//!
//! Time is that of the batch, so nothing here reads a clock.

use crate::turn::{api::train::Train, handover::record::Debts};

/// Payload of the largest datagram: a bucket holds no less, or such a one could never pass.
const LARGEST_DATAGRAM_BYTES: u64 = 65_535;

/// One byte or one packet, in thousandths.
const ONE_MILLI: u64 = 1_000;

/// What one allocation may relay in each of its two directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RateLimits {
    /// Payload bytes a second; 0 for no limit.
    pub bytes_per_s: u32,
    /// Datagrams a second; 0 for no limit.
    pub packets_per_s: u32,
}

/// What passed one way and is not yet paid off, as of a moment.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::turn) struct Meter {
    bytes_milli: u64,
    packets_milli: u64,
    /// [`crate::turn::Now::mono_ms`].
    at_ms: u64,
}

impl RateLimits {
    /// True when nothing is limited.
    pub const fn are_off(self) -> bool {
        self.bytes_per_s == 0 && self.packets_per_s == 0
    }

    fn bytes_burst_milli(self) -> u64 {
        match self.bytes_per_s {
            0 => 0,
            bytes => u64::from(bytes).max(LARGEST_DATAGRAM_BYTES) * ONE_MILLI,
        }
    }

    fn packets_burst_milli(self) -> u64 {
        u64::from(self.packets_per_s) * ONE_MILLI
    }
}

impl Meter {
    /// Takes as much of a train as there is room for out of the buckets, and returns it.
    pub(in crate::turn) fn admit(
        &mut self,
        limits: RateLimits,
        now_ms: u64,
        train: Train,
    ) -> Train {
        self.pay_off(limits, now_ms);
        let passing = train.first(self.packets_that_fit(limits, train));
        self.bytes_milli += passing.bytes as u64 * ONE_MILLI;
        self.packets_milli += passing.segments as u64 * ONE_MILLI;
        passing
    }

    /// Counts bytes of a stream, which cannot be dropped, and says for how many milliseconds no
    /// more should be read. Debts of several streams add up, so that together they keep the limit.
    pub(in crate::turn) fn charge(&mut self, limits: RateLimits, now_ms: u64, bytes: usize) -> u64 {
        let burst_milli = limits.bytes_burst_milli();
        let elapsed_ms = now_ms.saturating_sub(self.at_ms);
        self.at_ms = now_ms;
        if limits.bytes_per_s == 0 {
            self.bytes_milli = 0;
            return 0;
        }
        // A debt from a time of higher limits is not waited for.
        let owed_milli = self.bytes_milli.min(burst_milli * 2);
        let owed_milli = owed_milli.saturating_sub(paid(limits.bytes_per_s, elapsed_ms));
        self.bytes_milli = owed_milli + bytes as u64 * ONE_MILLI;
        self.bytes_milli.saturating_sub(burst_milli).div_ceil(u64::from(limits.bytes_per_s))
    }

    /// What is owed, as of when.
    pub(in crate::turn) const fn debts(&self) -> Debts {
        let Meter { bytes_milli, packets_milli, at_ms } = *self;
        Debts { bytes_milli, packets_milli, at_ms }
    }

    /// A meter that owes as much.
    pub(in crate::turn) const fn from_debts(debts: Debts) -> Meter {
        let Debts { bytes_milli, packets_milli, at_ms } = debts;
        Meter { bytes_milli, packets_milli, at_ms }
    }

    /// What [`Meter::admit`] would let pass.
    pub(in crate::turn) fn would_admit(
        mut self,
        limits: RateLimits,
        now_ms: u64,
        train: Train,
    ) -> Train {
        self.admit(limits, now_ms, train)
    }

    fn pay_off(&mut self, limits: RateLimits, now_ms: u64) {
        let elapsed_ms = now_ms.saturating_sub(self.at_ms);
        self.at_ms = now_ms;
        // Nobody owes more than a burst: not under a limit that was lowered, and nothing at all
        // where there was none.
        let bytes_milli = self.bytes_milli.min(limits.bytes_burst_milli());
        let packets_milli = self.packets_milli.min(limits.packets_burst_milli());
        self.bytes_milli = bytes_milli.saturating_sub(paid(limits.bytes_per_s, elapsed_ms));
        self.packets_milli = packets_milli.saturating_sub(paid(limits.packets_per_s, elapsed_ms));
    }

    fn packets_that_fit(&self, limits: RateLimits, train: Train) -> usize {
        let mut fit = train.segments as u64;
        if limits.packets_per_s > 0 {
            fit = fit.min(room(limits.packets_burst_milli(), self.packets_milli));
        }
        if limits.bytes_per_s > 0 {
            let room_bytes = room(limits.bytes_burst_milli(), self.bytes_milli);
            // The last one may be shorter than the others: there is room for it if for all.
            if room_bytes < train.bytes as u64 {
                let whole = room_bytes / train.segment_bytes.max(1) as u64;
                fit = fit.min(whole).min(train.segments as u64 - 1);
            }
        }
        fit as usize
    }
}

/// Whole bytes or packets that a bucket still holds.
const fn room(burst_milli: u64, debt_milli: u64) -> u64 {
    (burst_milli - debt_milli) / ONE_MILLI
}

const fn paid(per_s: u32, elapsed_ms: u64) -> u64 {
    elapsed_ms.saturating_mul(per_s as u64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OFF: RateLimits = RateLimits { bytes_per_s: 0, packets_per_s: 0 };

    fn passing(meter: &mut Meter, limits: RateLimits, now_ms: u64, train: Train) -> usize {
        meter.admit(limits, now_ms, train).segments
    }

    #[test]
    fn a_second_at_once_then_the_rate() {
        let limits = RateLimits { packets_per_s: 50, ..OFF };
        let mut meter = Meter::default();
        assert_eq!(passing(&mut meter, limits, 7_000, Train::equal(200, 100)), 50);
        assert_eq!(passing(&mut meter, limits, 7_019, Train::single(100)), 0);
        assert_eq!(passing(&mut meter, limits, 7_020, Train::single(100)), 1);
        assert_eq!(passing(&mut meter, limits, 7_520, Train::equal(64, 100)), 25);
        assert_eq!(passing(&mut meter, limits, 90_000, Train::equal(64, 100)), 50);
    }

    #[test]
    fn what_a_stream_has_read_too_much_is_waited_for() {
        let limits = RateLimits { bytes_per_s: 100_000, packets_per_s: 1 };
        let mut meter = Meter::default();
        assert_eq!(meter.charge(limits, 5_000, 100_000), 0);
        assert_eq!(meter.charge(limits, 5_000, 1), 1);
        assert_eq!(meter.charge(limits, 5_000, 9_999), 100);
        assert_eq!(meter.charge(limits, 5_100, 0), 0);
        assert_eq!(meter.charge(limits, 5_100, 50_000), 500);
        assert_eq!(meter.charge(OFF, 5_100, 50_000), 0);
        assert_eq!(meter.charge(limits, 5_100, 100_000), 0, "no limit leaves no debt");
        let (higher, lower) =
            [10_000_000, 100].map(|bytes_per_s| RateLimits { bytes_per_s, ..OFF }).into();
        meter.charge(higher, 5_100, 20_000_000);
        assert_eq!(meter.charge(lower, 5_100, 0), 655_350, "what two bursts owe to one");
    }

    #[test]
    fn a_train_is_cut_and_its_shorter_end_fits_only_behind_the_rest() {
        let limits = RateLimits { bytes_per_s: 100_000, ..OFF };
        let train = |bytes| Train { segments: 4, segment_bytes: 30_000, bytes };
        assert_eq!(passing(&mut Meter::default(), limits, 0, train(100_000)), 4);
        assert_eq!(passing(&mut Meter::default(), limits, 0, train(100_001)), 3);
    }

    #[test]
    fn the_largest_datagram_passes_the_lowest_limit() {
        let limits = RateLimits { bytes_per_s: 1, packets_per_s: 1 };
        let mut meter = Meter::default();
        assert_eq!(passing(&mut meter, limits, 0, Train::single(65_507)), 1);
        assert_eq!(passing(&mut meter, limits, 65_000_000, Train::single(65_507)), 0);
        assert_eq!(passing(&mut meter, limits, 65_507_000, Train::single(65_507)), 1);
    }

    #[test]
    fn a_limit_may_be_changed_or_taken_away() {
        let (wide, narrow) =
            (RateLimits { packets_per_s: 90, ..OFF }, RateLimits { packets_per_s: 9, ..OFF });
        let mut meter = Meter::default();
        assert_eq!(passing(&mut meter, wide, 0, Train::equal(90, 1)), 90);
        assert_eq!(passing(&mut meter, narrow, 0, Train::single(1)), 0);
        assert_eq!(passing(&mut meter, narrow, 1_000, Train::equal(500, 1)), 9);
        assert_eq!(passing(&mut meter, OFF, 1_000, Train::equal(500, 1)), 500);
        assert_eq!(passing(&mut meter, narrow, 2_000, Train::equal(500, 1)), 9);
    }

    /// What a limit of one kind lets pass from moment to moment, in the unit it counts.
    struct Books {
        per_s: u64,
        burst: u64,
        passed: Vec<(u64, u64)>,
    }

    impl Books {
        /// The fullest window that ends now, in thousandths below (or above) what it may hold.
        fn fullest_milli(&self, now_ms: u64) -> i64 {
            let mut sum = 0;
            let windows = self.passed.iter().rev().map(|(at_ms, amount)| {
                sum += amount;
                let may_milli = self.burst * 1000 + self.per_s * (now_ms - at_ms);
                sum as i64 * 1000 - may_milli as i64
            });
            windows.max().unwrap_or(-(self.burst as i64) * 1000).max(-(self.burst as i64) * 1000)
        }
    }

    fn trains() -> impl Strategy<Value = Vec<(u64, Train)>> {
        let train =
            (1_usize..65, 0_usize..1_400, 0_usize..1_400).prop_map(|(segments, size, last)| {
                Train {
                    segments,
                    segment_bytes: size,
                    bytes: (segments - 1) * size + last.min(size),
                }
            });
        prop::collection::vec((0_u64..400, train), 1..120)
    }

    proptest! {
        // In no window more than the rate and one burst, and never a datagram less than that.
        #[test]
        fn neither_more_nor_less_than_the_limits(
            bytes_per_s in 0_u32..200_000, packets_per_s in 0_u32..300, trains in trains(),
        ) {
            let limits = RateLimits { bytes_per_s, packets_per_s };
            let mut meter = Meter::default();
            let books = |per_s: u32, least: u64| {
                let burst = u64::from(per_s).max(least);
                Books { per_s: per_s.into(), burst, passed: Vec::new() }
            };
            let (mut bytes, mut packets) = (books(bytes_per_s, 65_535), books(packets_per_s, 0));
            let mut now_ms = 5_000;
            for (gap_ms, train) in trains {
                now_ms += gap_ms;
                prop_assert_eq!(
                    meter.would_admit(limits, now_ms, train), meter.clone().admit(limits, now_ms, train)
                );
                let passing = meter.admit(limits, now_ms, train);
                prop_assert_eq!(passing, train.first(passing.segments));
                bytes.passed.push((now_ms, passing.bytes as u64));
                packets.passed.push((now_ms, passing.segments as u64));
                let over_bytes = bytes.fullest_milli(now_ms);
                let over_packets = packets.fullest_milli(now_ms);
                prop_assert!(bytes_per_s == 0 || over_bytes <= 0, "{over_bytes}");
                prop_assert!(packets_per_s == 0 || over_packets <= 0, "{over_packets}");
                if passing.segments < train.segments {
                    let next_bytes = train.first(passing.segments + 1).bytes - passing.bytes;
                    let short_of_bytes = over_bytes + next_bytes as i64 * 1000 > 0;
                    let short_of_packets = over_packets + 1000 > 0;
                    prop_assert!(
                        (bytes_per_s > 0 && short_of_bytes) || (packets_per_s > 0 && short_of_packets)
                    );
                }
            }
        }
    }
}
