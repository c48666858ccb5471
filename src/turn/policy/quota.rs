//! How many allocations a user, and the whole process, may hold.
//!
//! A user's clients are spread over all workers, and so is the total, so the counts are the one
//! thing workers share. They are touched when an allocation is made and when it ends, never for a
//! packet. turn asks through [`Quota`]; the worker puts one [`Counts`] behind whatever guards it,
//! and a single worker uses it as it is.

use std::{collections::HashMap, sync::Arc};

use foldhash::fast::FixedState;

/// Counts allocations on behalf of every worker.
pub trait Quota: Send {
    /// Takes one place for `user`, or says which limit is reached.
    fn admit(&mut self, user: &Arc<str>) -> Result<(), Exhausted>;

    /// Takes one place for `user` whatever the limits say: for an allocation that was there before.
    fn hold(&mut self, user: &Arc<str>);

    /// Gives back one place that [`Quota::admit`] had taken.
    fn leave(&mut self, user: &Arc<str>);
}

/// Which limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exhausted {
    /// This user's (486).
    User,
    /// The process's (508).
    Total,
}

/// The counts and their limits. Grows with the number of users that hold an allocation, not with
/// the number ever seen.
#[derive(Debug, Clone)]
pub struct Counts {
    most_per_user: u32,
    most: u32,
    held: HashMap<Arc<str>, u32, FixedState>,
    held_total: u32,
}

impl Counts {
    /// Begins with none held; `None` is no limit.
    pub fn new(per_user: Option<u32>, total: Option<u32>) -> Counts {
        Counts {
            most_per_user: per_user.unwrap_or(u32::MAX),
            most: total.unwrap_or(u32::MAX),
            held: HashMap::default(),
            held_total: 0,
        }
    }

    /// Changes the limits. What is held stays held; only the next ones are measured by them.
    pub fn limit(&mut self, per_user: Option<u32>, total: Option<u32>) {
        self.most_per_user = per_user.unwrap_or(u32::MAX);
        self.most = total.unwrap_or(u32::MAX);
    }

    /// Allocations held by everyone.
    pub fn total(&self) -> u32 {
        self.held_total
    }

    /// Allocations held by one user.
    pub fn of(&self, user: &str) -> u32 {
        self.held.get(user).copied().unwrap_or(0)
    }
}

impl Quota for Counts {
    fn admit(&mut self, user: &Arc<str>) -> Result<(), Exhausted> {
        if self.of(user) >= self.most_per_user {
            return Err(Exhausted::User);
        }
        if self.held_total >= self.most {
            return Err(Exhausted::Total);
        }
        self.hold(user);
        Ok(())
    }

    fn hold(&mut self, user: &Arc<str>) {
        *self.held.entry(user.clone()).or_insert(0) += 1;
        self.held_total += 1;
    }

    fn leave(&mut self, user: &Arc<str>) {
        let Some(held) = self.held.get_mut(user) else { return };
        *held -= 1;
        self.held_total -= 1;
        if *held == 0 {
            self.held.remove(user);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_limits_hold_and_a_place_given_back_is_free() {
        let (ann, bob): (Arc<str>, Arc<str>) = ("ann".into(), "bob".into());
        let mut counts = Counts::new(Some(2), Some(3));
        assert_eq!(counts.admit(&ann), Ok(()));
        assert_eq!(counts.admit(&ann), Ok(()));
        assert_eq!(counts.admit(&ann), Err(Exhausted::User));
        assert_eq!(counts.admit(&bob), Ok(()));
        assert_eq!(counts.admit(&bob), Err(Exhausted::Total));
        counts.leave(&ann);
        assert_eq!(counts.admit(&bob), Ok(()));
        assert_eq!((counts.of("ann"), counts.of("bob"), counts.total()), (1, 2, 3));
        counts.hold(&ann);
        assert_eq!(
            (counts.of("ann"), counts.total()),
            (2, 4),
            "who was there before is not refused"
        );
    }

    #[test]
    fn lower_limits_take_nothing_away() {
        let ann: Arc<str> = "ann".into();
        let mut counts = Counts::new(None, None);
        counts.admit(&ann).unwrap();
        counts.admit(&ann).unwrap();
        counts.limit(Some(1), None);
        assert_eq!((counts.of("ann"), counts.admit(&ann)), (2, Err(Exhausted::User)));
        counts.leave(&ann);
        counts.leave(&ann);
        assert_eq!(counts.admit(&ann), Ok(()));
        counts.limit(None, Some(1));
        assert_eq!(counts.admit(&ann), Err(Exhausted::Total));
    }

    #[test]
    fn users_without_allocations_are_forgotten() {
        let mut counts = Counts::new(None, None);
        for user in 0..1_000 {
            let user = format!("{user}").into();
            counts.admit(&user).unwrap();
            counts.leave(&user);
        }
        assert!(counts.held.is_empty());
    }
}
