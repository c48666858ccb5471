//! How one call into the kernel waits.

use std::time::Duration;

use crate::io::event::Wait;

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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_at_once_is_not_waited_for_instead() {
        assert_eq!(WaitPlan::first(Wait::Forever).beside(5).completions, 6);
        assert_eq!(WaitPlan::NONE.beside(5), WaitPlan::NONE);
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
