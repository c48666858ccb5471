//! Which socket of the driver is which listener or relay of the state machine, and back.

use std::{io, net::UdpSocket};

use crate::{
    io::{Driver, SocketId},
    turn::{ListenerId, RelayId},
    worker::start::listen::ListenerSockets,
};

/// What a socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Clients talk to it.
    Listener(ListenerId),
    /// Peers talk to it.
    Relay(RelayId),
}

/// The sockets of a listening address.
#[derive(Debug, Clone, Copy)]
pub(in crate::worker) struct Listener {
    /// For payload, and answered from.
    payload: SocketId,
    /// For requests.
    requests: SocketId,
}

impl Listener {
    /// Gives both sockets to a driver, or neither.
    pub(in crate::worker) fn open<D: Driver>(
        driver: &mut D,
        sockets: ListenerSockets,
    ) -> io::Result<Listener> {
        let payload = driver.open(sockets.payload)?;
        match driver.open(sockets.requests) {
            Ok(requests) => Ok(Listener { payload, requests }),
            Err(error) => {
                driver.close(payload);
                Err(error)
            }
        }
    }

    /// Both of them.
    pub(in crate::worker) fn sockets(&self) -> [SocketId; 2] {
        [self.payload, self.requests]
    }
}

/// A relay's socket.
#[derive(Debug, Default)]
pub(in crate::worker) enum RelaySocket {
    /// There is none.
    #[default]
    None,
    /// It holds a reserved port, and nothing is received on it.
    Held(UdpSocket),
    /// It relays.
    Open(SocketId),
    /// It relays on a port that was reserved.
    OpenReserved(SocketId),
}

/// The two tables. Both indices are small and dense, so both ways are one look.
#[derive(Debug)]
pub(in crate::worker) struct Sockets {
    roles: Vec<Option<Role>>,
    /// `None` for an address that nobody listens on any more.
    listeners: Vec<Option<Listener>>,
    relays: Vec<RelaySocket>,
    /// Relays whose ports were reserved. Their sockets are descriptors of the process whatever the
    /// driver, so they are bounded: by `most_reserved`.
    reserved: u32,
    most_reserved: u32,
}

impl Sockets {
    /// Begins with none, and with room for so many that are reserved.
    pub(in crate::worker) fn new(most_reserved: u32) -> Sockets {
        Sockets {
            roles: Vec::new(),
            listeners: Vec::new(),
            relays: Vec::new(),
            reserved: 0,
            most_reserved,
        }
    }

    /// Notes that a listener is open; gives what it had been before.
    pub(in crate::worker) fn listen(
        &mut self,
        id: ListenerId,
        listener: Listener,
    ) -> Option<Listener> {
        let index = usize::from(id.0);
        if self.listeners.len() <= index {
            self.listeners.resize(index + 1, None);
        }
        listener.sockets().into_iter().for_each(|it| self.set_role(it, Role::Listener(id)));
        self.listeners[index].replace(listener)
    }

    /// Notes that a listener is closed, and says what it was. The role of its sockets stays until
    /// they are forgotten.
    pub(in crate::worker) fn stop_listening(&mut self, id: ListenerId) -> Option<Listener> {
        self.listeners.get_mut(usize::from(id.0)).and_then(Option::take)
    }

    /// What a socket is for.
    pub(in crate::worker) fn role(&self, socket: SocketId) -> Option<Role> {
        self.roles.get(socket.index()).copied().flatten()
    }

    /// The listening sockets.
    pub(in crate::worker) fn listening(&self) -> impl Iterator<Item = SocketId> {
        self.listeners.iter().flatten().flat_map(Listener::sockets)
    }

    /// The socket clients of a listener are answered from.
    pub(in crate::worker) fn listener(&self, listener: ListenerId) -> Option<SocketId> {
        self.listeners.get(usize::from(listener.0))?.map(|listener| listener.payload)
    }

    /// The socket a relay sends from, if it relays.
    pub(in crate::worker) fn relay(&self, relay: RelayId) -> Option<SocketId> {
        match self.relays.get(relay.0 as usize)? {
            RelaySocket::Open(socket) | RelaySocket::OpenReserved(socket) => Some(*socket),
            RelaySocket::None | RelaySocket::Held(_) => None,
        }
    }

    /// Notes that a relay is open.
    pub(in crate::worker) fn open(&mut self, relay: RelayId, socket: SocketId) {
        *self.relay_mut(relay) = RelaySocket::Open(socket);
        self.set_role(socket, Role::Relay(relay));
    }

    /// Finds out whether there may be one more socket of a reserved port.
    ///
    /// # Errors
    /// `EMFILE` when there may not.
    pub(in crate::worker) fn room_for_reserved(&self) -> io::Result<()> {
        let has_room = self.reserved < self.most_reserved;
        has_room.then_some(()).ok_or_else(|| io::Error::from_raw_os_error(libc::EMFILE))
    }

    /// Keeps the socket of a reserved port.
    pub(in crate::worker) fn hold(&mut self, relay: RelayId, socket: UdpSocket) {
        *self.relay_mut(relay) = RelaySocket::Held(socket);
        self.reserved += 1;
    }

    /// Notes that a relay is open whose port was reserved.
    pub(in crate::worker) fn open_reserved(&mut self, relay: RelayId, socket: SocketId) {
        *self.relay_mut(relay) = RelaySocket::OpenReserved(socket);
        self.set_role(socket, Role::Relay(relay));
        self.reserved += 1;
    }

    /// Takes whatever socket a relay has. The role of an open one stays until it is forgotten.
    pub(in crate::worker) fn take(&mut self, relay: RelayId) -> RelaySocket {
        let taken = std::mem::take(self.relay_mut(relay));
        if matches!(taken, RelaySocket::Held(_) | RelaySocket::OpenReserved(_)) {
            self.reserved -= 1;
        }
        taken
    }

    /// Forgets a socket the kernel has let go of, and says what it was.
    pub(in crate::worker) fn forget(&mut self, socket: SocketId) -> Option<Role> {
        self.roles.get_mut(socket.index()).and_then(Option::take)
    }

    fn relay_mut(&mut self, relay: RelayId) -> &mut RelaySocket {
        let index = relay.0 as usize;
        if self.relays.len() <= index {
            self.relays.resize_with(index + 1, RelaySocket::default);
        }
        &mut self.relays[index]
    }

    fn set_role(&mut self, socket: SocketId, role: Role) {
        let index = socket.index();
        if self.roles.len() <= index {
            self.roles.resize(index + 1, None);
        }
        self.roles[index] = Some(role);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_sockets_are_bounded_until_they_are_let_go() {
        let mut sockets = Sockets::new(2);
        let socket = || UdpSocket::bind("127.0.0.1:0").expect("a free port");
        for relay in [RelayId(3), RelayId(5)] {
            sockets.room_for_reserved().expect("two have room");
            sockets.hold(relay, socket());
        }
        let full = sockets.room_for_reserved().unwrap_err();
        assert_eq!(full.raw_os_error(), Some(libc::EMFILE));
        assert!(matches!(sockets.take(RelayId(3)), RelaySocket::Held(_)));
        sockets.room_for_reserved().expect("one was let go");
        assert!(matches!(sockets.take(RelayId(3)), RelaySocket::None));
        sockets.hold(RelayId(3), socket());
        sockets.room_for_reserved().expect_err("nothing was let go twice");
    }
}
