//! What clients are heard on: each address for UDP and for TCP.

use super::settled::Config;
use crate::worker::{Listen, ListenKind};

impl Config {
    /// Every listener, in the order of its name at the start: those for UDP first.
    pub(in crate::control) fn listeners(&self) -> Vec<Listen> {
        let datagrams = self.listen.iter().copied().map(Listen::datagrams);
        let streams = self.listen.iter().copied().map(Listen::streams);
        datagrams.chain(streams).collect()
    }

    /// How many listeners a worker has of a kind.
    pub(in crate::control) fn listeners_for(&self, is_of: fn(ListenKind) -> bool) -> usize {
        self.listeners().iter().filter(|listen| is_of(listen.kind)).count()
    }
}
