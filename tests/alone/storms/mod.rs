//! What a hostile network does to clients on streams: crowds that say nothing, storms of
//! connections, reloads without end, a client that reads slowly, garbage in every stage.
//!
//! Each stands beside calls that lose nothing meanwhile, and leaves no descriptor behind.

mod calls;
mod crowd;
mod garbage;
mod reloads;
mod slow;
mod stalled;
mod storm;

const DRIVERS: [&str; 2] = ["uring", "portable"];

/// Tries up to three times: what a machine does that stops for a moment, it does once; an attack
/// hurts each time.
fn holds(name: &str, comes_through: impl Fn(&str) -> bool) {
    for driver in DRIVERS {
        assert!((0..3).any(|_| comes_through(driver)), "{name}, {driver}");
    }
}
