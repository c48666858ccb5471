//! A session and the socket its datagrams travel through.

use std::{
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::Arc,
};

use super::{
    request::{Answer, Request},
    session::Session,
};
use crate::{fault::Fault, rig::endpoint};

/// Ports that are tried before a server's 437 is believed.
const MAX_PORTS: u32 = 8;

/// One TURN client: its socket is connected to the server and never blocks.
pub(crate) struct Member {
    pub(crate) socket: Arc<UdpSocket>,
    pub(crate) session: Session,
    /// The address it has to have, if any.
    from: Option<IpAddr>,
    gro: bool,
    ports: u32,
}

impl Member {
    /// A client with a new socket to the server.
    pub(crate) fn open(server: SocketAddr, gro: bool, session: Session) -> Result<Member, Fault> {
        let socket = endpoint::open_client(server, gro)?;
        Ok(Member { socket, session, from: None, gro, ports: 1 })
    }

    /// A client at one address of this machine.
    pub(crate) fn open_at(
        from: IpAddr,
        server: SocketAddr,
        session: Session,
    ) -> Result<Member, Fault> {
        let socket = endpoint::open_client_at(from, server, false)?;
        Ok(Member { socket, session, from: Some(from), gro: false, ports: 1 })
    }

    /// Takes another port, for a server that remembers the present one from a client before us
    /// (437). False after too many.
    pub(crate) fn reopen(&mut self, server: SocketAddr) -> Result<bool, Fault> {
        if self.ports == MAX_PORTS {
            return Ok(false);
        }
        self.socket = match self.from {
            Some(from) => endpoint::open_client_at(from, server, self.gro)?,
            None => endpoint::open_client(server, self.gro)?,
        };
        self.session.forget();
        self.ports += 1;
        Ok(true)
    }

    /// Sends a new request.
    pub(crate) fn start(&mut self, request: Request, now_ns: u64) -> io::Result<()> {
        self.session.start(request, now_ns);
        self.send_pending()
    }

    /// Takes a datagram from the server and sends what follows from it.
    pub(crate) fn take(&mut self, datagram: &[u8], now_ns: u64) -> io::Result<Answer> {
        let answer = self.session.answer(datagram, now_ns);
        self.follow(answer)
    }

    /// Sends what is due: a request once more, or a refresh.
    pub(crate) fn tick(&mut self, now_ns: u64) -> io::Result<Answer> {
        let answer = self.session.tick(now_ns);
        self.follow(answer)
    }

    fn follow(&mut self, answer: Answer) -> io::Result<Answer> {
        if answer == Answer::Again {
            self.send_pending()?;
        }
        Ok(answer)
    }

    /// A full send buffer counts as a lost datagram: it is sent again in time.
    fn send_pending(&self) -> io::Result<()> {
        let Some(datagram) = self.session.pending() else { return Ok(()) };
        match self.socket.send(datagram) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}
