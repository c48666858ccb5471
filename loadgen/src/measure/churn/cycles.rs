//! Cycles: allocations opened, permitted, bound, refreshed and closed, one after the other, many at
//! once.
//!
//! With a rate the loop is open: a cycle is due whether or not the server keeps up, and its latency
//! counts from then. Every cycle has a socket of its own, as every client has.

use std::{io, mem, net::SocketAddr};

use hdrhistogram::Histogram;

use super::work::{Common, Place, Tally, Work, run};
use crate::{
    count::latency,
    fault::Fault,
    offer::{packet::mix, spec::Spec},
    rig::{
        self,
        gauge::Gauge,
        lane::ThreadUse,
        link::{self, Access},
        turn::{Answer, Member, Request, Session},
    },
    socket::Inbox,
    stream::Frames,
};

/// What is asked in one cycle, and by whom.
#[derive(Clone, Copy)]
pub(super) struct Cycle {
    /// What the thread is called.
    pub(super) role: &'static str,
    pub(super) requests: &'static [Request],
}

/// The whole life of an allocation.
pub(super) const CHURN: Cycle = Cycle {
    role: "churn",
    requests: &[
        Request::Allocate,
        Request::Permit,
        Request::Bind,
        Request::Refresh,
        Request::Close,
    ],
};

/// One request of each kind that must be answered whatever else goes on.
pub(super) const PROBE: Cycle = Cycle {
    role: "probe",
    requests: &[Request::Binding, Request::Allocate, Request::Refresh, Request::Close],
};

/// Where permissions and channels point: nothing is sent there.
pub(super) const DISCARD_PORT: u16 = 9;

/// A client in the middle of its cycle.
pub(super) struct Client {
    member: Member,
    due_ns: u64,
    done: usize,
}

/// What a thread of cycles counts.
pub(super) struct Count {
    pub(super) tally: Tally,
    pub(super) requests: Vec<(Request, Histogram<u64>)>,
    /// Cycles that failed, and the last in words.
    pub(super) failures: (u64, Option<String>),
}

/// One thread's cycles.
pub(super) struct Churn<'a> {
    spec: &'a Spec,
    peer: SocketAddr,
    cycle: Cycle,
    common: Common<'a, Client>,
    access: Access,
    inbox: Inbox,
    frames: Frames,
    seed: u64,
    requests: Vec<(Request, Histogram<u64>)>,
    failures: (u64, Option<String>),
}

