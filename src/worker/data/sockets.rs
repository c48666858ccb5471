//! Which socket of the driver is which listener or relay of the state machine, and back.

use std::io;

use crate::{
    io::{AcceptorId, Driver, SocketId},
    turn::{ListenerId, RelayId},
    worker::start::listen::{DatagramSockets, ListenerSockets},
    worker::start::plan::ListenKind,
};

/// What a socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Clients talk to it.
    Listener(ListenerId),
    /// Peers talk to it.
    Relay(RelayId),
}

/// What the driver has of a listening address.
#[derive(Debug, Clone, Copy)]
pub(in crate::worker) enum Listener {
    /// Sockets for datagrams.
    Datagrams {
        /// For payload, and answered from.
        payload: SocketId,
        /// For requests.
        requests: SocketId,
    },
    /// Connections are taken.
    Streams(AcceptorId, ListenKind),
}

impl Listener {
    /// Gives everything to a driver, or nothing.
    pub(in crate::worker) fn open<D: Driver>(
        driver: &mut D,
        sockets: ListenerSockets,
    ) -> io::Result<Listener> {
        match sockets {
            ListenerSockets::Datagrams(sockets) => Self::open_datagrams(driver, sockets),
            ListenerSockets::Streams(listener) => {
                Ok(Self::Streams(driver.accept(listener)?, ListenKind::Streams))
            }
            ListenerSockets::TlsStreams(listener) => {
                Ok(Self::Streams(driver.accept(listener)?, ListenKind::TlsStreams))
            }
        }
    }

    fn open_datagrams<D: Driver>(driver: &mut D, sockets: DatagramSockets) -> io::Result<Listener> {
        let payload = driver.open(sockets.payload)?;
        match driver.open(sockets.requests) {
            Ok(requests) => Ok(Self::Datagrams { payload, requests }),
            Err(error) => {
                driver.close(payload);
                Err(error)
            }
        }
    }

    /// The sockets for datagrams.
    pub(in crate::worker) fn sockets(&self) -> impl Iterator<Item = SocketId> + use<> {
        let both = match *self {
            Self::Datagrams { payload, requests } => Some([payload, requests]),
            Self::Streams(..) => None,
        };
        both.into_iter().flatten()
    }
}

/// A relay's socket.
#[derive(Debug, Clone, Copy)]
enum RelaySocket {
    /// It relays.
    Open(SocketId),
    /// It holds a reserved port, and is paused.
    Reserved(SocketId),
    /// It relays on a port that was reserved.
    OpenReserved(SocketId),
    /// It takes connections of peers.
    Listening(AcceptorId),
}

/// Whose connections are taken.
#[derive(Debug, Clone, Copy)]
pub(in crate::worker) enum Acceptor {
    /// Clients come to it.
    Listener(ListenerId, ListenKind),
    /// Peers come to it.
    Relay(RelayId),
}

