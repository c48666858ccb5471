//! Many members through the same requests, a bounded number of them at a time.

use std::{collections::VecDeque, io, mem, net::SocketAddr, time::Duration};

use hdrhistogram::Histogram;

use super::{
    member::Member,
    refusal::Refusal,
    request::{Answer, Rejection, Request},
};
use crate::{
    clock::Clock,
    count::latency,
    fault::Fault,
    rig::link,
    socket::{Inbox, Poller},
    stop,
    stream::Frames,
};

/// How often requests under way are looked at for a retransmission.
const TICK: Duration = Duration::from_millis(10);

/// How long requests took, first send to answer, challenges included, ns.
#[derive(Debug)]
pub(crate) struct Timings {
    pub(crate) each: Vec<(Request, Histogram<u64>)>,
}

impl Timings {
    fn new(requests: &[Request]) -> Timings {
        Timings { each: requests.iter().map(|request| (*request, latency::empty())).collect() }
    }

    fn note(&mut self, request: Request, took_ns: u64) {
        if let Some((_, histogram)) = self.each.iter_mut().find(|(known, _)| *known == request) {
            histogram.saturating_record(took_ns);
        }
    }
}

/// Takes every member through `requests` in order, `window` members at a time; the first that
/// fails ends it, and so does the wish to stop. Where allocations are given back a refusal keeps
/// nobody else from being asked: the first is the one that is reported.
pub(crate) fn drive(
    members: &mut [Member],
    requests: &[Request],
    window: usize,
    server: SocketAddr,
    clock: Clock,
) -> Result<Timings, Fault> {
    let mut crew = Crew {
        poller: Poller::new().map_err(|error| Fault::io("create an epoll", error))?,
        done: vec![0; members.len()],
        active: VecDeque::with_capacity(window),
        timings: Timings::new(requests),
        inbox: Inbox::new(),
        frames: Frames::default(),
        members,
        requests,
        server,
        clock,
        refusal: None,
    };
    crew.run(window)?;
    match crew.refusal.take() {
        Some(refusal) => Err(refusal),
        None => Ok(crew.timings),
    }
}

struct Crew<'a> {
    members: &'a mut [Member],
    requests: &'a [Request],
    /// How many of the requests each member has behind it.
    done: Vec<usize>,
    active: VecDeque<usize>,
    poller: Poller,
    timings: Timings,
    inbox: Inbox,
    frames: Frames,
    server: SocketAddr,
    clock: Clock,
    /// Of an allocation that was to be given back.
    refusal: Option<Fault>,
}

impl Crew<'_> {
    /// The first member goes alone: what is wrong with the server or the credentials shows there.
    fn run(&mut self, window: usize) -> Result<(), Fault> {
        // Giving back goes on whatever happens.
        let may_stop = !self.requests.contains(&Request::Close);
        let mut next = 0;
        while next < self.members.len() || !self.active.is_empty() {
            if may_stop && stop::is_asked() {
                return Err(Fault::Stopped);
            }
            let window = if self.done.first() == Some(&self.requests.len()) { window } else { 1 };
            while next < self.members.len() && self.active.len() < window {
                self.enter(next)?;
                next += 1;
            }
            self.read()?;
            self.tick()?;
            let (done, all) = (&self.done, self.requests.len());
            self.active.retain(|index| done[*index] < all);
        }
        Ok(())
    }

    fn enter(&mut self, index: usize) -> Result<(), Fault> {
        self.active.push_back(index);
        self.begin(index)?;
        self.watch(index)
    }

    fn watch(&self, index: usize) -> Result<(), Fault> {
        let watched = self.members[index].link.watch(&self.poller, index as u64);
        watched.map_err(|error| Fault::io("watch a socket", error))
    }

    /// Sends the member's next request, if one is left.
    fn begin(&mut self, index: usize) -> Result<(), Fault> {
        let Some(request) = self.requests.get(self.done[index]) else { return Ok(()) };
        let started = self.members[index].start(*request, self.clock.now());
        started.map_err(|error| self.broken(&error))
    }

    fn read(&mut self) -> Result<(), Fault> {
        let ready = self.poller.wait(TICK).map_err(|error| Fault::io("wait for answers", error))?;
        let ready: Vec<usize> = ready.map(|token| token as usize).collect();
        let mut frames = mem::take(&mut self.frames);
        for index in ready {
            while self.receive(index, &mut frames)? {
                frames.iter().try_for_each(|message| self.take(index, message))?;
            }
        }
        self.frames = frames;
        Ok(())
    }

    fn receive(&mut self, index: usize, frames: &mut Frames) -> Result<bool, Fault> {
        let received = self.members[index].link.receive(&mut self.inbox, frames);
        received.map_err(|error| self.broken(&error))
    }

    fn take(&mut self, index: usize, datagram: &[u8]) -> Result<(), Fault> {
        let answer = self.members[index].take(datagram, self.clock.now());
        let answer = answer.map_err(|error| self.broken(&error))?;
        self.judge(index, answer)
    }

    fn tick(&mut self) -> Result<(), Fault> {
        let now = self.clock.now();
        for at in 0..self.active.len() {
            let index = self.active[at];
            if self.members[index].session.pending().is_some() {
                let answer = self.members[index].tick(now).map_err(|error| self.broken(&error))?;
                self.judge(index, answer)?;
            }
        }
        Ok(())
    }

    fn judge(&mut self, index: usize, answer: Answer) -> Result<(), Fault> {
        match answer {
            Answer::Ignored | Answer::Again => Ok(()),
            Answer::Done(request, took_ns) => {
                self.timings.note(request, took_ns);
                self.done[index] += 1;
                self.begin(index)
            }
            Answer::Failed(request, rejection)
                if rejection.is_old_port(request) && self.members[index].reopen(self.server)? =>
            {
                self.begin(index)?;
                self.watch(index)
            }
            Answer::Failed(request, rejection) => {
                let fault = self.failed(request, rejection);
                if request != Request::Close || !fault.leaves_a_server() {
                    return Err(fault);
                }
                self.refusal.get_or_insert(fault);
                self.done[index] += 1;
                self.begin(index)
            }
        }
    }

    fn failed(&self, request: Request, rejection: Rejection) -> Fault {
        let allocations = self.done.iter().filter(|done| **done > 0).count();
        Refusal { server: self.server, request, rejection, allocations }.into()
    }

    fn broken(&self, error: &io::Error) -> Fault {
        let works = self.done.iter().filter(|done| **done > 0).count();
        link::fault_of_one(self.server, error, works, self.members.len())
    }
}
