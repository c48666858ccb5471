//! Sends what is due, and says how much of it the kernel took and how late it was.

use std::{io, net::UdpSocket, sync::Arc};

use hdrhistogram::Histogram;
use socket2::SockAddr;

use crate::{
    clock::Clock,
    count::{latency, slices::Slices},
    fault::Fault,
    offer::{
        packet::Packet,
        schedule::{Burst, Schedule},
        spec::WAYS,
        window::Window,
    },
    rig::{
        framing::Framing,
        pipes::{From, Piped, Pipes},
    },
    socket::{Outbox, TRAIN_BYTES, TRAIN_PACKETS},
    stream::Connection,
};

/// Bursts after which a sender that is behind lets the receiving side have a turn.
const BURSTS_PER_POLL: usize = 64;

/// Bursts never sent that are counted one by one; there may be thousands of millions.
const MOST_COUNTED: usize = 100_000;

/// One flow, from the side that sends.
pub(crate) struct OutFlow {
    pub(crate) id: u32,
    pub(crate) outlet: Outlet,
    pub(crate) framing: Framing,
    /// Which of the ways its packets go.
    pub(crate) way: usize,
    pub(crate) sequence: u64,
}

/// Where packets leave.
#[derive(Clone)]
pub(crate) enum Outlet {
    /// To an address; `None` when the socket is connected.
    Datagrams(Arc<UdpSocket>, Option<SockAddr>),
    Stream(Arc<Connection>),
}

impl Outlet {
    fn is(&self, other: &Outlet) -> bool {
        match (self, other) {
            (Outlet::Datagrams(a, _), Outlet::Datagrams(b, _)) => Arc::ptr_eq(a, b),
            (Outlet::Stream(a), Outlet::Stream(b)) => Arc::ptr_eq(a, b),
            (Outlet::Datagrams(..), Outlet::Stream(_))
            | (Outlet::Stream(_), Outlet::Datagrams(..)) => false,
        }
    }

    fn stream(&self) -> Option<&Connection> {
        match self {
            Outlet::Datagrams(..) => None,
            Outlet::Stream(connection) => Some(connection),
        }
    }
}

/// What was sent one way.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SentCount {
    /// Taken by the kernel, warm-up included.
    pub(crate) all: u64,
    /// Taken by the kernel and due within the measurement.
    pub(crate) packets: u64,
    /// Not taken: the send buffer was full, or an earlier datagram came back; or the connection
    /// has ended.
    pub(crate) refused: u64,
    /// Not sent because what the connection was given before still waited for room. As fast as it
    /// goes: the first burst of each such time.
    pub(crate) blocked: u64,
}

impl SentCount {
    pub(crate) fn add(&mut self, other: &SentCount) {
        self.all += other.all;
        self.packets += other.packets;
        self.refused += other.refused;
        self.blocked += other.blocked;
    }
}

/// What the outbox holds leaves through the socket of this flow.
#[derive(Clone, Copy)]
struct Aim {
    flow: usize,
    measured: bool,
    slice: usize,
}

/// The sending side of one thread.
pub(crate) struct Sender {
    pub(crate) flows: Vec<OutFlow>,
    pub(crate) ways: [SentCount; WAYS],
    /// How long after they were due the bursts of the measurement left.
    pub(crate) lag: Histogram<u64>,
    /// Time spent on sending.
    pub(crate) busy_ns: u64,
    /// Taken by the kernel, by when it was due.
    pub(crate) slices: Slices,
    clock: Clock,
    trains: bool,
    schedule: Schedule,
    window: Window,
    outbox: Outbox,
    aim: Option<Aim>,
    pipes: Pipes,
    /// Bursts are due at their time, not as soon as there is room.
    is_paced: bool,
    /// Something was sent through a connection since the poll began.
    is_piped: bool,
}