/// The two tables. Both indices are small and dense, so both ways are one look.
#[derive(Debug)]
pub(in crate::worker) struct Sockets {
    roles: Vec<Option<Role>>,
    /// `None` for an address that nobody listens on any more.
    listeners: Vec<Option<Listener>>,
    /// Whose connections an acceptor takes.
    acceptors: Vec<Option<Acceptor>>,
    relays: Vec<Option<RelaySocket>>,
    /// Sockets of ports that are or were reserved, those that the driver still opens included. A
    /// redeemed one may have come from another worker, as a descriptor of the process whatever the
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
            acceptors: Vec::new(),
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
        listener.sockets().for_each(|it| self.set_role(it, Role::Listener(id)));
        if let Listener::Streams(acceptor, kind) = listener {
            put(&mut self.acceptors, acceptor.index(), Acceptor::Listener(id, kind));
        }
        self.listeners[index].replace(listener)
    }

    /// Notes that a listener is closed, and says what it was. The role of its sockets stays until
    /// they are forgotten.
    pub(in crate::worker) fn stop_listening(&mut self, id: ListenerId) -> Option<Listener> {
        let listener = self.listeners.get_mut(usize::from(id.0)).and_then(Option::take)?;
        if let Listener::Streams(acceptor, _) = listener {
            self.acceptors[acceptor.index()] = None;
        }
        Some(listener)
    }

    /// What a socket is for.
    pub(in crate::worker) fn role(&self, socket: SocketId) -> Option<Role> {
        self.roles.get(socket.index()).copied().flatten()
    }

    /// The listening sockets.
    pub(in crate::worker) fn listening(&self) -> impl Iterator<Item = SocketId> {
        self.listeners.iter().flatten().flat_map(Listener::sockets)
    }

    /// The socket UDP clients of a listener are answered from.
    pub(in crate::worker) fn listener(&self, listener: ListenerId) -> Option<SocketId> {
        match (*self.listeners.get(usize::from(listener.0))?)? {
            Listener::Datagrams { payload, .. } => Some(payload),
            Listener::Streams(..) => None,
        }
    }

    /// Whose connections an acceptor takes.
    pub(in crate::worker) fn acceptor(&self, acceptor: AcceptorId) -> Option<Acceptor> {
        self.acceptors.get(acceptor.index()).copied().flatten()
    }

    /// Notes that a relay takes connections.
    pub(in crate::worker) fn listen_for_peers(&mut self, relay: RelayId, acceptor: AcceptorId) {
        put(&mut self.relays, relay.0 as usize, RelaySocket::Listening(acceptor));
        put(&mut self.acceptors, acceptor.index(), Acceptor::Relay(relay));
    }

    /// Takes what a relay takes connections with.
    pub(in crate::worker) fn take_acceptor(&mut self, relay: RelayId) -> Option<AcceptorId> {
        let place = self.relays.get_mut(relay.0 as usize)?;
        let Some(RelaySocket::Listening(acceptor)) = *place else { return None };
        *place = None;
        self.acceptors[acceptor.index()] = None;
        Some(acceptor)
    }

    /// The socket a relay sends from, if it relays.
    pub(in crate::worker) fn relay(&self, relay: RelayId) -> Option<SocketId> {
        match (*self.relays.get(relay.0 as usize)?)? {
            RelaySocket::Open(socket) | RelaySocket::OpenReserved(socket) => Some(socket),
            RelaySocket::Reserved(_) | RelaySocket::Listening(_) => None,
        }
    }

    /// Notes that a relay is open.
    pub(in crate::worker) fn open(&mut self, relay: RelayId, socket: SocketId) {
        self.set_relay(relay, RelaySocket::Open(socket));
    }

    /// Finds out whether there may be one more socket of a reserved port.
    ///
    /// # Errors
    /// `EMFILE` when there may not.
    pub(in crate::worker) fn room_for_reserved(&self) -> io::Result<()> {
        let has_room = self.reserved < self.most_reserved;
        has_room.then_some(()).ok_or_else(|| io::Error::from_raw_os_error(libc::EMFILE))
    }

    /// Notes that the driver was asked for the socket of a reserved port.
    pub(in crate::worker) fn await_reserved(&mut self) {
        self.reserved += 1;
    }

    /// Notes that the driver refused it.
    pub(in crate::worker) fn await_reserved_no_more(&mut self) {
        self.reserved -= 1;
    }

    /// Notes that the driver has opened it: the relay's port is reserved.
    pub(in crate::worker) fn reserve(&mut self, relay: RelayId, socket: SocketId) {
        self.set_relay(relay, RelaySocket::Reserved(socket));
    }

    /// Notes that a relay is open on its reserved port, and says which socket is to receive.
    pub(in crate::worker) fn activate(&mut self, relay: RelayId) -> Option<SocketId> {
        let place = self.relays.get_mut(relay.0 as usize)?;
        let Some(RelaySocket::Reserved(socket)) = *place else { return None };
        *place = Some(RelaySocket::OpenReserved(socket));
        Some(socket)
    }

    /// Notes that a relay is open whose port another worker had reserved.
    pub(in crate::worker) fn open_reserved(&mut self, relay: RelayId, socket: SocketId) {
        self.set_relay(relay, RelaySocket::OpenReserved(socket));
        self.reserved += 1;
    }

    /// Takes whatever socket a relay has. Its role stays until it is forgotten.
    pub(in crate::worker) fn take(&mut self, relay: RelayId) -> Option<SocketId> {
        match self.relays.get_mut(relay.0 as usize)?.take()? {
            RelaySocket::Open(socket) => Some(socket),
            RelaySocket::Reserved(socket) | RelaySocket::OpenReserved(socket) => {
                self.reserved -= 1;
                Some(socket)
            }
            RelaySocket::Listening(acceptor) => {
                self.acceptors[acceptor.index()] = None;
                None
            }
        }
    }

    /// Takes the socket of a reserved port that goes to another worker: the relay's name may be
    /// another's at once.
    pub(in crate::worker) fn part_with(&mut self, relay: RelayId) -> Option<SocketId> {
        let place = self.relays.get(relay.0 as usize)?;
        let Some(RelaySocket::Reserved(socket)) = *place else { return None };
        self.take(relay);
        self.forget(socket);
        Some(socket)
    }

    /// Forgets a socket the kernel has let go of, and says what it was.
    pub(in crate::worker) fn forget(&mut self, socket: SocketId) -> Option<Role> {
        self.roles.get_mut(socket.index()).and_then(Option::take)
    }

    fn set_relay(&mut self, relay: RelayId, socket: RelaySocket) {
        put(&mut self.relays, relay.0 as usize, socket);
        match socket {
            RelaySocket::Open(id) | RelaySocket::Reserved(id) | RelaySocket::OpenReserved(id) => {
                self.set_role(id, Role::Relay(relay));
            }
            RelaySocket::Listening(_) => {}
        }
    }

    fn set_role(&mut self, socket: SocketId, role: Role) {
        put(&mut self.roles, socket.index(), role);
    }
}

