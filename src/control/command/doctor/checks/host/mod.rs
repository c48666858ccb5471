//! The machine by itself: kernel, cores, clock, limits.

pub(super) mod clock;
pub(super) mod cpu;
pub(super) mod kernel;
pub(super) mod limits;
