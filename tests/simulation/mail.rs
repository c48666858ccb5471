//! What workers tell each other: reservations and hairpin payloads.

use std::net::SocketAddr;

use uturn::turn::{Outcome, Redeem};

use super::{
    model::Fate,
    node::State,
    run::{Event, Story},
};

/// What workers tell each other.
#[derive(Debug, Clone)]
pub(crate) enum Mail {
    Redeem { asker: u8, redeem: Redeem },
    Redeemed { redeem: Redeem, local: Option<SocketAddr> },
    Parcel { from: SocketAddr, to: SocketAddr, payload: Vec<u8> },
}

impl Story {
    pub(crate) fn post(&mut self, worker: u8, mail: Mail) {
        let at_ms = self.now_ms + self.chance.below(5);
        self.network.schedule(at_ms, Event::Mail { worker, mail });
    }

    pub(crate) fn on_mail(&mut self, worker: u8, mail: Mail) {
        match mail {
            Mail::Redeem { asker, redeem } => self.on_redeem(worker, asker, redeem),
            Mail::Redeemed { redeem, local } => self.on_redeemed(worker, &redeem, local),
            Mail::Parcel { from, to, payload } => self.on_parcel(worker, from, to, &payload),
        }
        self.carry_out(worker);
    }

    fn on_redeem(&mut self, worker: u8, asker: u8, redeem: Redeem) {
        let now = self.now();
        let is_right = self.model.redeemable(self.now_ms, redeem.token, &redeem.user);
        let node = &mut self.node.workers[usize::from(worker)];
        let redeemed = node.server.redeem(now, redeem.token, &redeem.user);
        assert_eq!(redeemed.is_ok(), is_right, "{redeem:?}");
        let local = redeemed.ok().map(|redeemed| {
            let socket = node.sockets.remove(&redeemed.relay).expect("a held socket");
            assert_eq!(socket, (redeemed.local, State::Held));
            redeemed.local
        });
        if let Some(local) = local {
            let reservation = self.model.reservations.remove(&redeem.token).expect("redeemable");
            self.model.moving.insert(local, reservation.account);
            self.model.sums.redeemed += 1;
        }
        self.post(asker, Mail::Redeemed { redeem, local });
    }

    fn on_redeemed(&mut self, worker: u8, redeem: &Redeem, local: Option<SocketAddr>) {
        let Some(local) = local else {
            return self.conclude(worker, redeem.flow, redeem.pending, Outcome::NotRedeemed, false);
        };
        let account = self.model.moving.remove(&local).expect("one on its way");
        assert_eq!(account, self.account_of(&redeem.user));
        let is_refused = self.chance.percent(self.fault_percent * 5);
        let outcome = if is_refused {
            Outcome::Unusable(local)
        } else {
            let sockets = &mut self.node.workers[usize::from(worker)].sockets;
            assert!(sockets.insert(redeem.relay, (local, State::Relay)).is_none());
            self.tally.redeemed_elsewhere += 1;
            Outcome::Redeemed(local)
        };
        self.conclude(worker, redeem.flow, redeem.pending, outcome, !is_refused);
    }

    fn account_of(&self, name: &str) -> String {
        let mut users = self.model.scenario.users.iter();
        users.find(|user| user.name == name).expect("a user of the story").account.clone()
    }

    fn on_parcel(&mut self, worker: u8, from: SocketAddr, to: SocketAddr, payload: &[u8]) {
        let now = self.now();
        let server = &mut self.node.workers[usize::from(worker)].server;
        let judged = server.from_worker(now, from, to, payload.len());
        let fate = self.model.worker_sent(self.now_ms, worker, (from, to), payload.len());
        match judged {
            Ok(to) => {
                self.tally.taken_over += 1;
                self.deliver(fate, to, payload);
            }
            Err(reason) => {
                assert_eq!(fate, Fate::Dropped, "{reason:?}");
                self.model.sums.dropped += 1;
            }
        }
    }
}
