//! What an allocation remembers of what it said to a forwarder.

use crate::turn::api::effect::ForwardedChannel;

/// A channel that was said, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::turn) struct Told {
    pub(super) channel: ForwardedChannel,
    pub(super) until_ms: u64,
}

impl Told {
    pub(super) fn number(&self) -> u16 {
        self.channel.number.number()
    }
}
