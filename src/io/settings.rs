//! The numbers a driver is made with.

/// Sizes and limits of one driver. Address space is taken when the driver is made; memory becomes
/// resident with use.
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
    /// How long a turn looks for packets before it sleeps, in microseconds.
    pub spin_us: u32,
    /// How long the kernel polls the device's queue before a turn sleeps, in microseconds (NAPI
    /// busy polling; io_uring only, kernel 6.9).
    pub busy_poll_us: u32,
    /// Whether trains are sent with UDP_SEGMENT. Off, every datagram is a send of its own.
    pub segmentation: bool,
    /// Whether sockets are registered with the ring, which spares 2 % of a send. Must be off on
    /// kernels before 6.13, where a registered socket stays bound after it is closed.
    pub registered_files: bool,
    /// Whether the ring opens relay sockets itself, so that they have no descriptor of the process
    /// (kernel 6.11; it takes `registered_files`).
    pub direct_sockets: bool,
    /// Whether the ring may wait for a batch without a timer of its own (kernel 6.12).
    pub min_wait: bool,
}

/// When and how a driver waits for a batch of completions instead of the first one.
///
/// A batch makes joining happen and spares wake-ups. It costs latency, so there is none while the
/// worker has little to do, and a longer one the more of its core it uses.
#[derive(Debug, Clone, Copy)]
pub struct Batching {
    /// Completions to wait for at the first step; doubled whenever the wait is.
    pub completions: u32,
    /// The wait of the first step, in microseconds. Shorter ones cost more in timers than the batch
    /// saves unless load is high: 50 µs at 45,000 packets/s took 1.25 times the CPU of none.
    pub wait_us: u32,
    /// The longest wait there may ever be, in microseconds; 0 for none at all.
    pub longest_wait_us: u32,
    /// Datagrams in one turn from which the next may wait: when traffic ends, so does the waiting.
    pub busy_from: u32,
    /// Use of the core, in percent, from which there is a wait, and a longer one step by step.
    pub widen_from_percent: u32,
    /// Use of the core, in percent, below which it goes back a step. A step takes up to a fifth of
    /// the load away, which must not fall below this at once.
    pub narrow_below_percent: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            buffers: 1024,
            sockets: 16_384,
            batching: Batching::default(),
            spin_us: 0,
            busy_poll_us: 0,
            segmentation: true,
            registered_files: true,
            direct_sockets: true,
            min_wait: true,
        }
    }
}

impl Default for Batching {
    fn default() -> Self {
        Self {
            completions: 64,
            wait_us: 100,
            longest_wait_us: 400,
            busy_from: 4,
            widen_from_percent: 50,
            narrow_below_percent: 35,
        }
    }
}
