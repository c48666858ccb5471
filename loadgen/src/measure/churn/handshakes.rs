//! Handshakes: connections opened, secured and closed again, many at once.
//!
//! A handshake begins with the first segment and is finished when the client has sent its last
//! message; over TCP alone, when the connection stands. With a rate the loop is open, as that of
//! churn is: a handshake counts from when it was due.

use std::{
    collections::BTreeMap,
    io,
    time::{Duration, Instant},
};

use super::work::{Common, Place, Tally, Work, run};
use crate::{
    clock::MILLI_NS,
    fault::Fault,
    offer::spec::Spec,
    rig::{
        gauge::Gauge,
        lane::ThreadUse,
        link::{self, Access, Link},
    },
    socket::Inbox,
    stream::{Connection, Frames},
};

/// How long a connection that later ones are to resume waits for its ticket.
const TICKET_NS: u64 = 200 * MILLI_NS;

/// A handshake under way, or one that is finished and waits for a ticket.
pub(super) struct Shake {
    link: Link,
    due_ns: u64,
    begin_ns: u64,
    finished_ns: Option<u64>,
}

/// What a thread of handshakes counts.
pub(super) struct Count {
    pub(super) tally: Tally,
    pub(super) kinds: Kinds,
}

/// How handshakes ended.
#[derive(Default)]
pub(super) struct Kinds {
    /// Of the measurement: finished ones that resumed a session.
    pub(super) resumed: u64,
    /// Why those that failed did, and how many each.
    pub(super) failures: BTreeMap<String, u64>,
    /// What the last agreed on.
    pub(super) agreed: Option<String>,
}

/// One thread's handshakes.
pub(super) struct Handshakes<'a> {
    spec: &'a Spec,
    common: Common<'a, Shake>,
    access: Access,
    inbox: Inbox,
    frames: Frames,
    kinds: Kinds,
}

impl<'a> Handshakes<'a> {
    pub(super) fn new(
        spec: &'a Spec,
        place: Place<'a>,
        access: Access,
        gauge: &'a Gauge,
    ) -> Result<Handshakes<'a>, Fault> {
        Ok(Handshakes {
            spec,
            common: Common::new(spec, place, gauge)?,
            access,
            inbox: Inbox::new(),
            frames: Frames::default(),
            kinds: Kinds::default(),
        })
    }

    /// Shakes hands until the window ends, and finishes what is under way then.
    pub(super) fn run(&mut self, core: Option<usize>) -> Result<ThreadUse, Fault> {
        run(self, "handshakes", core)
    }

    /// What it counted.
    pub(super) fn count(self) -> Count {
        Count { tally: self.common.tally, kinds: self.kinds }
    }

    fn finish(&mut self, slot: usize, stream: &Connection) {
        let now = self.common.place.clock.now();
        let Some(shake) = self.common.slots.get_mut(slot) else { return };
        let is_first = shake.finished_ns.is_none();
        shake.finished_ns = shake.finished_ns.or(Some(now));
        let due_ns = shake.due_ns;
        if is_first {
            self.common.finish(due_ns, now);
            let is_resumed = self.common.is_measured(due_ns) && stream.is_resumed();
            self.kinds.resumed += u64::from(is_resumed);
            self.kinds.agreed = self.kinds.agreed.take().or_else(|| stream.agreed());
        }
        if !self.spec.resume || stream.has_ticket() {
            stream.close();
            self.common.slots.release(slot);
        }
    }

    fn fail(&mut self, slot: usize, reason: String) {
        *self.kinds.failures.entry(reason).or_default() += 1;
        self.common.slots.release(slot);
    }
}

impl<'a> Work<'a> for Handshakes<'a> {
    type Item = Shake;

    fn common(&mut self) -> &mut Common<'a, Shake> {
        &mut self.common
    }

    fn open(&mut self, slot: usize, due_ns: u64) -> Result<(), Fault> {
        let access = self.access.clone().from(self.common.home());
        let link = Link::open(&access, self.common.place.server)?;
        let begin_ns = self.common.begin(due_ns);
        let watched = link.stream().map_or(Ok(true), |stream| stream.flush());
        let watched = watched.and_then(|_| link.watch(&self.common.poller, slot as u64));
        self.common.slots.put(slot, Shake { link, due_ns, begin_ns, finished_ns: None });
        if let Err(error) = watched {
            self.fail(slot, reason(&error));
        }
        Ok(())
    }

    /// Goes on with a handshake as far as the server's answers allow.
    fn proceed(&mut self, slot: usize) -> Result<(), Fault> {
        let Some(shake) = self.common.slots.get(slot) else { return Ok(()) };
        let link = shake.link.clone();
        let received = drain(&link, &mut self.inbox, &mut self.frames);
        let Some(stream) = link.stream() else { return Ok(()) };
        // A server may end a connection that is finished; its answers count.
        if stream.is_established() {
            self.finish(slot, stream);
        } else if let Err(error) = received {
            self.fail(slot, reason(&error));
        }
        Ok(())
    }

    /// Gives up what takes too long.
    fn look_after(&mut self, slot: usize, now: u64) {
        let patience_ns = self.spec.pace.patience_ns;
        match self.common.slots.get(slot) {
            Some(Shake { finished_ns: Some(at), link, .. }) if now >= at + TICKET_NS => {
                link.stream().into_iter().for_each(|stream| stream.close());
                self.common.slots.release(slot);
            }
            Some(Shake { finished_ns: None, begin_ns, .. }) if now >= begin_ns + patience_ns => {
                self.fail(slot, "not finished in time".to_owned());
            }
            Some(_) | None => {}
        }
    }
}

/// One handshake alone: what is wrong with the server shows here, in one line.
pub(super) fn try_once(spec: &Spec, place: Place<'_>, access: &Access) -> Result<(), Fault> {
    let link = Link::open(access, place.server)?;
    let Some(stream) = link.stream() else { return Ok(()) };
    let (mut inbox, mut frames) = (Inbox::new(), Frames::default());
    let begin = Instant::now();
    while !stream.is_established() {
        let drained = drain(&link, &mut inbox, &mut frames);
        if let (Err(error), false) = (&drained, stream.is_established()) {
            return Err(link::fault(place.server, error));
        }
        if begin.elapsed() > Duration::from_nanos(spec.pace.patience_ns) {
            return Err(link::silence(place.server, stream));
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    stream.close();
    Ok(())
}

/// Takes all that has arrived; nobody asked for anything, so that no message is looked at.
fn drain(link: &Link, inbox: &mut Inbox, frames: &mut Frames) -> io::Result<()> {
    while link.receive(inbox, frames)? {}
    Ok(())
}

/// Why a handshake failed, in words that many have in common.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "refused".to_owned(),
        io::ErrorKind::ConnectionReset => "reset by the server".to_owned(),
        io::ErrorKind::UnexpectedEof => "closed by the server".to_owned(),
        io::ErrorKind::AddrNotAvailable => "no local port was free".to_owned(),
        _ => error.to_string(),
    }
}

impl Count {
    pub(super) fn new() -> Count {
        Count { tally: Tally::new(), kinds: Kinds::default() }
    }

    pub(super) fn add(&mut self, other: Count) {
        self.tally.add(&other.tally);
        let Kinds { resumed, failures, agreed } = other.kinds;
        self.kinds.resumed += resumed;
        for (reason, count) in failures {
            *self.kinds.failures.entry(reason).or_default() += count;
        }
        self.kinds.agreed = self.kinds.agreed.take().or(agreed);
    }
}
