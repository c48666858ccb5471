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
    /// Accepts with the kernel.
    pub(super) under_way: usize,
    /// The kernel has been told to end those.
    pub(super) is_stopping: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AcceptorPhase {
    Open,
    Broken,
    /// `stop_accepting` was called.
    Stopped,
}

impl Acceptor {
    pub(super) fn new(listener: TcpListener) -> io::Result<Self> {
        let local = listener.local_addr()?;
        Ok(Self {
            listener: Rc::new(listener),
            local: (!local.ip().is_unspecified()).then_some(local),
            phase: AcceptorPhase::Open,
            under_way: 0,
            is_stopping: false,
        })
    }

    /// Our end of a connection. `None` if it is gone already.
    pub(super) fn local_of(&self, socket: &OwnedFd) -> Option<SocketAddr> {
        self.local.or_else(|| SockRef::from(socket).local_addr().ok()?.as_socket())
    }
}
