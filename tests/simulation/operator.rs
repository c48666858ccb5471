//! An operator who cannot leave a running server alone: looks at sessions and ends them, changes the
//! rules, drains and calls it off.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use uturn::turn::{Alternates, Cause, Detail, Session, Traffic, WorkerIndex};

use super::{
    model::Operated,
    run::{Event, Story},
    scenario::parse,
};

/// The peer that some rules deny.
pub(crate) const DENIED: &str = "8.8.4.4";

impl Story {
    /// The operator does something, and will again.
    pub(crate) fn operate(&mut self) {
        if self.now_ms >= self.model.scenario.active_ms {
            return;
        }
        let rest_ms = self.chance.within(1_000..60_000);
        self.network.schedule(self.now_ms + rest_ms, Event::Operate);
        self.look_at_sessions();
        self.node.check_holders(&self.model.holders);
        match self.chance.below(4) {
            0 => self.kill(),
            1 => self.drain(),
            _ => self.change_rules(),
        }
    }

    /// Every allocation is listed once, and shown as it is.
    fn look_at_sessions(&self) {
        let mut listed: Vec<SocketAddr> = Vec::new();
        for worker in 0..self.model.scenario.workers {
            for session in self.sessions(worker) {
                let client = session.flow.client;
                let truth = self.model.live(client, self.now_ms).expect("one that lives");
                // The model knows that something was dropped, and not for whom.
                let traffic = Traffic { dropped: truth.traffic.dropped, ..session.traffic };
                assert_eq!((&*session.user, traffic), (&*truth.user, truth.traffic));
                assert_eq!(session.id.worker, WorkerIndex(truth.worker));
                assert_eq!(session.age_ms, self.now_ms - truth.opened_ms);
                let shown = self.session(&session).expect("it is listed");
                // Those of a relayed address that is over are gone, or about to be.
                let counts = |peer: &IpAddr| truth.end_for(*peer, self.now_ms).is_some();
                let seen = shown.permitted.iter().map(|it| (it.peer, self.now_ms + it.left_ms));
                let mut permitted: Vec<_> = seen.filter(|(peer, _)| counts(peer)).collect();
                let known = truth.permissions.iter().map(|(peer, until_ms)| (*peer, *until_ms));
                let live = known.filter(|(_, until_ms)| *until_ms > self.now_ms);
                let mut expected: Vec<_> = live.filter(|(peer, _)| counts(peer)).collect();
                permitted.sort();
                expected.sort();
                assert_eq!(permitted, expected, "{client}");
                listed.push(client);
            }
        }
        let is_live = |client: &&SocketAddr| self.model.live(**client, self.now_ms).is_some();
        let expected: Vec<_> = self.model.allocations.keys().filter(is_live).copied().collect();
        listed.sort();
        assert_eq!(listed, expected);
    }

    fn sessions(&self, worker: u8) -> Vec<Session> {
        let page = self.node.workers[usize::from(worker)].server.sessions(self.now(), 0, None);
        assert_eq!(page.next, None, "there are fewer than a page holds");
        page.items
    }

    fn session(&self, session: &Session) -> Option<Detail> {
        let worker = usize::from(session.id.worker.0);
        self.node.workers[worker].server.session(self.now(), session.id)
    }

    fn kill(&mut self) {
        let all = (0..self.model.scenario.workers).flat_map(|worker| self.sessions(worker));
        let all: Vec<_> = all.collect();
        if all.is_empty() {
            return;
        }
        let session = self.chance.pick(&all).clone();
        self.model.end(session.flow.client, Cause::Killed);
        let worker = session.id.worker.0;
        let now = self.now();
        let server = &mut self.node.workers[usize::from(worker)].server;
        assert!(server.kill(now, session.id));
        assert!(!server.kill(now, session.id), "once");
        self.carry_out(worker);
        self.tally.killed += 1;
    }

    fn drain(&mut self) {
        let Operated { drains, .. } = &mut self.model.operated;
        *drains = match *drains {
            Some(_) => None,
            None => Some(self.chance.percent(50)),
        };
        let servers = [parse("9.9.9.8:3478"), parse("[2a00:1::8]:3478")];
        let alternates = drains.map(|has_alternates| {
            let servers = if has_alternates { &servers[..] } else { &[] };
            Alternates::new(servers).expect("one of each family")
        });
        self.node.workers.iter_mut().for_each(|worker| worker.server.drain(alternates));
    }

    fn change_rules(&mut self) {
        let operated = &mut self.model.operated;
        let users = &self.model.scenario.users;
        operated.banned = match self.chance.percent(50) {
            true => Some(self.chance.pick(users).name.clone()),
            false => None,
        };
        operated.denies_a_peer = self.chance.percent(40);
        operated.opens_neighbours = self.chance.percent(50);
        if operated.denies_a_peer {
            let denied = DENIED.parse().expect("an address");
            for allocation in self.model.allocations.values_mut() {
                allocation.permissions.remove(&denied);
            }
        }
        let settings = self.model.scenario.settings(self.node.master, &self.model.operated);
        let settings = Arc::new(settings);
        for worker in &mut self.node.workers {
            worker.server.reconfigure(settings.clone());
        }
        self.tally.changed += 1;
    }
}
