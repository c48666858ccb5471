//! What clients are heard on: each address for UDP and, if that is wanted, for TCP; and those for
//! TLS alone.

use crate::control::config::settled::Config;
use crate::worker::{Listen, ListenKind};

impl Config {
    /// Every listener, in the order of its name at the start: those for UDP first, so that they
    /// are named as their addresses are.
    pub(in crate::control) fn listeners(&self) -> Vec<Listen> {
        let datagrams = self.listen.iter().copied().map(Listen::datagrams);
        let streams = self.listen.iter().filter(|_| self.values.tcp.0);
        let streams = streams.copied().map(Listen::streams);
        let tls = self.listen_tls.iter().copied().map(Listen::tls_streams);
        datagrams.chain(streams).chain(tls).collect()
    }

    /// How many listeners a worker has of a kind.
    pub(in crate::control) fn listeners_for(&self, is_of: fn(ListenKind) -> bool) -> usize {
        self.listeners().iter().filter(|listen| is_of(listen.kind)).count()
    }
}
