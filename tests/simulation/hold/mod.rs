//! What a worker did in a turn is held against what it had to do, one thing after the other.

mod answers;
mod payload;
mod post;
mod sockets;
mod streams;

use std::{collections::VecDeque, net::SocketAddr};

use uturn::{
    turn::{Cause, Closed, Opened, Report as News, WorkerIndex},
    worker::{Report, Role},
};

use crate::{
    machine::{self, Arrival, Deed, Kind, Socket, State},
    mail::Mail,
    model::Model,
    run::{Story, sums},
};

impl Story {
    /// A worker takes a turn.
    pub(crate) fn take_turn(&mut self, worker: u8) {
        let index = usize::from(worker);
        let is_over = self.node.turn(self.now_ms, index);
        self.deeds = std::mem::take(&mut self.node.machine.lock().sides[index].deeds);
        // The log hears of some of what is refused, so many a second; what became of it is judged.
        self.deeds.retain(|deed| {
            !matches!(deed, Deed::Report(Report::StreamRefused(_) | Report::SourceRefused(_)))
        });
        if self.is_traced {
            eprintln!("{} ms, worker {worker}: {:#?}", self.now_ms, self.deeds);
        }
        self.replay(worker);
        self.bring_down(index);
        if is_over && !self.is_torn {
            self.ended(worker);
        }
        self.tally.turns += 1;
        if self.is_torn {
            self.tally.torn += 1;
            return;
        }
        self.check();
    }

    /// What a worker has written goes to its clients.
    fn bring_down(&mut self, worker: usize) {
        let down = std::mem::take(&mut self.node.machine.lock().sides[worker].wires.down);
        down.into_iter().for_each(|(client, down)| self.send_down(client, down));
    }

    fn replay(&mut self, worker: u8) {
        self.settle_news(worker, None);
        self.expire_streams(worker);
        if std::mem::take(&mut self.node.reviews[usize::from(worker)]) {
            self.model.review(worker);
            self.settle_news(worker, None);
        }
        while let Some(mail) = self.node.mail.take(worker).filter(|_| !self.is_torn) {
            self.hear(worker, mail);
            self.settle_news(worker, None);
        }
        while let Some(deed) = self.deeds.pop_front().filter(|_| !self.is_torn) {
            match deed {
                Deed::Woken => {}
                Deed::Took(socket, news) => self.took(worker, socket, news),
                deed @ (Deed::Wrote(..) | Deed::HungUp(..)) => {
                    self.deeds.push_front(deed);
                    break;
                }
                deed => panic!("{deed:?}, for no reason, then {:?}", self.deeds),
            }
            let to_close = &self.model.to_close;
            assert!(to_close.is_empty(), "{to_close:?} was not reported");
        }
        if !self.is_torn {
            self.flush_streams(worker);
            self.settle_news(worker, None);
        }
        self.node.mail.flush(worker);
        self.node.mail.retry(worker);
    }

