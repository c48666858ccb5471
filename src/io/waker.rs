//! Waking a driver that sleeps in the kernel, from any thread.
//!
//! An eventfd the driver watches. It is never read: its count only grows, and both drivers watch
//! it edge-triggered. A flag makes any number of wakes before the driver has seen the first cost
//! one write.

use std::{
    fs::File,
    io::{self, Write},
    os::fd::{AsFd, BorrowedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::AcqRel},
    },
};

use super::sys;

/// Makes a driver's `turn` return with `Event::Woken`. Cheap to clone, usable from any thread.
#[derive(Debug, Clone)]
pub struct Waker {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    eventfd: File,
    /// Set by the first wake, cleared by the driver before it reports `Woken`.
    pending: AtomicBool,
}

impl Waker {
    /// Makes the waker of one driver.
    ///
    /// # Errors
    /// When there can be no more descriptors.
    pub fn new() -> io::Result<Self> {
        let eventfd = File::from(sys::eventfd()?);
        Ok(Self { shared: Arc::new(Shared { eventfd, pending: AtomicBool::new(false) }) })
    }

    /// Wakes the driver. Whatever was written before this call is visible to it after `Woken`.
    ///
    /// # Panics
    /// If the eventfd cannot be written, which only a closed descriptor could cause.
    pub fn wake(&self) {
        if self.shared.pending.swap(true, AcqRel) {
            return;
        }
        let one = 1_u64.to_ne_bytes();
        (&self.shared.eventfd).write_all(&one).expect("an eventfd takes 2^64 - 2 wakes");
    }

    /// Clears the flag, after which the next wake writes again; the driver then reports `Woken`.
    /// Says whether it was set.
    pub fn acknowledge(&self) -> bool {
        self.shared.pending.swap(false, AcqRel)
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.eventfd.as_fd()
    }
}
