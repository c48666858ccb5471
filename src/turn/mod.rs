//! The TURN state machine, pure.

mod now;

pub use now::Now;