    /// The driver told the worker something.
    fn took(&mut self, worker: u8, socket: Option<Socket>, news: machine::News) {
        let news = match news {
            machine::News::Stream(client, news) => {
                self.took_of_stream(worker, client, &news);
                return self.settle_news(worker, None);
            }
            machine::News::AcceptorBroken(listener) => {
                self.broken.push(listener);
                self.tally.acceptors_broken += 1;
                return self.settle_news(worker, None);
            }
            news => news,
        };
        let socket = socket.expect("news of a socket that is there");
        match news {
            machine::News::Received(from, Arrival::FromClient(packets)) => {
                self.reach_worker(worker, from, packets);
            }
            machine::News::Received(peer, Arrival::FromPeer(segments)) => {
                self.reach_relay(worker, peer, socket.local, &segments);
            }
            machine::News::Opened => {
                self.node.unsettled.insert(socket.local);
                self.answered_for(worker, socket.local, None);
            }
            machine::News::Refused(errno) => self.answered_for(worker, socket.local, Some(errno)),
            machine::News::Closed if socket.state == State::Leaving => {
                self.left(worker, socket.local, false);
            }
            machine::News::Closed if socket.kind != Kind::Relay => {}
            machine::News::Closed => {
                self.node.taken.remove(&socket.local);
                // Half of a pair, whose Allocate may still try others.
                for drawn in self.node.drawn.values_mut() {
                    drawn.remove(&socket.local);
                }
            }
            machine::News::Broken(_) => {
                self.broken.push(socket.local);
                self.model.sums.relays_broken += 1;
                self.tally.broken += 1;
            }
            machine::News::Taken => self.left(worker, socket.local, true),
            machine::News::SegmentationOff => {
                let deed = self.deeds.pop_front();
                assert!(matches!(deed, Some(Deed::Report(Report::SegmentationOff))), "{deed:?}");
            }
            machine::News::SegmentationOn => {
                let deed = self.deeds.pop_front();
                assert!(matches!(deed, Some(Deed::Report(Report::SegmentationOn))), "{deed:?}");
            }
            machine::News::Stream(..) | machine::News::AcceptorBroken(_) => {}
        }
        self.settle_news(worker, None);
    }

    /// Takes the things a worker did besides sending, as long as there is a reason for them. With a
    /// client whose Allocate is under way, sockets are asked for on its behalf.
    pub(crate) fn settle_news(&mut self, worker: u8, client: Option<SocketAddr>) {
        while self.deeds.front().is_some_and(|deed| self.is_due(deed, client)) {
            match self.deeds.pop_front() {
                Some(Deed::Bound(local, errno)) => self.bound(worker, client, local, errno),
                Some(Deed::Closed(socket)) => self.closed(worker, socket),
                Some(Deed::Resumed(socket)) => assert_eq!(socket.state, State::Paused),
                Some(Deed::Forward(channel, until_ms)) => {
                    let client = channel.flow.client;
                    let allocation = &self.model.allocations[&client];
                    let ip = channel.peer.ip();
                    let end = allocation.end_for(ip, self.now_ms).expect("a relayed address");
                    let local = self.model.local(end.relayed);
                    let forwarder = &mut self.node.forwarders[usize::from(worker)];
                    forwarder.forward(channel, local, until_ms);
                }
                Some(Deed::Unforward(channel)) => {
                    self.node.forwarders[usize::from(worker)].unforward(channel);
                }
                Some(Deed::Report(report)) => self.told(worker, report),
                deed => panic!("{deed:?} is not due"),
            }
        }
    }

    fn is_due(&self, deed: &Deed, client: Option<SocketAddr>) -> bool {
        match deed {
            Deed::Bound(..) => client.is_some(),
            Deed::Closed(_) | Deed::Resumed(_) | Deed::Forward(..) | Deed::Unforward(_) => true,
            Deed::Report(Report::Turn(News::Closed(closed))) => self.is_due_to_close(closed),
            Deed::Report(Report::Turn(News::Opened(opened))) => {
                let allocation = self.model.allocations.get(&opened.path.client());
                allocation.is_some_and(|it| it.session.is_none())
            }
            Deed::Report(Report::SocketBroken { role, local, .. }) => {
                let local = local.or_else(|| self.listener_of(*role));
                self.broken.iter().any(|it| Some(*it) == local)
            }
            Deed::Report(Report::Turn(News::StrangersRefused(_) | News::RequestRefused(_))) => true,
            Deed::Report(_)
            | Deed::Took(..)
            | Deed::Woken
            | Deed::Sent(_)
            | Deed::Wrote(..)
            | Deed::HungUp(..)
            | Deed::Blank(_)
            | Deed::TookOut(_)
            | Deed::Adopted(..)
            | Deed::Listed(_)
            | Deed::Showed(_)
            | Deed::Killed(_) => false,
        }
    }

