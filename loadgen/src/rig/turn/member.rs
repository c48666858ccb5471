//! A session and what its messages travel through.

use std::{io, net::SocketAddr};

use super::{
    request::{Answer, Request},
    session::Session,
};
use crate::{
    fault::Fault,
    rig::link::{Access, Link},
};

/// Ports that are tried before a server's 437 is believed.
const MAX_PORTS: u32 = 8;

/// One TURN client.
pub(crate) struct Member {
    pub(crate) link: Link,
    pub(crate) session: Session,
    access: Access,
    ports: u32,
}

impl Member {
    /// A client with a new socket to the server.
    pub(crate) fn open(
        access: Access,
        server: SocketAddr,
        session: Session,
    ) -> Result<Member, Fault> {
        Ok(Member { link: Link::open(&access, server)?, session, access, ports: 1 })
    }

    /// Takes another port, for a server that remembers the present one from a client before us
    /// (437). False after too many.
    pub(crate) fn reopen(&mut self, server: SocketAddr) -> Result<bool, Fault> {
        if self.ports == MAX_PORTS {
            return Ok(false);
        }
        self.link = Link::open(&self.access, server)?;
        self.session.forget();
        self.ports += 1;
        Ok(true)
    }

    /// Sends a new request.
    pub(crate) fn start(&mut self, request: Request, now_ns: u64) -> io::Result<()> {
        self.session.start(request, now_ns);
        self.send_pending()
    }

    /// Takes a message from the server and sends what follows from it.
    pub(crate) fn take(&mut self, message: &[u8], now_ns: u64) -> io::Result<Answer> {
        let answer = self.session.answer(message, now_ns);
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

    fn send_pending(&self) -> io::Result<()> {
        self.session.pending().map_or(Ok(()), |message| self.link.send(message))
    }
}
