//! What a worker reads in its mailbox.

use std::net::SocketAddr;

use super::payload::Buffer;
use crate::{
    machine::Deed,
    mail::{Entry, Given, Mail, Redemption},
    model::{Fate, Operated},
    run::Story,
};

impl Story {
    /// A worker reads its mail.
    pub(super) fn hear(&mut self, worker: u8, mail: Mail) {
        let index = usize::from(worker);
        match mail {
            Mail::Batch { owner, entries } => {
                for entry in entries {
                    if !self.is_torn {
                        self.unpack(worker, entry);
                    }
                }
                self.node.mail.take_back(owner);
            }
            Mail::FlowOwned { client, owner } => {
                self.node.owners[index].insert(client, owner);
            }
            Mail::FlowReleased { client, owner } => {
                if self.node.owners[index].get(&client) == Some(&owner) {
                    self.node.owners[index].remove(&client);
                }
            }
            Mail::Redeem(redemption) => self.redeem(worker, redemption),
            Mail::Redeemed { redemption, given } => self.redeemed(worker, &redemption, given),
            Mail::Settings(operated) => {
                let drains = self.model.operated[index].drains;
                self.model.operated[index] = Operated { drains, ..operated };
                self.node.reviews[index] = true;
            }
            Mail::Drain(drains) => self.model.operated[index].drains = drains,
            Mail::Listen(index) => {
                let opened = [self.deeds.pop_front(), self.deeds.pop_front()];
                let address = self.model.scenario.listeners()[index];
                for deed in &opened {
                    let is_it = matches!(deed, Some(Deed::Adopted(it, None)) if *it == address);
                    assert!(is_it, "{address} is not opened: {deed:?}");
                }
                self.model.listening[usize::from(worker)][index] = true;
            }
            Mail::StopListening(index) => {
                self.settle_news(worker, None);
                self.model.listening[usize::from(worker)][index] = false;
            }
            Mail::List => self.listed(worker),
            Mail::Show(session) => self.showed(session),
            Mail::Nothing => {}
            Mail::Kill(session) => self.killed(worker, session),
            Mail::Stop => {
                self.settle_news(worker, None);
                let mut left = self.model.allocations.values();
                assert!(left.all(|allocation| allocation.worker != worker), "not shut down");
                self.model.operated[index].drains.get_or_insert(false);
                self.model.streams.refusing.insert(worker);
                self.drain_streams(worker);
            }
        }
    }

    pub(super) fn unpack(&mut self, worker: u8, entry: Entry) {
        match entry {
            Entry::Hairpin { from, to, payload } => {
                let way = (from, to);
                let fate = self.model.worker_sent(self.now_ms, worker, way, payload.len());
                if fate == Fate::Dropped {
                    self.model.sums.dropped += 1;
                    return;
                }
                self.tally.taken_over += 1;
                self.deliver(worker, Buffer::Blank, fate, &payload);
            }
            Entry::Misrouted { client, packet } => {
                if self.has_buffer(Buffer::Blank, &packet) {
                    self.reach_server(worker, client, &packet);
                }
            }
        }
    }

    /// A client of another worker redeems a port that this one has reserved.
    fn redeem(&mut self, worker: u8, redemption: Redemption) {
        let Redemption { token, asker, .. } = redemption;
        if !self.model.redeemable(self.now_ms, worker, token, &redemption.user) {
            return self.node.mail.post(worker, asker, Mail::Redeemed { redemption, given: None });
        }
        let reservation = self.model.reservations.remove(&token).expect("redeemable");
        let local = self.model.local(reservation.relayed);
        let deed = self.deeds.pop_front();
        let is_it = matches!(&deed, Some(Deed::TookOut(it)) if it.local == local);
        assert!(is_it, "{local} is not handed over: {deed:?}");
        self.model.moving.insert(local, reservation.account);
        self.model.sums.redeemed += 1;
        self.node.taken.remove(&local);
        self.node.leaving.insert(local, redemption);
    }

    /// A reserved port has left the driver, as a descriptor or for good.
    pub(super) fn left(&mut self, worker: u8, local: SocketAddr, has_descriptor: bool) {
        let redemption = self.node.leaving.remove(&local).expect("it goes somewhere");
        let asker = redemption.asker;
        let given = Some(Given { local, has_descriptor });
        self.node.mail.post(worker, asker, Mail::Redeemed { redemption, given });
    }

    fn redeemed(&mut self, worker: u8, redemption: &Redemption, given: Option<Given>) {
        let client = redemption.client;
        let Some(Given { local, has_descriptor }) = given else {
            return self.conclude(worker, client, true);
        };
        let account = self.model.moving.remove(&local).expect("one on its way");
        let mut users = self.model.scenario.users.iter();
        let user = users.find(|user| user.name == redemption.user).expect("a user of the story");
        assert_eq!(account, user.account);
        let mut is_open = has_descriptor;
        if has_descriptor {
            let deed = self.deeds.pop_front();
            let Some(Deed::Adopted(it, errno)) = deed else { panic!("{local}: {deed:?}") };
            assert_eq!(it, local);
            is_open = errno.is_none();
        }
        if is_open {
            self.node.taken.insert(local);
            self.tally.redeemed_elsewhere += 1;
        } else {
            self.count_refused(local, libc::EMFILE);
        }
        self.conclude(worker, client, !is_open);
    }
}
