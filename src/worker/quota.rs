//! The counts of allocations per user and in total, behind the one lock workers share.
//!
//! Taken when an allocation is made and when it ends, never for a packet.

use std::sync::{Arc, Mutex, PoisonError};

use crate::turn::{Counts, Exhausted, Quota};

/// One worker's door to the counts.
#[derive(Debug, Clone)]
pub(super) struct SharedQuota(Arc<Mutex<Counts>>);

impl SharedQuota {
    /// Puts the counts behind their lock.
    pub(super) fn new(counts: Counts) -> SharedQuota {
        SharedQuota(Arc::new(Mutex::new(counts)))
    }
}

impl Quota for SharedQuota {
    fn admit(&mut self, user: &Arc<str>) -> Result<(), Exhausted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).admit(user)
    }

    fn leave(&mut self, user: &Arc<str>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).leave(user);
    }
}
