//! A reservation that a client redeems at another worker than the one that made it.
//!
//! ```text
//! the client's worker          the worker that reserved the port
//!   Redeem { token } ─────────▶ token is good: driver.take(socket)
//!                               Event::Taken
//!   driver.open(socket) ◀────── Redeemed { given }
//! ```

use std::{io, net::UdpSocket, os::fd::OwnedFd};

use crate::worker::{
    effects::departures::{GivenPort, Redemption},
    mail::mailbox::Mail,
    reactor::Worker,
};
use crate::{
    io::{Driver, SocketId},
    turn::{Now, Outcome, Redeem, RelayId},
};

impl<D: Driver> Worker<D> {
    pub(super) fn redeem(&mut self, now: Now, redeem: Redeem) {
        let Redeem { pending, path, owner, relay, token, user } = redeem;
        let worker = self.index;
        let redemption = Redemption { worker, pending, path, relay, token, user };
        if self.mailboxes.try_post(owner, Mail::Redeem(redemption)).is_err() {
            self.complete(now, pending, path, Outcome::NotRedeemed);
        }
    }

    /// Has the driver part with a reserved socket, or says that there is none.
    pub(in crate::worker) fn on_redeem(&mut self, now: Now, redemption: Redemption) {
        let redeemed = self.server.redeem(now, redemption.token, &redemption.user).ok();
        let leaving = redeemed
            .and_then(|redeemed| Some((self.sockets.part_with(redeemed.relay)?, redeemed.local)));
        match leaving {
            Some((socket, local)) => {
                self.driver.take(socket);
                self.departures.0.insert(socket, (redemption, local));
            }
            None => self.answer(redemption, None),
        }
        self.carry_out(now);
    }

    /// A reserved socket has left the driver.
    pub(in crate::worker) fn on_taken(&mut self, socket: SocketId, descriptor: OwnedFd) {
        self.depart(socket, Some(descriptor.into()));
    }

    /// Sends a socket that has left the driver where it goes; whether it was one that goes
    /// anywhere.
    pub(in crate::worker) fn depart(&mut self, id: SocketId, socket: Option<UdpSocket>) -> bool {
        let Some((redemption, local)) = self.departures.0.remove(&id) else { return false };
        self.answer(redemption, Some(GivenPort { local, socket }));
        true
    }

    fn answer(&mut self, redemption: Redemption, given: Option<GivenPort>) {
        let worker = redemption.worker;
        self.mailboxes.post(worker, Mail::Redeemed { redemption: Box::new(redemption), given });
    }

    /// Goes on with the Allocate that redeems.
    pub(in crate::worker) fn on_redeemed(
        &mut self,
        now: Now,
        redemption: &Redemption,
        given: Option<GivenPort>,
    ) {
        let outcome = match given {
            Some(given) => self.start_given(redemption.relay, given),
            None => Outcome::NotRedeemed,
        };
        self.complete(now, redemption.pending, redemption.path, outcome);
        self.carry_out(now);
    }

    /// Relays on a socket that another worker gave, or lets go of it.
    fn start_given(&mut self, relay: RelayId, given: GivenPort) -> Outcome<'static> {
        let GivenPort { local, socket } = given;
        let no_descriptor = || io::Error::from_raw_os_error(libc::EMFILE);
        let opened = self
            .sockets
            .room_for_reserved()
            .and_then(|()| self.driver.open(socket.ok_or_else(no_descriptor)?));
        match opened {
            Ok(socket) => {
                self.sockets.open_reserved(relay, socket);
                Outcome::Redeemed(local)
            }
            Err(error) => {
                self.refused(relay, local, &error);
                Outcome::Unusable(local)
            }
        }
    }
}
