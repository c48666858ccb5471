//! An operator who cannot leave a running server alone: looks at sessions and ends them, changes
//! the rules, drains and calls it off. Each worker does as it is told when it reads its mail.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use uturn::{
    turn::{Alternates, Cause, ListenerId, SessionId, Traffic, WorkerIndex},
    worker::{AnswerTo, Listen, Question},
};

use super::{
    machine::Deed,
    mail::Mail,
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
        let rest_ms = self.rng.within(1_000..60_000);
        self.network.schedule(self.now_ms + rest_ms, Event::Operate);
        if self.rng.percent(5) {
            self.pester();
        }
        self.check_streams();
        self.look_at_sessions();
        self.node.check_holders(&self.model.holders);
        match self.rng.below(5) {
            0 => self.kill(),
            1 => self.drain(),
            2 => self.listen(),
            _ => self.change_rules(),
        }
    }

    /// Asks a worker more than it has room for, so that others wait for it.
    fn pester(&mut self) {
        let worker = self.rng.below(self.model.scenario.workers.into()) as u8;
        let session = SessionId { worker: WorkerIndex(worker), serial: 0 };
        for _ in 0..self.rng.within(1_015..1_030) {
            let question = Question::Session(session, AnswerTo::new(|_| {}));
            self.ask(worker, question, Mail::Nothing);
        }
        // The control thread may be busy with something else.
        let rest_ms = self.rng.within(1..2_000);
        self.network.schedule(self.now_ms + rest_ms, Event::RetryCommands);
    }

    /// The control thread posts again what found an inbox full, until nothing waits.
    pub(crate) fn retry_commands(&mut self) {
        let waits = self.node.control.retry();
        let control = self.node.mail.control();
        self.node.mail.retry(control);
        assert_eq!(waits, self.node.mail.has_waiting(control));
        if waits {
            let rest_ms = self.rng.within(1..50);
            self.network.schedule(self.now_ms + rest_ms, Event::RetryCommands);
        }
    }

    /// Asks each worker for its sessions, and for some that it must have.
    fn look_at_sessions(&mut self) {
        for worker in 0..self.model.scenario.workers {
            let machine = self.node.machine.clone();
            let answer = AnswerTo::new(move |page| {
                machine.record(worker.into(), Deed::Listed(page));
            });
            self.ask(worker, Question::Sessions { from: 0, user: None, answer }, Mail::List);
        }
        for session in self.sessions.clone() {
            let machine = self.node.machine.clone();
            let worker = session.worker.0;
            let answer = AnswerTo::new(move |detail: Option<_>| {
                machine.record(worker.into(), Deed::Showed(detail.map(Box::new)));
            });
            self.ask(worker, Question::Session(session, answer), Mail::Show(session));
        }
    }

    fn ask(&mut self, worker: u8, question: Question, mail: Mail) {
        let is_asked = self.node.control.ask(WorkerIndex(worker), question);
        assert_eq!(is_asked, self.node.mail.try_post(worker, mail), "a mailbox is full, or not");
    }

    /// Every allocation is listed once.
    pub(crate) fn listed(&mut self, worker: u8) {
        let Some(Deed::Listed(page)) = self.deeds.pop_front() else { panic!("no list") };
        assert_eq!(page.next, None, "there are fewer than a page holds");
        let mut listed: Vec<SocketAddr> = Vec::new();
        for session in &page.items {
            let client = session.path.client();
            let truth = self.model.live(client, self.now_ms).expect("one that lives");
            // The model knows that something was dropped, and not for whom.
            let traffic = Traffic { dropped: truth.traffic.dropped, ..session.traffic };
            assert_eq!((&*session.user, traffic), (&*truth.user, truth.traffic));
            assert_eq!((session.id.worker, truth.worker), (WorkerIndex(worker), worker));
            assert_eq!(session.age_ms, self.now_ms - truth.opened_ms);
            listed.push(client);
        }
        let is_here = |client: &&SocketAddr| {
            self.model.live(**client, self.now_ms).is_some_and(|it| it.worker == worker)
        };
        let expected: Vec<_> = self.model.allocations.keys().filter(is_here).copied().collect();
        listed.sort();
        assert_eq!(listed, expected);
        self.tally.listed += 1;
    }

    fn client_of_session(&self, session: SessionId) -> Option<SocketAddr> {
        let mut allocations = self.model.allocations.iter();
        let found = allocations.find(|(_, allocation)| allocation.session == Some(session));
        found.map(|(client, _)| *client)
    }

    /// An allocation is shown as it is.
    pub(crate) fn showed(&mut self, session: SessionId) {
        let Some(Deed::Showed(shown)) = self.deeds.pop_front() else { panic!("no detail") };
        let client = self.client_of_session(session);
        let truth = client.and_then(|client| self.model.live(client, self.now_ms));
        let (Some(shown), Some(truth)) = (&shown, truth) else {
            return assert!(shown.is_none() && truth.is_none(), "{session}: {shown:?} {truth:?}");
        };
        // Those of a relayed address that is over are gone, or about to be.
        let counts = |peer: &IpAddr| truth.end_for(*peer, self.now_ms).is_some();
        let seen = shown.permitted.iter().map(|it| (it.peer, self.now_ms + it.left_ms));
        let mut permitted: Vec<_> = seen.filter(|(peer, _)| counts(peer)).collect();
        let known = truth.permissions.iter().map(|(peer, it)| (*peer, it.until_ms));
        let live = known.filter(|(_, until_ms)| *until_ms > self.now_ms);
        let mut expected: Vec<_> = live.filter(|(peer, _)| counts(peer)).collect();
        permitted.sort();
        expected.sort();
        assert_eq!(permitted, expected, "{session}");
    }

    fn kill(&mut self) {
        if self.sessions.is_empty() {
            return;
        }
        let session = *self.rng.pick(&self.sessions);
        let worker = session.worker.0;
        for _ in 0..2 {
            let machine = self.node.machine.clone();
            let answer = AnswerTo::new(move |killed| {
                machine.record(worker.into(), Deed::Killed(killed));
            });
            self.ask(worker, Question::Kill(session, answer), Mail::Kill(session));
        }
    }

    /// Whoever lives is ended, once.
    pub(crate) fn killed(&mut self, worker: u8, session: SessionId) {
        let client = self.client_of_session(session);
        let is_live = client.is_some_and(|it| self.model.live(it, self.now_ms).is_some());
        if let Some(client) = client.filter(|_| is_live) {
            self.model.end(client, Cause::Killed);
            self.tally.killed += 1;
        }
        self.settle_news(worker, None);
        let deed = self.deeds.pop_front();
        assert!(matches!(deed, Some(Deed::Killed(killed)) if killed == is_live), "{deed:?}");
    }

    fn drain(&mut self) {
        self.wanted.drains = match self.wanted.drains {
            Some(_) => None,
            None => Some(self.rng.percent(50)),
        };
        let servers = [parse("9.9.9.8:3478"), parse("[2a00:1::8]:3478")];
        let alternates = self.wanted.drains.map(|has_alternates| {
            let servers = if has_alternates { &servers[..] } else { &[] };
            Alternates::new(servers).expect("one of each family")
        });
        self.node.control.drain(alternates);
        self.node.mail.command(&Mail::Drain(self.wanted.drains));
        self.tally.drained += 1;
    }

    /// Opens the second listening address of a family, or closes it.
    fn listen(&mut self) {
        let index = self.model.scenario.listening_from_the_start() + self.rng.below(2) as usize;
        let listener = ListenerId(index as u16);
        let is_open = std::mem::take(&mut self.listens[index]);
        if is_open {
            self.node.control.stop_listening(listener);
            return self.node.mail.command(&Mail::StopListening(index));
        }
        let address = self.model.scenario.listeners()[index];
        self.node.control.listen(listener, Listen::datagrams(address)).expect("it is free");
        self.node.mail.command(&Mail::Listen(index));
        self.listens[index] = true;
        self.tally.listeners_opened += 1;
    }

    fn change_rules(&mut self) {
        let users = &self.model.scenario.users;
        let banned = self.rng.percent(50).then(|| self.rng.pick(users).name.clone());
        self.wanted = Operated {
            banned,
            denies_a_peer: self.rng.percent(40),
            opens_neighbours: self.rng.percent(50),
            drains: self.wanted.drains,
        };
        let settings = self.model.scenario.settings(self.node.master, &self.wanted);
        let limits = self.model.scenario.limits();
        let answers = self.node.control.reconfigure(&Arc::new(settings), limits);
        self.reconfigured.push(answers);
        self.node.mail.command(&Mail::Settings(self.wanted.clone()));
        self.tally.changed += 1;
    }
}
