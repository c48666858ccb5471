//! The counts of allocations per user and in total, behind the one lock workers share.
//!
//! Taken when an allocation is made and when it ends, never for a packet.

use std::sync::{Arc, Mutex, PoisonError};

use crate::turn::{Counts, Exhausted, Quota};

/// Allocations that may be held at a time; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// By one user.
    pub per_user: Option<u32>,
    /// By everyone.
    pub total: Option<u32>,
}

/// One worker's door to the counts.
#[derive(Debug, Clone)]
pub(in crate::worker) struct SharedQuota(Arc<Mutex<Counts>>);

impl SharedQuota {
    /// Puts the counts behind their lock.
    pub(in crate::worker) fn new(counts: Counts) -> SharedQuota {
        SharedQuota(Arc::new(Mutex::new(counts)))
    }

    /// What one account holds, and all together.
    pub(in crate::worker) fn held(&self, account: &str) -> (u32, u32) {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (counts.of(account), counts.total())
    }

    /// Changes the limits for every worker.
    pub(in crate::worker) fn limit(&self, limits: Limits) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.limit(limits.per_user, limits.total);
    }
}

impl Quota for SharedQuota {
    fn admit(&mut self, user: &Arc<str>) -> Result<(), Exhausted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).admit(user)
    }

    fn hold(&mut self, user: &Arc<str>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).hold(user);
    }

    fn leave(&mut self, user: &Arc<str>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).leave(user);
    }
}
