//! When a measurement begins and ends.

/// When a measurement begins and ends, on the clock of the run.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Window {
    /// Goes into every packet.
    pub(crate) run: u16,
    pub(crate) start_ns: u64,
    /// What is due before is warm-up.
    pub(crate) from_ns: u64,
    pub(crate) until_ns: u64,
}
