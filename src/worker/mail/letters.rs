//! What a worker does with its mail.

use std::net::SocketAddr;

use crate::worker::{
    mail::mailbox::Mail,
    mail::parcel::{Parcel, Passage},
    reactor::Worker,
};
use crate::{io::Driver, turn::Now};

impl<D: Driver> Worker<D> {
    pub(in crate::worker) fn on_mail(&mut self, now: Now, mail: Mail) {
        match mail {
            Mail::Parcel { owner, parcel } => {
                self.unpack(now, &parcel);
                self.post.take_back(owner, parcel);
            }
            Mail::Claimed { flow, owner } => self.strays.claimed(flow, owner),
            Mail::Unclaimed { flow, owner } => self.strays.released(flow, owner),
            Mail::Redeem(redemption) => self.on_redeem(now, redemption),
            Mail::Redeemed { redemption, socket } => self.on_redeemed(now, &redemption, socket),
            // Who asked may have gone away; then nobody misses the answer.
            Mail::Snapshot(answer) => drop(answer.try_send(self.snapshot())),
            Mail::Question(question) => self.on_question(now, question),
            Mail::Settings(settings, answer) => {
                self.server.reconfigure(settings);
                answer.try_send(self.index).unwrap_or_default();
            }
            Mail::Listen { listener, sockets } => self.listen(listener, sockets),
            Mail::Relays(relays) => self.server.relay_on(&relays),
            Mail::StopListening(listener) => self.stop_listening(listener),
            Mail::Drain(alternates) => self.server.drain(alternates),
            Mail::Stop => self.stop(now),
        }
    }

    fn unpack(&mut self, now: Now, parcel: &Parcel) {
        for (passage, payload) in parcel.entries() {
            match passage {
                Passage::Hairpin { from, to } => self.deliver(now, from, to, payload),
                Passage::Stray(flow) => self.receive_stray(now, flow, payload),
            }
        }
    }

    /// A payload that finds no client has been counted.
    fn deliver(&mut self, now: Now, from: SocketAddr, to: SocketAddr, payload: &[u8]) {
        if let Ok(to) = self.server.from_worker(now, from, to, payload.len()) {
            self.receive_from_worker(to, payload);
        }
    }

    fn stop(&mut self, now: Now) {
        self.server.shut_down(now);
        self.carry_out(now);
        self.stopping = true;
    }
}
