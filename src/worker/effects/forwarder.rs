//! Who may serve channels below a worker without asking it, such as a program in the kernel.

use crate::turn::ForwardedChannel;

/// Keeps the channels it is told of and serves what it knows for certain; anything else goes up to
/// the worker. Told rarely: when a channel, its permission or its allocation begins, is refreshed
/// or ends.
pub trait Forwarder {
    /// A channel may be served until a time in [`crate::turn::Now::mono_ms`]. Said again when that
    /// time moves.
    fn forward(&mut self, channel: ForwardedChannel, until_ms: u64);

    /// A channel may be served no more; always said before its relay's socket is closed.
    fn unforward(&mut self, channel: ForwardedChannel);
}

/// There is none: every packet goes up to the worker.
#[derive(Debug)]
pub(in crate::worker) struct NoForwarder;

impl Forwarder for NoForwarder {
    fn forward(&mut self, _: ForwardedChannel, _: u64) {}

    fn unforward(&mut self, _: ForwardedChannel) {}
}
