//! One listener.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::fd::OwnedFd,
    rc::Rc,
};

use socket2::SockRef;

/// Accepts of one listener that are under way where few connections come.
const FEWEST_ACCEPTS: usize = 8;
/// The same where many come: what one turn takes at most.
const MOST_ACCEPTS: usize = 256;
/// Of all places they claim one in so many at most.
const CLAIMED_PART: usize = 32;

/// A listener whose connections are taken.
#[derive(Debug)]
pub(super) struct Acceptor {
    pub(super) listener: Rc<TcpListener>,
    /// Our end of every connection; `None` where the listener takes those of any address.
    local: Option<SocketAddr>,
    pub(super) phase: AcceptorPhase,
    pub(super) claim: Claim,
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
    /// A place each, from when they begin.
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
            under_way: 0,
            taken: 0,
            is_stopping: false,
        })
    }

    /// How many more accepts are to be begun, of a driver with so many places: twice what the last
    /// turn took. So a storm of connections never fills the backlog for as long as turns are, where
    /// newcomers would wait a second or three until their kernel asks again, and a quiet listener
    /// claims few places.
    pub(super) fn accepts_due(&mut self, places: usize) -> usize {
        let taken = std::mem::take(&mut self.taken);
        let most = (places / CLAIMED_PART).clamp(FEWEST_ACCEPTS, MOST_ACCEPTS);
        let wanted = match self.claim {
            Claim::Places => (2 * taken).clamp(FEWEST_ACCEPTS, most),
            Claim::Leftovers => 1,
        };
        wanted.saturating_sub(self.under_way)
    }

    /// Our end of a connection. `None` if it is gone already.
    pub(super) fn local_of(&self, socket: &OwnedFd) -> Option<SocketAddr> {
        self.local.or_else(|| SockRef::from(socket).local_addr().ok()?.as_socket())
    }
}
