//! What goes wrong beside the network: workers stall, sockets break, clocks jump, flows move.

use uturn::io::SocketId;

use super::{
    machine::{self, Kind, State},
    model::STALL_MS,
    run::{Event, Story},
};

impl Story {
    /// A worker is away for a while, or is woken late or for nothing, a relay's socket breaks, the
    /// wall clock is set, or the network card spreads its flows anew.
    pub(crate) fn trouble(&mut self) {
        if self.now_ms >= self.model.scenario.active_ms {
            return;
        }
        let rest_ms = self.rng.within(500..20_000);
        self.network.schedule(self.now_ms + rest_ms, Event::Trouble);
        let worker = self.rng.below(self.model.scenario.workers.into()) as usize;
        match self.rng.below(8) {
            0 => {
                let until_ms = self.now_ms + self.rng.within(5..STALL_MS);
                self.node.schedules[worker].away_until_ms = until_ms;
                self.tally.stalls += 1;
            }
            5 => {
                let until_ms = self.now_ms + self.rng.within(5..STALL_MS);
                self.node.schedules[worker].deaf_until_ms = until_ms;
                self.tally.late_wakes += 1;
            }
            6 => {
                self.node.machine.lock().sides[worker].waker.wake();
                self.tally.idle_wakes += 1;
            }
            1 => {
                let is_far = self.rng.percent(20);
                self.jump_s = if is_far { self.rng.below(4_000) as i64 - 2_000 } else { 0 };
                self.set_time();
                self.tally.clock_jumps += 1;
            }
            2 => self.break_relay(),
            3 => self.refuse_segmentation(),
            7 => self.break_acceptor(),
            _ => self.spread_anew(),
        }
    }

    /// The kernel takes no trains any more, or takes them again, of which the log is told.
    fn refuse_segmentation(&mut self) {
        let worker = self.rng.below(self.model.scenario.workers.into()) as usize;
        let (off, on) = (machine::News::SegmentationOff, machine::News::SegmentationOn);
        let news = if self.rng.percent(50) { off } else { on };
        let mut machine = self.node.machine.lock();
        let at_ms = machine.now_ms;
        machine.tell(worker, at_ms, SocketId::new(0), news);
    }

    /// A listener takes no more connections, where sockets break.
    fn break_acceptor(&mut self) {
        let mut machine = self.node.machine.lock();
        let (broken, now_ms) = (machine.faults.broken, machine.now_ms);
        let worker = self.rng.below(self.model.scenario.workers.into()) as usize;
        let listener = machine.sides[worker].wires.open_acceptor();
        if let Some(listener) = listener.filter(|_| self.rng.percent(broken / 20)) {
            machine.sides[worker].tell_acceptor(now_ms, listener);
        }
    }

    fn break_relay(&mut self) {
        let mut machine = self.node.machine.lock();
        let (broken, now_ms) = (machine.faults.broken, machine.now_ms);
        let worker = self.rng.below(self.model.scenario.workers.into()) as usize;
        let sockets = machine.sides[worker].sockets.iter().enumerate();
        let is_relay = |it: &machine::Socket| it.kind == Kind::Relay && it.state == State::Open;
        let mut found = sockets.filter(|(_, it)| it.as_ref().is_some_and(is_relay));
        let Some((slot, _)) = found.next() else { return };
        if !self.rng.percent(broken) {
            return;
        }
        let id = SocketId::new(slot as u32);
        if let Some(socket) = machine.sides[worker].socket_mut(id) {
            socket.state = State::Broken;
        }
        machine.tell(worker, now_ms, id, machine::News::Broken(libc::ENETDOWN));
    }

    /// Where workers hand packets to each other, those of a client come to another worker, unless
    /// that would make it two clients: while it allocates, both would.
    fn spread_anew(&mut self) {
        if !self.model.scenario.is_steered() {
            return;
        }
        for client in &self.clients {
            let address = client.address();
            let is_on_its_way = {
                let machine = self.node.machine.lock();
                machine.sides.iter().any(|side| side.has_from(address))
            };
            if self.rng.percent(50) && !is_on_its_way {
                let worker = self.rng.below(self.model.scenario.workers.into()) as u8;
                self.steered.insert(address, worker);
            }
        }
    }
}
