//! Carries out what the state machine needs the world to do.

pub(super) mod departures;
pub(super) mod forwarder;
pub(super) mod pending;
pub(super) mod quota;
pub(super) mod redemption;

use std::{io, net::SocketAddr, time::Duration};

use crate::worker::{
    data::sockets::Role,
    effects::pending::{SocketAnswers, Wanted},
    reactor::Worker,
    status::report::Report,
};
use crate::{
    io::{Driver, Receive, SocketId, sockets},
    turn::{
        self, Bind, Effect, Now, Open, Outcome, Path, PendingId, Purpose, RelayId, Socket, Verdict,
    },
};

impl<D: Driver> Worker<D> {
    /// Carries out every effect of the last calls, and of what they lead to, and passes the news
    /// on.
    pub(in crate::worker) fn carry_out(&mut self, now: Now) {
        while let Some(effect) = self.server.next_effect() {
            match effect {
                Effect::Open(open) => self.open(now, &open),
                Effect::Activate(relay) => self.activate(relay),
                Effect::Close(relay) => self.close_relay(relay),
                Effect::Redeem(redeem) => self.redeem(now, redeem),
                Effect::Forward { channel, until_ms } => self.forwarder.forward(channel, until_ms),
                Effect::Unforward(channel) => self.forwarder.unforward(channel),
                Effect::Connect(connect) => self.connect_peer(now, &connect),
                Effect::Tell { path, message } => self.tell_client(now, path, &message),
                Effect::Join { id, path } => self.join(now, id, path),
                Effect::CloseConnection(id) => self.close_connection(now, id),
            }
        }
        while let Some(report) = self.server.next_report() {
            match &report {
                turn::Report::Opened(opened) => self.begin_session(opened.path),
                turn::Report::Closed(closed) => self.end_session(now, closed.path),
                turn::Report::StrangersRefused(_) | turn::Report::RequestRefused(_) => {}
            }
            self.report(Report::Turn(report));
        }
    }

    /// A client has an allocation. The packets of one on UDP may come to another worker, which is
    /// told; a connection stays where it is.
    fn begin_session(&mut self, path: Path) {
        if path.transport.is_stream() {
            self.stream_allocated(path.flow);
        } else if self.owners.owner(path.flow).is_none() {
            self.owners.claim(&mut self.mailboxes, path.flow);
        }
    }

    fn end_session(&mut self, now: Now, path: Path) {
        if path.transport.is_stream() {
            self.stream_deallocated(now, path.flow);
        } else {
            self.owners.release(&mut self.mailboxes, path.flow);
        }
    }

    fn open(&mut self, now: Now, open: &Open) {
        let mut answers = SocketAnswers::new(open.pending, open.path, open.sockets.len());
        for (place, socket) in open.sockets.iter().enumerate() {
            if socket.purpose == Purpose::Listen {
                answers.record(place, self.listen_for_peers(*socket));
                continue;
            }
            match self.bind(*socket) {
                Ok(id) => self.pending_sockets.expect(&mut answers, place, *socket, id),
                Err(error) => answers.record(place, self.failed(socket.relay, &error)),
            }
        }
        if answers.is_whole() {
            self.opened(now, &answers);
        } else {
            self.pending_sockets.wait(answers);
        }
    }

    /// Listens on a relayed address for peers.
    fn listen_for_peers(&mut self, wanted: Socket) -> Bind {
        let Socket { relay, local, .. } = wanted;
        let opened = sockets::ensure_stream_free(local, Duration::ZERO)
            .and_then(|()| sockets::peers_listening(local))
            .and_then(|listener| self.driver.accept_leftovers(listener));
        match opened {
            Ok(acceptor) => {
                self.sockets.listen_for_peers(relay, acceptor);
                Bind::Bound
            }
            Err(error) => self.failed(relay, &error),
        }
    }

    /// Asks the driver for a relay's socket. That of a reserved port is paused.
    fn bind(&mut self, wanted: Socket) -> io::Result<SocketId> {
        match wanted.purpose {
            Purpose::Relay => self.driver.bind(wanted.local, Receive::Now),
            Purpose::Reserve => {
                self.sockets.room_for_reserved()?;
                let socket = self.driver.bind(wanted.local, Receive::Paused)?;
                self.sockets.await_reserved();
                Ok(socket)
            }
            Purpose::Listen => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// A socket that was asked for is there.
    pub(in crate::worker) fn on_opened(&mut self, now: Now, socket: SocketId) {
        let Some(wanted) = self.pending_sockets.take(socket) else {
            debug_assert!(false, "every socket that is opened was asked for");
            return self.driver.close(socket);
        };
        match wanted.purpose {
            Purpose::Relay => self.sockets.open(wanted.relay, socket),
            Purpose::Reserve => self.sockets.reserve(wanted.relay, socket),
            Purpose::Listen => debug_assert!(false, "no listening socket is asked for"),
        }
        self.on_answer(now, wanted, Bind::Bound);
    }

    /// A socket that was asked for cannot be had.
    pub(in crate::worker) fn on_refused(&mut self, now: Now, socket: SocketId, errno: i32) {
        let Some(wanted) = self.pending_sockets.take(socket) else { return };
        match wanted.purpose {
            Purpose::Relay | Purpose::Listen => {}
            Purpose::Reserve => self.sockets.await_reserved_no_more(),
        }
        let bind = self.failed(wanted.relay, &io::Error::from_raw_os_error(errno));
        self.on_answer(now, wanted, bind);
    }

    fn on_answer(&mut self, now: Now, wanted: Wanted, bind: Bind) {
        if let Some(answers) = self.pending_sockets.answer(wanted, bind) {
            self.opened(now, &answers);
            self.carry_out(now);
        }
    }

    fn opened(&mut self, now: Now, answers: &SocketAnswers) {
        let outcome = Outcome::Opened(answers.binds());
        self.complete(now, answers.pending, answers.path, outcome);
    }

    /// A port that somebody else has is no fault.
    fn failed(&mut self, relay: RelayId, error: &io::Error) -> Bind {
        if error.raw_os_error() == Some(libc::EADDRINUSE) {
            return Bind::InUse;
        }
        self.refused(relay, self.server.local(relay), error);
        Bind::Failed
    }

    fn refused(&mut self, relay: RelayId, local: SocketAddr, error: &io::Error) {
        self.counters.relays_broken += 1;
        let (role, errno) = (Role::Relay(relay), error.raw_os_error().unwrap_or_default());
        self.report(Report::SocketBroken { role, local: Some(local), errno });
    }

    /// Relays on a port that was reserved.
    fn activate(&mut self, relay: RelayId) {
        if let Some(socket) = self.sockets.activate(relay) {
            self.driver.resume(socket);
        }
    }

    fn complete(&mut self, now: Now, pending: PendingId, path: Path, outcome: Outcome<'_>) {
        match self.server.complete(now, pending, outcome, &mut self.reply[..]) {
            // Another worker made the allocation of this client meanwhile, and has answered.
            Verdict::Reply(_) if self.owners.owner(path.flow).is_some() => {
                self.server.cede(now, path.flow);
            }
            Verdict::Reply(bytes) => self.reply(now, path, bytes),
            Verdict::Pending | Verdict::Drop(_) => {}
            Verdict::ToPeer { .. }
            | Verdict::ToClient { .. }
            | Verdict::HandOver { .. }
            | Verdict::Move(_) => {
                debug_assert!(false, "an Allocate relays nothing");
            }
        }
    }
}
