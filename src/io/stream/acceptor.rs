//! One listener.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::fd::OwnedFd,
    rc::Rc,
};

use socket2::SockRef;

/// Accepts of one listener that are under way where few connections come, and those that have a
/// place each where many come.
const FEWEST_ACCEPTS: usize = 8;
/// Accepts where many come: what one turn takes at most, in about a millisecond.
const MOST_ACCEPTS: usize = 64;

/// A listener whose connections are taken.
#[derive(Debug)]
pub(super) struct Acceptor {
    pub(super) listener: Rc<TcpListener>,
    /// Our end of every connection; `None` where the listener takes those of any address.
    local: Option<SocketAddr>,
    pub(super) phase: AcceptorPhase,
    pub(super) claim: Claim,
    /// Places that its accepts have; no more than there are accepts.
    pub(super) claimed: usize,
    /// Accepts with the kernel.
    pub(super) under_way: usize,
    /// Connections taken since accepts were begun the last time.
    pub(super) taken: usize,
    /// The kernel has been told to end those.
    pub(super) is_stopping: bool,
}

/// What a listener's accepts have of the table of streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::io) enum Claim {
    /// A place each, up to a few; beyond those, what is left when a connection comes.
    Places,
    /// What is left when a connection comes.
    Leftovers,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AcceptorPhase {
    Open,
    Broken,
    /// `stop_accepting` was called.
    Stopped,
}

impl Acceptor {
    pub(super) fn new(listener: TcpListener, claim: Claim) -> io::Result<Self> {
        let local = listener.local_addr()?;
        Ok(Self {
            listener: Rc::new(listener),
            local: (!local.ip().is_unspecified()).then_some(local),
            phase: AcceptorPhase::Open,
            claim,
            claimed: 0,
            under_way: 0,
            taken: 0,
            is_stopping: false,
        })
    }

    /// How many more accepts are to be begun: up to twice what the last turn took. So a storm of
    /// connections never fills the backlog for as long as turns are, where newcomers would wait a
    /// second or three until their kernel asks again.
    pub(super) fn accepts_due(&mut self) -> usize {
        let taken = std::mem::take(&mut self.taken);
        let wanted = match self.claim {
            Claim::Places => (2 * taken).clamp(FEWEST_ACCEPTS, MOST_ACCEPTS),
            Claim::Leftovers => 1,
        };
        wanted.saturating_sub(self.under_way)
    }

    /// How many more places are to be claimed. Accepts that a storm has left behind claim none:
    /// many idle listeners would keep all places from the one that clients use.
    pub(super) fn places_due(&self) -> usize {
        let wanted = match self.claim {
            Claim::Places => self.under_way.min(FEWEST_ACCEPTS),
            Claim::Leftovers => 0,
        };
        wanted.saturating_sub(self.claimed)
    }

    /// Our end of a connection. `None` if it is gone already.
    pub(super) fn local_of(&self, socket: &OwnedFd) -> Option<SocketAddr> {
        self.local.or_else(|| SockRef::from(socket).local_addr().ok()?.as_socket())
    }
}
