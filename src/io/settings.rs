//! The numbers a driver is made with.

/// Sizes and limits of one driver. Memory is taken when the driver is made, from these.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Receive buffers of 64 KiB, 1 to 32,768. The kernel backs only what datagrams have touched.
    ///
    /// One call can complete 400 to 1,000 receives under load; with far fewer buffers than that the
    /// sockets starve each other.
    pub buffers: u32,
    /// Sockets open at once. Cut to what the file limit allows.
    pub sockets: u32,
    /// When to wait for more than one completion.
    pub batching: Batching,
    /// Whether trains are sent with UDP_SEGMENT. Off, every datagram is a send of its own.
    pub segmentation: bool,
    /// Whether sockets are registered with the ring, which spares 2 % of a send. Must be off on
    /// kernels before 6.13, where a registered socket stays bound after it is closed.
    pub registered_files: bool,
    /// Whether the ring may wait for a batch without a timer of its own (kernel 6.12).
    pub min_wait: bool,
}

/// When and how a driver waits for a batch of completions instead of the first one.
///
/// A batch makes joining happen: sends per packet fell from 0.40 to 0.13 in the measurement these
/// defaults come from. It costs latency when there is little to wait for, so it is only done while
/// the turns themselves bring many.
#[derive(Debug, Clone, Copy)]
pub struct Batching {
    /// Completions to wait for while busy.
    pub completions: u32,
    /// The longest such wait, in microseconds.
    pub wait_us: u32,
    /// Receives in one turn from which the driver counts as busy.
    pub busy_from: u32,
    /// Receives in one turn below which it no longer does.
    pub idle_below: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            buffers: 1024,
            sockets: 16_384,
            batching: Batching::default(),
            segmentation: true,
            registered_files: true,
            min_wait: true,
        }
    }
}

impl Default for Batching {
    fn default() -> Self {
        Self { completions: 32, wait_us: 50, busy_from: 8, idle_below: 4 }
    }
}
