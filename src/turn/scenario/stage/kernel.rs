//! The world a server acts upon: a kernel that binds what it is asked to, and the other workers.

use super::{client::Heard, world::World};
use crate::turn::{
    REPLY_BYTES,
    api::{
        effect::{Bind, Effect, Open, Outcome, Redeem},
        names::identity::PendingId,
        report::Report,
        verdict::Verdict,
    },
};

impl World {
    /// Does what a worker wants done, and what follows from it; answers that were waited for are
    /// added to `answers`.
    pub(in crate::turn) fn carry_out(&mut self, worker: u8, answers: &mut Vec<Heard>) {
        while let Some(effect) = self.servers[usize::from(worker)].next_effect() {
            match effect {
                Effect::Open(open) if self.is_slow => self.waiting.push((worker, open)),
                Effect::Open(open) => self.open(worker, &open, answers),
                Effect::Activate(relay) => assert!(self.bound.contains_key(&(worker, relay))),
                Effect::Close(relay) => {
                    self.bound.remove(&(worker, relay)).expect("only bound sockets are closed");
                    self.lingering.push((worker, relay));
                }
                Effect::Connect(_)
                | Effect::Tell { .. }
                | Effect::Join { .. }
                | Effect::CloseConnection(_) => self.streams.carry_out(worker, effect),
                Effect::Redeem(redeem) if self.is_slow => self.redeeming.push((worker, redeem)),
                Effect::Redeem(redeem) => self.redeem(worker, &redeem, answers),
                Effect::Forward { channel, until_ms } => {
                    self.forwarded
                        .insert((channel.flow.client, channel.number), (channel, until_ms));
                }
                Effect::Unforward(channel) => {
                    let said = self.forwarded.remove(&(channel.flow.client, channel.number));
                    assert_eq!(
                        said.map(|(said, _)| said),
                        Some(channel),
                        "said before it is unsaid"
                    );
                }
            }
        }
        while let Some(report) = self.servers[usize::from(worker)].next_report() {
            match report {
                Report::Opened(opened) => self.opened.push(opened),
                Report::Closed(closed) => self.closed.push(closed),
                Report::StrangersRefused(refused) => self.refused.push(refused),
                Report::RequestRefused(told) => self.told.push(told),
            }
        }
    }

    /// Binds what the slow kernel has been asked for, and has the other workers answer.
    pub(in crate::turn) fn catch_up(&mut self) -> Vec<Heard> {
        let mut answers = Vec::new();
        for (worker, open) in std::mem::take(&mut self.waiting) {
            self.open(worker, &open, &mut answers);
            self.carry_out(worker, &mut answers);
        }
        for (worker, redeem) in std::mem::take(&mut self.redeeming) {
            self.redeem(worker, &redeem, &mut answers);
            self.carry_out(worker, &mut answers);
        }
        answers
    }

    /// Binds what is asked for, unless somebody else has the port.
    pub(in crate::turn) fn open(&mut self, worker: u8, open: &Open, answers: &mut Vec<Heard>) {
        let mut results = Vec::new();
        for socket in &open.sockets {
            let taken = self.bound.values().any(|bound| *bound == socket.local);
            if taken || self.busy.contains(&socket.local.port()) {
                results.push(Bind::InUse);
            } else {
                self.bound.insert((worker, socket.relay), socket.local);
                results.push(Bind::Bound);
            }
        }
        self.complete(worker, open.pending, Outcome::Opened(&results), answers);
    }

    fn redeem(&mut self, worker: u8, redeem: &Redeem, answers: &mut Vec<Heard>) {
        let now = self.now();
        let owner = &mut self.servers[usize::from(redeem.owner.0)];
        let outcome = match owner.redeem(now, redeem.token, &redeem.user) {
            Ok(redeemed) if self.is_out_of_files => {
                self.bound.remove(&(redeem.owner.0, redeemed.relay)).expect("a reserved socket");
                Outcome::Unusable(redeemed.local)
            }
            Ok(redeemed) => {
                self.bound.remove(&(redeem.owner.0, redeemed.relay)).expect("a reserved socket");
                self.bound.insert((worker, redeem.relay), redeemed.local);
                Outcome::Redeemed(redeemed.local)
            }
            Err(_) => Outcome::NotRedeemed,
        };
        self.complete(worker, redeem.pending, outcome, answers);
    }

    fn complete(
        &mut self,
        worker: u8,
        pending: PendingId,
        outcome: Outcome<'_>,
        answers: &mut Vec<Heard>,
    ) {
        let mut reply = vec![0; REPLY_BYTES];
        let now = self.now();
        let server = &mut self.servers[usize::from(worker)];
        let verdict = server.complete(now, pending, outcome, &mut reply);
        match verdict {
            Verdict::Pending => {}
            Verdict::Drop(_) => answers.push(Heard { verdict, bytes: Vec::new() }),
            _ => answers.push(Heard::answer(verdict, &reply, &[])),
        }
    }
}