impl<'a> Churn<'a> {
    pub(super) fn new(
        spec: &'a Spec,
        place: Place<'a>,
        cycle: Cycle,
        gauge: &'a Gauge,
    ) -> Result<Churn<'a>, Fault> {
        let Count { requests, failures, .. } = Count::new(cycle);
        Ok(Churn {
            spec,
            peer: SocketAddr::new(place.peer_ip, DISCARD_PORT),
            cycle,
            common: Common::new(spec, place, gauge)?,
            access: Access::of(spec).without_trains(),
            inbox: Inbox::new(),
            frames: Frames::default(),
            seed: rig::seed(),
            requests,
            failures,
        })
    }

    /// Runs cycles until the window ends, and those under way to their end.
    pub(super) fn run(&mut self, core: Option<usize>) -> Result<ThreadUse, Fault> {
        run(self, self.cycle.role, core)
    }

    /// What it counted.
    pub(super) fn count(self) -> Count {
        let Churn { common, requests, failures, .. } = self;
        Count { tally: common.tally, requests, failures }
    }

    fn watch(&self, slot: usize) -> Result<(), Fault> {
        let Some(client) = self.common.slots.get(slot) else { return Ok(()) };
        let added = client.member.link.watch(&self.common.poller, slot as u64);
        added.map_err(|error| Fault::io("watch a socket", error))
    }

    /// Sends the next request of a cycle, or ends it.
    fn ask(&mut self, slot: usize) -> Result<(), Fault> {
        let now = self.common.place.clock.now();
        let Some(client) = self.common.slots.get_mut(slot) else { return Ok(()) };
        match self.cycle.requests.get(client.done) {
            Some(request) => match client.member.start(*request, now) {
                Ok(()) => Ok(()),
                Err(error) => self.broken(slot, &error),
            },
            None => {
                let due_ns = client.due_ns;
                self.common.finish(due_ns, now);
                self.common.slots.release(slot);
                Ok(())
            }
        }
    }

    fn reopen(&mut self, slot: usize) -> Result<bool, Fault> {
        let server = self.common.place.server;
        let client = self.common.slots.get_mut(slot);
        client.map_or(Ok(false), |client| client.member.reopen(server))
    }

    fn take(&mut self, slot: usize, message: &[u8]) -> Result<(), Fault> {
        let now = self.common.place.clock.now();
        let Some(client) = self.common.slots.get_mut(slot) else { return Ok(()) };
        match client.member.take(message, now) {
            Ok(answer) => self.judge(slot, answer),
            Err(error) => self.broken(slot, &error),
        }
    }

    fn judge(&mut self, slot: usize, answer: Answer) -> Result<(), Fault> {
        match answer {
            Answer::Ignored | Answer::Again => Ok(()),
            Answer::Done(_, took_ns) => {
                let Some(client) = self.common.slots.get_mut(slot) else { return Ok(()) };
                self.requests[client.done].1.saturating_record(took_ns);
                client.done += 1;
                self.ask(slot)
            }
            Answer::Failed(request, rejection)
                if rejection.is_old_port(request) && self.reopen(slot)? =>
            {
                self.ask(slot)?;
                self.watch(slot)
            }
            Answer::Failed(request, rejection) => {
                self.fail(slot, format!("{}: {rejection}", request.name()));
                Ok(())
            }
        }
    }

    /// A server that has gone fails the cycle, and every other after it.
    fn broken(&mut self, slot: usize, error: &io::Error) -> Result<(), Fault> {
        let text = match error.kind() {
            io::ErrorKind::ConnectionRefused => "nothing listens on the server's port any more",
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
                "the server closed the connection"
            }
            _ => return Err(link::fault(self.common.place.server, error)),
        };
        self.fail(slot, text.to_owned());
        Ok(())
    }

    fn fail(&mut self, slot: usize, why: String) {
        self.failures = (self.failures.0 + 1, Some(why));
        self.common.slots.release(slot);
    }
}

impl<'a> Work<'a> for Churn<'a> {
    type Item = Client;

    fn common(&mut self) -> &mut Common<'a, Client> {
        &mut self.common
    }

    fn open(&mut self, slot: usize, due_ns: u64) -> Result<(), Fault> {
        self.seed = mix(self.seed);
        let account = self.spec.account.clone();
        let mut session = Session::new(account, self.spec.pace, self.peer.ip(), self.seed);
        session.talk_to(self.peer);
        let access = self.access.clone().from(self.common.home());
        let member = Member::open(access, self.common.place.server, session)?;
        self.common.begin(due_ns);
        self.common.slots.put(slot, Client { member, due_ns, done: 0 });
        self.ask(slot)?;
        self.watch(slot)
    }

    fn proceed(&mut self, slot: usize) -> Result<(), Fault> {
        let mut frames = mem::take(&mut self.frames);
        let mut is_more = true;
        while is_more {
            let Some(client) = self.common.slots.get(slot) else { break };
            is_more = match client.member.link.receive(&mut self.inbox, &mut frames) {
                Ok(is_more) => is_more,
                Err(error) => {
                    self.broken(slot, &error)?;
                    break;
                }
            };
            if is_more {
                frames.iter().try_for_each(|message| self.take(slot, message))?;
            }
        }
        self.frames = frames;
        Ok(())
    }

    /// Sends again what was not answered in time.
    fn look_after(&mut self, slot: usize, now: u64) {
        let Some(client) = self.common.slots.get_mut(slot) else { return };
        if let Ok(answer @ Answer::Failed(..)) = client.member.tick(now) {
            // A failure releases the slot and sends nothing.
            let _ = self.judge(slot, answer);
        }
    }
}

impl Count {
    pub(super) fn new(cycle: Cycle) -> Count {
        Count {
            tally: Tally::new(),
            requests: cycle.requests.iter().map(|one| (*one, latency::empty())).collect(),
            failures: (0, None),
        }
    }

    pub(super) fn add(&mut self, other: Count) {
        self.tally.add(&other.tally);
        for ((_, sum), (_, histogram)) in self.requests.iter_mut().zip(&other.requests) {
            latency::add(sum, histogram);
        }
        self.failures.0 += other.failures.0;
        self.failures.1 = other.failures.1.or(self.failures.1.take());
    }
}
