//! How one call into the kernel waits.

use std::time::Duration;

use crate::io::event::Wait;

/// How long cancelled receives are waited for: they end at once.
const ENDS_WITHIN: Duration = Duration::from_millis(1);

/// For how many completions one call waits, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitPlan {
    /// Completions to wait for; a kernel that cannot count them waits for the first.
    pub(in crate::io) completions: u32,
    /// The longest wait, if there is one.
    pub(in crate::io) limit: Option<Duration>,
}

impl WaitPlan {
    pub(in crate::io) const NONE: Self = Self { completions: 0, limit: None };
    /// Until something completes, however long that takes.
    pub(in crate::io) const FIRST: Self = Self { completions: 1, limit: None };

    /// Until the first completion.
    pub(in crate::io) fn first(wait: Wait) -> Self {
        match wait {
            Wait::None => Self::NONE,
            Wait::For(limit) => Self { completions: 1, limit: Some(limit) },
            Wait::Forever => Self::FIRST,
        }
    }

    /// The same, but no longer than that, if it is given.
    pub(in crate::io) fn within(self, longest: Option<Duration>) -> Self {
        let Some(longest) = longest else { return self };
        let limit = self.limit.map_or(longest, |limit| limit.min(longest));
        Self { limit: Some(limit), ..self }
    }

    /// Whether it waits at all.
    pub(in crate::io) fn waits(self) -> bool {
        self.completions > 0
    }

    /// The same, beside so many completions that come at once.
    pub(in crate::io) fn beside(self, completions: usize) -> Self {
        match self.completions {
            0 => self,
            _ => Self { completions: self.completions + completions as u32, ..self },
        }
    }

    /// The same, but where receives are cancelled, a wait for their ends and no more, beside so
    /// many sends.
    ///
    /// A ring works off 20 pieces of deferred work in a call that waits for fewer (kernel 6.12),
    /// first in, first out. Of thousands of receives that end at once the rest stood before every
    /// packet that came later: a call was 220 ms late beside 19,000 allocations that expired.
    pub(in crate::io) fn for_ends(self, sends: usize, cancelled: usize) -> Self {
        match cancelled {
            0 => self,
            _ => Self { completions: (sends + cancelled) as u32, limit: Some(ENDS_WITHIN) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_at_once_is_not_waited_for_instead() {
        assert_eq!(WaitPlan::first(Wait::Forever).beside(5).completions, 6);
        assert_eq!(WaitPlan::NONE.beside(5), WaitPlan::NONE);
        let ends = WaitPlan { completions: 7, limit: Some(ENDS_WITHIN) };
        for plan in [WaitPlan::NONE, WaitPlan::FIRST] {
            assert_eq!(plan.beside(5).for_ends(5, 2), ends);
            assert_eq!(plan.beside(5).for_ends(5, 0), plan.beside(5));
        }
    }

    #[test]
    fn the_shorter_of_two_limits_holds() {
        let [short, long] = [1, 2].map(Duration::from_millis);
        assert_eq!(WaitPlan::FIRST.within(None), WaitPlan::FIRST);
        assert_eq!(WaitPlan::FIRST.within(Some(long)).limit, Some(long));
        assert_eq!(WaitPlan::first(Wait::For(short)).within(Some(long)).limit, Some(short));
        assert_eq!(WaitPlan::first(Wait::For(long)).within(Some(short)).limit, Some(short));
    }
}
