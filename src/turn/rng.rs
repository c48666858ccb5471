//! Everything drawn at random, from one seed: ports, tokens, the hash, transaction ids.
//!
//! There is no other source of chance in turn, so a run can be repeated from its seed.

use foldhash::fast::FixedState;
use rand_chacha::{
    ChaCha12Rng,
    rand_core::{Rng as _, SeedableRng},
};

use crate::wire::TransactionId;

/// A seeded generator, cryptographically strong.
#[cfg_attr(test, derive(Clone))]
pub(super) struct Rng {
    generator: ChaCha12Rng,
    /// Front and counter of the ids of Data indications.
    indications: (u32, u64),
}

impl Rng {
    pub(super) fn new(seed: [u8; 32]) -> Rng {
        let mut generator = ChaCha12Rng::from_seed(seed);
        let indications = (generator.next_u32(), generator.next_u64());
        Rng { generator, indications }
    }

    /// A number below `count`, each equally likely to within 2^-32; `None` when there is none.
    pub(super) fn below(&mut self, count: usize) -> Option<usize> {
        let drawn = (u64::from(self.generator.next_u32()) * count as u64) >> 32;
        (count > 0).then_some(drawn as usize)
    }

    /// 64 bits nobody can guess.
    pub(super) fn bits(&mut self) -> u64 {
        self.generator.next_u64()
    }

    /// A number above 0, up to 1.
    pub(super) fn fraction(&mut self) -> f64 {
        const STEPS: f64 = (1_u64 << 53) as f64;
        ((self.generator.next_u64() >> 11) + 1) as f64 / STEPS
    }

    /// A fresh id for an indication. Nobody answers one, so it need only differ from the last:
    /// counting costs a tenth of drawing, and this is done for every packet without a channel.
    pub(super) fn indication(&mut self) -> TransactionId {
        let (front, count) = &mut self.indications;
        *count = count.wrapping_add(1);
        let mut id = [0; 12];
        id[..4].copy_from_slice(&front.to_be_bytes());
        id[4..].copy_from_slice(&count.to_be_bytes());
        TransactionId(id)
    }

    /// A hash whose buckets a stranger cannot aim at.
    pub(super) fn hash_state(&mut self) -> FixedState {
        FixedState::with_seed(self.bits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_run() {
        let (mut one, mut other) = (Rng::new([1; 32]), Rng::new([1; 32]));
        assert_eq!(one.bits(), other.bits());
        assert_eq!(one.indication(), other.indication());
        assert_ne!(one.indication(), one.indication());
        assert_ne!(Rng::new([2; 32]).bits(), Rng::new([1; 32]).bits());
    }

    #[test]
    fn a_fraction_is_never_0_and_is_a_half_on_average() {
        let mut rng = Rng::new([5; 32]);
        let drawn = Vec::from_iter((0..10_000).map(|_| rng.fraction()));
        assert!(drawn.iter().all(|&fraction| 0.0 < fraction && fraction <= 1.0));
        let mean = drawn.iter().sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
    }

    #[test]
    fn below_stays_below_and_reaches_every_number() {
        let mut rng = Rng::new([5; 32]);
        assert_eq!(rng.below(0), None);
        let mut seen = [false; 7];
        for _ in 0..1_000 {
            seen[rng.below(7).unwrap()] = true;
        }
        assert_eq!(seen, [true; 7]);
    }
}