impl Sender {
    pub(crate) fn new(flows: Vec<OutFlow>, trains: bool, clock: Clock) -> Result<Sender, Fault> {
        let pipes = Pipes::new(flows.len())?;
        Ok(Sender {
            flows,
            ways: Default::default(),
            lag: latency::empty(),
            busy_ns: 0,
            slices: Slices::default(),
            clock,
            trains,
            schedule: Schedule::default(),
            window: Window::default(),
            outbox: Outbox::new(),
            aim: None,
            pipes,
            is_paced: true,
            is_piped: false,
        })
    }

    /// Forgets the last measurement and takes up the next. Sequences begin anew.
    pub(crate) fn begin(&mut self, schedule: Schedule, window: Window, is_paced: bool) {
        self.schedule = schedule;
        self.is_paced = is_paced;
        self.window = window;
        self.ways = Default::default();
        self.lag.reset();
        self.busy_ns = 0;
        self.slices = Slices::new(window);
        self.flows.iter_mut().for_each(|flow| flow.sequence = 0);
    }

    /// Sends what is due by now and says when the next burst is.
    pub(crate) fn poll(&mut self) -> Result<u64, Fault> {
        self.flush_pipes()?;
        self.send_due(self.clock.now())
    }

    /// Goes on with what waits for room in a connection; true when nothing does any more.
    pub(crate) fn flush_pipes(&mut self) -> Result<bool, Fault> {
        let Sender { pipes, flows, .. } = self;
        pipes.flush(|flow| flows.get(flow)?.outlet.stream())?;
        Ok(!pipes.is_waiting())
    }

    /// True while something waits for room in a connection.
    pub(crate) fn is_waiting(&self) -> bool {
        self.pipes.is_waiting()
    }

    /// Sends what became due while the end was not yet noticed; most of it if that is much.
    pub(crate) fn finish(&mut self, until_ns: u64) -> Result<(), Fault> {
        let last_ns = until_ns.saturating_sub(1);
        if self.schedule.next_due(u64::MAX) <= last_ns {
            self.send_due(last_ns)?;
        }
        Ok(())
    }

    fn send_due(&mut self, begin: u64) -> Result<u64, Fault> {
        let mut now = begin;
        for _ in 0..BURSTS_PER_POLL {
            let Some(burst) = self.schedule.pop(now) else { break };
            if burst.due_ns >= self.window.until_ns {
                break;
            }
            self.emit(burst)?;
            now = self.clock.now();
            if burst.due_ns >= self.window.from_ns {
                self.lag.saturating_record(now.saturating_sub(burst.due_ns));
            }
        }
        if self.aim.is_some() || self.is_piped {
            self.is_piped = false;
            self.flush()?;
            now = self.clock.now();
            self.busy_ns += now.saturating_sub(begin);
        }
        Ok(self.schedule.next_due(now))
    }

    /// How far the schedule is behind.
    pub(crate) fn behind_ns(&self, now_ns: u64) -> u64 {
        now_ns.saturating_sub(self.schedule.next_due(now_ns))
    }

    /// Packets that were due before the end and never sent.
    pub(crate) fn unsent(&mut self, until_ns: u64) -> u64 {
        let mut packets = 0;
        for _ in 0..MOST_COUNTED {
            match self.schedule.pop(until_ns).filter(|burst| burst.due_ns < until_ns) {
                Some(burst) => packets += u64::from(burst.packets),
                None => return packets,
            }
        }
        packets + self.schedule.left(until_ns)
    }

    fn emit(&mut self, burst: Burst) -> Result<(), Fault> {
        let measured = burst.due_ns >= self.window.from_ns;
        if matches!(self.flows[burst.flow].outlet, Outlet::Stream(_)) {
            return self.pipe(&burst, measured);
        }
        let aim = Aim { flow: burst.flow, measured, slice: self.slices.place(burst.due_ns) };
        let mut left = burst.packets;
        while left > 0 {
            self.turn_to(aim)?;
            let train = self.train(&burst, left);
            self.load(&burst, left, train);
            left -= train;
        }
        Ok(())
    }

