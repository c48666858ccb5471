//! Carries out what the state machine needs the world to do.

pub(super) mod forwarder;
pub(super) mod pending;
pub(super) mod quota;

use std::{
    io,
    net::{SocketAddr, UdpSocket},
};

use crate::worker::{
    data::sockets::{RelaySocket, Role},
    effects::pending::{SocketAnswers, Wanted},
    mail::mailbox::{Message, Redemption},
    reactor::Worker,
    status::report::Report,
};
use crate::{
    io::{BufferSizes, Driver, Receive, SocketId, sockets},
    turn::{
        self, Bind, Effect, FiveTuple, Now, Open, Outcome, PendingId, Purpose, Redeem, RelayId,
        Socket, Verdict,
    },
};

impl<D: Driver> Worker<D> {
    /// Carries out every effect of the last calls, and of what they lead to, and passes the news on.
    pub(in crate::worker) fn carry_out(&mut self, now: Now) {
        while let Some(effect) = self.server.next_effect() {
            match effect {
                Effect::Open(open) => self.open(now, &open),
                Effect::Activate(relay) => self.activate(relay),
                Effect::Close(relay) => self.close_relay(relay),
                Effect::Redeem(redeem) => self.redeem(now, redeem),
                Effect::Forward { channel, until_ms } => self.forwarder.forward(channel, until_ms),
                Effect::Unforward(channel) => self.forwarder.unforward(channel),
            }
        }
        while let Some(report) = self.server.next_report() {
            match &report {
                turn::Report::Opened(opened) => self.owners.claim(&mut self.mailboxes, opened.flow),
                turn::Report::Closed(closed) => {
                    self.owners.release(&mut self.mailboxes, closed.flow);
                }
                turn::Report::StrangersRefused(_) => {}
            }
            self.report(Report::Turn(report));
        }
    }

    fn open(&mut self, now: Now, open: &Open) {
        let mut answers = SocketAnswers::new(open.pending, open.flow, open.sockets.len());
        for (place, socket) in open.sockets.iter().enumerate() {
            match self.bind(*socket) {
                Ok(id) => self.pending_sockets.expect(&mut answers, place, socket.relay, id),
                Err(bind) => answers.record(place, bind),
            }
        }
        if answers.is_whole() {
            self.opened(now, &answers);
        } else {
            self.pending_sockets.wait(answers);
        }
    }

    /// Asks the driver for a relay's socket. What needs no question is answered at once, and so is a
    /// reserved port: its socket may go to another worker and needs a descriptor.
    fn bind(&mut self, wanted: Socket) -> Result<SocketId, Bind> {
        match wanted.purpose {
            Purpose::Relay => self
                .driver
                .bind(wanted.local, Receive::Now)
                .map_err(|error| self.failed(wanted.relay, &error)),
            Purpose::Reserve => Err(match self.reserved(wanted.local) {
                Ok(socket) => {
                    self.sockets.hold(wanted.relay, socket);
                    Bind::Bound
                }
                Err(error) => self.failed(wanted.relay, &error),
            }),
        }
    }

    fn reserved(&self, local: SocketAddr) -> io::Result<UdpSocket> {
        self.sockets.room_for_reserved()?;
        sockets::relay(local, BufferSizes::RELAY)
    }

    /// A socket that was asked for is there.
    pub(in crate::worker) fn on_opened(&mut self, now: Now, socket: SocketId) {
        let Some(wanted) = self.pending_sockets.take(socket) else {
            debug_assert!(false, "every socket that is opened was asked for");
            return self.driver.close(socket);
        };
        self.sockets.open(wanted.relay, socket);
        self.on_answer(now, wanted, Bind::Bound);
    }

    /// A socket that was asked for cannot be had.
    pub(in crate::worker) fn on_refused(&mut self, now: Now, socket: SocketId, errno: i32) {
        let Some(wanted) = self.pending_sockets.take(socket) else { return };
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
        self.complete(now, answers.pending, answers.flow, outcome);
    }

    /// A port that somebody else has is no fault.
    fn failed(&mut self, relay: RelayId, error: &io::Error) -> Bind {
        if error.raw_os_error() == Some(libc::EADDRINUSE) {
            return Bind::InUse;
        }
        self.refused(relay, error);
        Bind::Failed
    }

    /// Opens a socket whose port was reserved, here or by another worker.
    fn start(&mut self, relay: RelayId, socket: UdpSocket) -> io::Result<()> {
        self.sockets.room_for_reserved()?;
        let id = self.driver.open(socket)?;
        self.sockets.open_reserved(relay, id);
        Ok(())
    }

    fn refused(&mut self, relay: RelayId, error: &io::Error) {
        self.counters.relays_broken += 1;
        let errno = error.raw_os_error().unwrap_or_default();
        self.report(Report::SocketBroken(Role::Relay(relay), errno));
    }

    fn activate(&mut self, relay: RelayId) {
        if let RelaySocket::Held(socket) = self.sockets.take(relay)
            && let Err(error) = self.start(relay, socket)
        {
            self.refused(relay, &error);
        }
    }

    fn redeem(&mut self, now: Now, redeem: Redeem) {
        let Redeem { pending, flow, owner, relay, token, user } = redeem;
        let worker = self.index;
        let redemption = Redemption { worker, pending, flow, relay, token, user };
        if self.mailboxes.try_post(owner, Message::Redeem(redemption)).is_err() {
            self.complete(now, pending, flow, Outcome::NotRedeemed);
        }
    }

    /// Hands over a reserved socket, or says that there is none.
    pub(in crate::worker) fn on_redeem(&mut self, now: Now, redemption: Redemption) {
        let redeemed = self.server.redeem(now, redemption.token, &redemption.user);
        let socket = redeemed.ok().and_then(|redeemed| {
            let RelaySocket::Held(socket) = self.sockets.take(redeemed.relay) else { return None };
            Some((socket, redeemed.local))
        });
        self.mailboxes.post(redemption.worker, Message::Redeemed { redemption, socket });
        self.carry_out(now);
    }

    /// Goes on with the Allocate that redeems.
    pub(in crate::worker) fn on_redeemed(
        &mut self,
        now: Now,
        redemption: &Redemption,
        socket: Option<(UdpSocket, SocketAddr)>,
    ) {
        let outcome = match socket {
            Some((socket, local)) => self.start_given(redemption, socket, local),
            None => Outcome::NotRedeemed,
        };
        self.complete(now, redemption.pending, redemption.flow, outcome);
        self.carry_out(now);
    }

    /// Starts a socket that another worker gave, or lets go of it.
    fn start_given(
        &mut self,
        redemption: &Redemption,
        socket: UdpSocket,
        local: SocketAddr,
    ) -> Outcome<'static> {
        match self.start(redemption.relay, socket) {
            Ok(()) => Outcome::Redeemed(local),
            Err(error) => {
                self.refused(redemption.relay, &error);
                Outcome::Unusable(local)
            }
        }
    }

    fn complete(&mut self, now: Now, pending: PendingId, flow: FiveTuple, outcome: Outcome<'_>) {
        match self.server.complete(now, pending, outcome, &mut self.reply[..]) {
            Verdict::Reply(bytes) => self.reply(flow, bytes),
            Verdict::Pending | Verdict::Drop(_) => {}
            Verdict::ToPeer { .. } | Verdict::ToClient { .. } | Verdict::HandOver { .. } => {
                debug_assert!(false, "an Allocate relays nothing");
            }
        }
    }
}