    fn is_due_to_close(&self, closed: &Closed) -> bool {
        let client = closed.path.client();
        match closed.cause {
            Cause::Expired | Cause::Deleted | Cause::Shutdown => true,
            Cause::Replaced | Cause::Duplicate | Cause::Disconnected | Cause::Killed => {
                let is_said = |(one, cause, _): &(SocketAddr, Cause, _)| {
                    *one == client && *cause == closed.cause
                };
                self.model.to_close.iter().any(is_said)
            }
        }
    }

    fn told(&mut self, worker: u8, report: Report) {
        match report {
            Report::Turn(News::Opened(opened)) => self.told_opened(worker, &opened),
            Report::Turn(News::Closed(closed)) => {
                self.tally.closed += 1;
                let client = closed.path.client();
                self.model.closed(self.now_ms, &closed);
                self.sessions.retain(|session| *session != closed.session);
                if let Some(stream) = self.model.streams.open.get_mut(&client) {
                    return stream.deallocated(self.now_ms);
                }
                if Model::is_stream(client) {
                    return;
                }
                if self.model.scenario.is_steered() {
                    let mail = Mail::FlowReleased { client, owner: worker };
                    self.node.mail.post_others(worker, &mail);
                }
            }
            Report::SocketBroken { role, local, .. } => {
                let local = local.or_else(|| self.listener_of(role));
                let place = self.broken.iter().position(|it| Some(*it) == local);
                self.broken.remove(place.expect("somebody broke it"));
            }
            Report::Turn(News::StrangersRefused(_) | News::RequestRefused(_)) => {}
            report => panic!("{report:?} is no news"),
        }
    }

    /// The address of a broken listener.
    fn listener_of(&self, role: Role) -> Option<SocketAddr> {
        match role {
            Role::Listener(id) => Some(self.model.scenario.listeners()[usize::from(id.0)]),
            Role::Relay(_) => None,
        }
    }

    fn told_opened(&mut self, worker: u8, opened: &Opened) {
        let client = opened.path.client();
        let allocation = self.model.allocations.get_mut(&client).expect("it was answered");
        assert_eq!(*opened.user, *allocation.user);
        assert_eq!(opened.session.worker, WorkerIndex(worker));
        let told: Vec<_> = opened.relayed.iter().copied().collect();
        let ends: Vec<_> = allocation.ends.iter().map(|end| end.relayed).collect();
        assert_eq!(told, ends);
        allocation.session = Some(opened.session);
        self.sessions.push(opened.session);
        if let Some(stream) = self.model.streams.open.get_mut(&client) {
            return stream.allocated();
        }
        if self.model.scenario.is_steered() {
            let mail = Mail::FlowOwned { client, owner: worker };
            self.node.mail.post_others(worker, &mail);
        }
    }

    fn closed(&mut self, worker: u8, socket: Socket) {
        let local = socket.local;
        if socket.kind != Kind::Relay {
            return;
        }
        self.node.forwarders[usize::from(worker)].assert_silent(local);
        self.node.unsettled.remove(&local);
        self.model.holders.remove(&local);
        if socket.state == State::Paused {
            self.model.unreserved(self.now_ms, local, self.is_shut_down);
        }
    }

    /// A worker has taken its last turn.
    fn ended(&mut self, worker: u8) {
        assert!(self.is_shut_down, "nobody told it to");
        let before = self.sums_of(usize::from(worker));
        let snapshot = self.node.end(usize::from(worker));
        assert_eq!(sums(&snapshot.turn, &snapshot.worker), before);
        self.bring_down(usize::from(worker));
        self.gone.push(snapshot);
        self.model.streams.open.retain(|_, stream| stream.worker != worker);
        let abandoned = std::mem::take(&mut self.model.abandoned);
        self.model.openings.extend(abandoned);
        self.model.openings.retain(|client, opening| {
            let stays = opening.worker != worker;
            if !stays {
                self.node.drawn.remove(client);
                self.node.attempts.remove(client);
            }
            stays
        });
    }
}

/// What is left to be held against the truth.
pub(crate) type Deeds = VecDeque<Deed>;