    /// Sends a burst through a connection.
    fn pipe(&mut self, burst: &Burst, measured: bool) -> Result<(), Fault> {
        let Sender { flows, pipes, window, .. } = self;
        let flow = &mut flows[burst.flow];
        let Some(connection) = flow.outlet.stream() else { return Ok(()) };
        let first = Packet {
            run: window.run,
            payload_bytes: burst.payload_bytes,
            flow: flow.id,
            sequence: flow.sequence,
            due_ns: burst.due_ns,
        };
        let from = From { flow: burst.flow, connection, framing: &flow.framing, first };
        let piped = pipes.send(burst, from)?;
        let packets = u64::from(burst.packets);
        let way = &mut self.ways[flow.way];
        match piped {
            Piped::Sent => {
                flow.sequence += packets;
                self.is_piped = true;
                way.all += packets;
                way.packets += u64::from(measured) * packets;
                let slice = self.slices.place(burst.due_ns);
                self.slices.add(slice, packets);
            }
            Piped::Blocked { again } if again && !self.is_paced => {}
            Piped::Blocked { .. } => way.blocked += u64::from(measured) * packets,
            Piped::Broken => way.refused += u64::from(measured) * packets,
        }
        Ok(())
    }

    /// Makes room for a train that leaves through the socket aimed at.
    fn turn_to(&mut self, aim: Aim) -> Result<(), Fault> {
        let stays = self.aim.is_some_and(|current| {
            let [a, b] = [current, aim].map(|aim| &self.flows[aim.flow]);
            let same_time = current.measured == aim.measured && current.slice == aim.slice;
            a.outlet.is(&b.outlet) && a.way == b.way && same_time
        });
        if !stays || !self.outbox.has_room() {
            self.flush()?;
        }
        self.aim = Some(aim);
        Ok(())
    }

    /// Packets of the next message: one, or as many as a train can hold.
    fn train(&self, burst: &Burst, left: u32) -> u32 {
        if !self.trains {
            return 1;
        }
        let framing = &self.flows[burst.flow].framing;
        let payload_bytes = usize::from(burst.payload_bytes);
        let segment_bytes = framing.bytes() + payload_bytes + framing.pad_bytes(payload_bytes);
        let fit = (TRAIN_BYTES / segment_bytes.max(1)).clamp(1, TRAIN_PACKETS);
        left.min(fit as u32)
    }

    /// Puts the next `train` of the `left` packets of a burst into the outbox as one message.
    fn load(&mut self, burst: &Burst, left: u32, train: u32) {
        let flow = &mut self.flows[burst.flow];
        let Outlet::Datagrams(_, to) = &flow.outlet else { return };
        self.outbox.open(to.as_ref());
        for packet in 0..train {
            let last = left - packet == 1;
            let payload_bytes = if last { burst.last_bytes } else { burst.payload_bytes };
            let packet = Packet {
                run: self.window.run,
                payload_bytes,
                flow: flow.id,
                sequence: flow.sequence,
                due_ns: burst.due_ns,
            };
            flow.sequence += 1;
            let pad_bytes = flow.framing.pad_bytes(usize::from(payload_bytes));
            self.outbox.push(packet.body(), pad_bytes, |head| flow.framing.write(&packet, head));
        }
    }

    fn flush(&mut self) -> Result<(), Fault> {
        let Some(aim) = self.aim.take() else { return Ok(()) };
        let flow = &self.flows[aim.flow];
        let Outlet::Datagrams(socket, _) = &flow.outlet else { return Ok(()) };
        let sent = self.outbox.send(&**socket);
        let way = &mut self.ways[flow.way];
        way.all += sent.packets;
        self.slices.add(aim.slice, sent.packets);
        if aim.measured {
            way.packets += sent.packets;
            way.refused += sent.refused;
        }
        sent.error.map_or(Ok(()), judge)
    }
}

/// A full buffer and a closed far port are counted; anything else ends the run.
fn judge(error: io::Error) -> Result<(), Fault> {
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::ENOBUFS | libc::ECONNREFUSED) => Ok(()),
        Some(libc::EMSGSIZE | libc::EINVAL) => Err(Fault::usage(format!(
            "the kernel refuses packets of this --size here ({error}); is it above the MTU?"
        ))),
        _ => Err(Fault::io("send", error)),
    }
}
