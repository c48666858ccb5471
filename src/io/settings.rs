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
    /// Streams open at once.
    pub streams: u32,
    /// The longest time that a packet is held for others to be sent with, in microseconds; 0 for
    /// none at all. It is held only while that makes packets join.
    pub hold_us: u32,
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
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            buffers: 1024,
            sockets: 16_384,
            streams: 16_384,
            hold_us: 100,
            spin_us: 0,
            busy_poll_us: 0,
            segmentation: true,
            registered_files: true,
            direct_sockets: true,
        }
    }
}
