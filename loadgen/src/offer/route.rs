//! From whom to whom packets travel, and what the flows between them are called.

/// From whom to whom packets travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// Clients and a peer without a relay between them.
    Direct,
    /// Clients and a peer, through the relay.
    Relay,
    /// Two clients, each behind its own allocation.
    Pair,
    /// To the server and back.
    Binding,
}

/// Ways packets go: client to peer, peer to client, and to clients that read slowly.
pub(crate) const WAYS: usize = 3;

/// The last of them.
pub(crate) const SLOW_WAY: usize = 2;

/// One end of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Client(usize),
    Peer,
}

impl Route {
    /// Flows that `clients` clients make; the lowest bit of a flow is its direction.
    pub(crate) fn flows(self, clients: usize) -> usize {
        match self {
            Route::Direct | Route::Relay | Route::Binding => clients * 2,
            Route::Pair => clients,
        }
    }

    pub(crate) fn sender(self, flow: usize) -> End {
        match self {
            Route::Pair => End::Client(flow),
            Route::Binding => End::Client(flow / 2),
            Route::Direct | Route::Relay if flow.is_multiple_of(2) => End::Client(flow / 2),
            Route::Direct | Route::Relay => End::Peer,
        }
    }

    pub(crate) fn receiver(self, flow: usize) -> End {
        match self {
            Route::Pair => End::Client(flow ^ 1),
            Route::Binding => End::Client(flow / 2),
            Route::Direct | Route::Relay if flow.is_multiple_of(2) => End::Peer,
            Route::Direct | Route::Relay => End::Client(flow / 2),
        }
    }

    /// Which of the ways a flow goes, where the first `slow` clients read slowly.
    pub(crate) fn way(self, flow: usize, slow: usize) -> usize {
        match self.receiver(flow) {
            End::Client(at) if at < slow => SLOW_WAY,
            End::Client(_) | End::Peer => flow % 2,
        }
    }

    pub(crate) fn has_peer(self) -> bool {
        matches!(self, Route::Direct | Route::Relay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flow_has_two_ends_that_fit() {
        for route in [Route::Direct, Route::Relay, Route::Pair, Route::Binding] {
            for flow in 0..route.flows(6) {
                let (from, to) = (route.sender(flow), route.receiver(flow));
                assert_eq!(from == to, route == Route::Binding, "{route:?} {flow}");
                assert!([from, to].iter().all(|end| !matches!(end, End::Client(6..))));
            }
        }
    }
}