fn put<T: Copy>(table: &mut Vec<Option<T>>, index: usize, value: T) {
    if table.len() <= index {
        table.resize(index + 1, None);
    }
    table[index] = Some(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reserve(sockets: &mut Sockets, relay: RelayId, socket: SocketId) {
        sockets.await_reserved();
        sockets.reserve(relay, socket);
    }

    #[test]
    fn reserved_sockets_are_bounded_until_they_are_let_go() {
        let mut sockets = Sockets::new(2);
        for number in [3, 5] {
            sockets.room_for_reserved().expect("two have room");
            reserve(&mut sockets, RelayId(number), SocketId::new(number));
        }
        let full = sockets.room_for_reserved().unwrap_err();
        assert_eq!(full.raw_os_error(), Some(libc::EMFILE));
        assert_eq!(sockets.take(RelayId(3)), Some(SocketId::new(3)));
        sockets.room_for_reserved().expect("one was let go");
        assert_eq!(sockets.take(RelayId(3)), None);
        sockets.await_reserved();
        sockets.room_for_reserved().expect_err("nothing was let go twice, and one is awaited");
        sockets.await_reserved_no_more();
        sockets.room_for_reserved().expect("it was refused");
    }

    #[test]
    fn a_reserved_socket_sends_nothing_before_it_is_active() {
        let mut sockets = Sockets::new(2);
        reserve(&mut sockets, RelayId(1), SocketId::new(7));
        assert_eq!(sockets.relay(RelayId(1)), None);
        assert_eq!(sockets.activate(RelayId(1)), Some(SocketId::new(7)));
        assert_eq!(sockets.relay(RelayId(1)), Some(SocketId::new(7)));
        assert_eq!(sockets.activate(RelayId(1)), None, "it is active already");
        assert_eq!(sockets.part_with(RelayId(1)), None, "it is not reserved any more");
    }

    #[test]
    fn a_socket_that_goes_to_another_worker_has_no_role_here() {
        let mut sockets = Sockets::new(2);
        reserve(&mut sockets, RelayId(1), SocketId::new(7));
        assert_eq!(sockets.role(SocketId::new(7)), Some(Role::Relay(RelayId(1))));
        assert_eq!(sockets.part_with(RelayId(1)), Some(SocketId::new(7)));
        assert_eq!(sockets.role(SocketId::new(7)), None);
        assert_eq!(sockets.take(RelayId(1)), None);
    }
}
