//! What a worker does with its mail.

use super::{mailbox::Mail, parcel::Parcel, reactor::Worker};
use crate::{
    io::Driver,
    turn::{Now, Undelivered},
};

impl<D: Driver> Worker<D> {
    pub(super) fn on_mail(&mut self, now: Now, mail: Mail) {
        match mail {
            Mail::Parcel { owner, parcel } => {
                self.unpack(now, &parcel);
                self.post.take_back(owner, parcel);
            }
            Mail::Redeem(redemption) => self.on_redeem(now, redemption),
            Mail::Redeemed { redemption, socket } => self.on_redeemed(now, &redemption, socket),
            Mail::Returned(local) => self.server.returned(local),
            // Who asked may have gone away; then nobody misses the answer.
            Mail::Snapshot(answer) => drop(answer.try_send(self.snapshot())),
            Mail::Question(question) => self.on_question(now, question),
            Mail::Settings(settings, answer) => {
                self.server.reconfigure(settings);
                answer.try_send(self.index).unwrap_or_default();
            }
            Mail::Drain(alternates) => self.server.drain(alternates),
            Mail::Stop => self.stop(now),
        }
    }

    fn unpack(&mut self, now: Now, parcel: &Parcel) {
        for (entry, payload) in parcel.entries() {
            match self.server.from_worker(now, entry.from, entry.to, payload.len()) {
                Ok(to) => self.receive_from_worker(to, payload),
                Err(Undelivered::HandOver(worker)) => {
                    self.outgoing.pack(&self.post, worker, (entry.from, entry.to), payload);
                }
                Err(Undelivered::Drop(_)) => {}
            }
        }
    }

    fn stop(&mut self, now: Now) {
        self.server.shut_down(now);
        self.carry_out(now);
        self.stopping = true;
    }
}
