//! One listener.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::fd::OwnedFd,
    rc::Rc,
};

use socket2::SockRef;

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

impl Claim {
    /// Accepts of one listener that are under way at a time.
    pub(super) fn accepts(self) -> usize {
        match self {
            Claim::Places => 8,
            Claim::Leftovers => 1,
        }
    }
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
            is_stopping: false,
        })
    }

    /// Our end of a connection. `None` if it is gone already.
    pub(super) fn local_of(&self, socket: &OwnedFd) -> Option<SocketAddr> {
        self.local.or_else(|| SockRef::from(socket).local_addr().ok()?.as_socket())
    }
}
