//! Waits until something about the machine's addresses has changed.
//!
//! What the kernel sends is not read for its meaning: a message lost for want of room would make
//! whoever adds up changes wrong for ever. Everything is asked for anew instead.

use std::future::pending;
use std::io;
use std::time::Duration;

use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket};
use nix::errno::Errno;
use tokio::time::{Instant, sleep_until};
use tracing::warn;

/// `RTNLGRP_LINK`, `RTNLGRP_IPV4_IFADDR` and `RTNLGRP_IPV6_IFADDR`: interfaces that come and go,
/// and their addresses. Routes are left out, of which a router hears thousands a second.
const GROUPS: [u32; 3] = [1, 5, 9];
/// How long after a first change the next ones are waited for: an interface that comes up, or a
/// hundred containers, make many.
const SETTLES_IN: Duration = Duration::from_millis(100);
/// Most of a message that is read before it is thrown away.
const MESSAGE_BYTES: usize = 4096;

/// The kernel's news.
pub(in crate::control) struct Watch {
    /// `None` where the kernel cannot be heard.
    socket: Option<TokioSocket>,
    /// When the change under way counts as settled.
    settled: Option<Instant>,
}

impl Watch {
    /// Begins to listen, with a change: nobody knows what happened before. Has to be called on a
    /// runtime.
    pub(in crate::control) fn begin() -> Self {
        let socket = listen().map_err(|error| warn_of(&error)).ok();
        Self { socket, settled: Some(Instant::now()) }
    }

    /// Returns [`SETTLES_IN`] after something has changed; never, where the kernel cannot be heard.
    /// A caller that stops waiting loses nothing.
    pub(in crate::control) async fn changed(&mut self) {
        let Some(socket) = &mut self.socket else { return pending().await };
        if let Err(error) = settle(socket, &mut self.settled).await {
            warn_of(&error);
            self.socket = None;
        }
    }
}

fn warn_of(error: &io::Error) {
    warn!(%error, "the kernel tells no changes of addresses: they are asked for once a minute");
}

fn listen() -> io::Result<TokioSocket> {
    let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
    socket.socket_mut().bind(&SocketAddr::new(0, 0))?;
    GROUPS.into_iter().try_for_each(|group| socket.socket_ref().add_membership(group))?;
    Ok(socket)
}

/// Waits for a change, lets it settle, and throws away what it said.
async fn settle(socket: &mut TokioSocket, settled: &mut Option<Instant>) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(MESSAGE_BYTES);
    if settled.is_none() {
        heard(socket.recv(&mut buffer).await)?;
        *settled = Some(Instant::now() + SETTLES_IN);
    }
    if let Some(settled) = *settled {
        sleep_until(settled).await;
    }
    *settled = None;
    loop {
        buffer.clear();
        match heard(socket.socket_ref().recv(&mut buffer, 0)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// More changes than there was room for are changes, too: all is asked for anyway.
fn heard<T>(outcome: io::Result<T>) -> io::Result<()> {
    match outcome {
        Err(error) if error.raw_os_error() != Some(Errno::ENOBUFS as i32) => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::Watch;

    // Between the first look at the machine and the first word of the kernel there is a gap.
    #[tokio::test]
    async fn it_begins_with_a_change_and_is_silent_while_nothing_happens() {
        let mut watch = Watch::begin();
        watch.changed().await;
        let silence = timeout(Duration::from_millis(1), watch.changed());
        assert!(silence.await.is_err(), "somebody changes addresses here, or nothing is heard");
    }
}
