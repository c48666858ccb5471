//! What became of the records, and what their writer is told.

use std::sync::atomic::{AtomicU64, Ordering};

/// What became of the records so far.
#[derive(Debug, Default)]
pub(in crate::control) struct RecordCounts {
    pub(super) written: AtomicU64,
    pub(super) lost: AtomicU64,
}

impl RecordCounts {
    /// Records that are in the file.
    pub(in crate::control) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Records that are not, because the disk is too slow or full.
    pub(in crate::control) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// What the writer is told.
#[derive(Debug)]
pub(super) enum Order {
    /// A line for the file.
    Write(Vec<u8>),
    /// The file has been renamed: the next line goes into a new one of the old name.
    Reopen,
}
