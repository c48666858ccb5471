//! Clients that connect: their bytes are cut anywhere, some read slowly or not at all, some say
//! nothing or half a frame, and all of them leave one day, with a FIN or a reset.

use std::net::SocketAddr;

use uturn::wire::TransactionId;

use super::{
    line::{Cut, Line, frames},
    model::Stream,
    packet::{Ask, Packet, Request},
    run::{Event, Story},
    scenario::STREAM_PORTS,
    wires::{Down, StreamNews},
};

/// A window that is never full.
const AMPLE_BYTES: usize = usize::MAX / 2;

impl Story {
    /// A client connects, from another port each time.
    pub(crate) fn connect(&mut self, at: usize) {
        let port = STREAM_PORTS + self.ports_used;
        self.ports_used += 1;
        let client = self.clients[at].move_to(port);
        let worker = self.model.scenario.steer(client);
        let rng = &mut self.rng;
        let reads = match rng.below(10) {
            0 => Some((0, 0)),
            1..4 => Some((rng.within(4..200) as usize, rng.within(20..3_000))),
            _ => None,
        };
        let room = reads.map_or(AMPLE_BYTES, |_| rng.within(0..300) as usize);
        let (cut, unread) = (Cut::of(rng), Vec::new());
        let (up_ms, down_ms, has_finished) = (0, 0, false);
        let line = Line { worker: worker.into(), cut, reads, up_ms, down_ms, unread, has_finished };
        self.lines.insert(client, line);
        self.model.streams.open.insert(client, Stream::new(worker));
        let listener = self.model.scenario.listener(client);
        self.send_up(client, StreamNews::Syn(listener, room));
        if let Some((1.., every_ms)) = reads {
            self.network.schedule(self.now_ms + every_ms, Event::Read(client));
        }
        match self.rng.below(20) {
            0 => self.clients[at].is_silent = true,
            1 => self.say_half(at),
            _ => {}
        }
    }

    /// A client begins a frame and says no more.
    fn say_half(&mut self, at: usize) {
        let transaction = TransactionId(self.rng.array());
        let (signature, has_fingerprint) = (None, true);
        let request = Request { ask: Ask::Binding, transaction, signature, has_fingerprint };
        let packet = Packet::Request(request);
        let bytes = packet.stream_bytes();
        let half = 1 + self.rng.below(bytes.len() as u64 - 1) as usize;
        self.say(self.clients[at].address(), vec![packet], &bytes[..half]);
        self.clients[at].is_silent = true;
    }

    /// A client on a connection says something, all of it at once.
    pub(crate) fn say_on_line(&mut self, client: SocketAddr, packets: Vec<Packet>) {
        let bytes = packets.iter().map(Packet::stream_bytes).collect::<Vec<_>>().concat();
        self.say(client, packets, &bytes);
    }

    fn say(&mut self, client: SocketAddr, packets: Vec<Packet>, bytes: &[u8]) {
        let Some(line) = self.lines.get(&client).filter(|line| !line.has_finished) else { return };
        let parts = line.cut.parts(&mut self.rng, bytes);
        if let Some(stream) = self.model.streams.open.get_mut(&client) {
            let sized = packets.into_iter().map(|it| (it.clone(), it.stream_bytes().len()));
            stream.coming.extend(sized.filter(|(_, bytes)| *bytes > 0));
        }
        parts.into_iter().for_each(|part| self.send_up(client, StreamNews::Bytes(part)));
    }

    /// What a client sends arrives in order, sooner or later.
    fn send_up(&mut self, client: SocketAddr, news: StreamNews) {
        let most_ms = *self.rng.pick(&[1, 1, 1, 1, 1, 1, 3, 100]);
        let delay_ms = self.rng.below(most_ms);
        let Some(line) = self.lines.get_mut(&client) else { return };
        line.up_ms = line.up_ms.max(self.now_ms + delay_ms);
        self.network.schedule(line.up_ms, Event::Up(client, news));
    }

    pub(crate) fn bring_up(&mut self, client: SocketAddr, news: StreamNews) {
        let worker = usize::from(self.model.scenario.steer(client));
        if self.node.workers[worker].is_some() {
            let now_ms = self.now_ms;
            self.node.machine.lock().sides[worker].tell_stream(now_ms, client, news);
        } else if matches!(news, StreamNews::Syn(..)) {
            self.send_down(client, Down::Over);
        }
    }

    /// A client ends its connection, in good order or not.
    pub(crate) fn hang_up(&mut self, at: usize) {
        let client = self.clients[at].address();
        self.clients[at].forget();
        if self.rng.percent(50) {
            self.send_up(client, StreamNews::Fin);
            if let Some(line) = self.lines.get_mut(&client) {
                line.has_finished = true;
            }
        } else {
            self.send_up(client, StreamNews::Reset);
            self.lines.remove(&client);
        }
    }

    /// What a worker sends arrives in order, as long as the client listens.
    pub(crate) fn send_down(&mut self, client: SocketAddr, down: Down) {
        let never_accepted = |it: &Stream| it.serial.is_none();
        if let Down::Over = down
            && self.model.streams.open.get(&client).is_some_and(never_accepted)
        {
            self.model.streams.open.remove(&client);
        }
        let delay_ms = self.rng.within(1..20);
        let Some(line) = self.lines.get_mut(&client) else { return };
        line.down_ms = line.down_ms.max(self.now_ms + delay_ms);
        self.network.schedule(line.down_ms, Event::Down(client, down));
    }

    pub(crate) fn reach_down(&mut self, client: SocketAddr, down: Down) {
        let Some(line) = self.lines.get_mut(&client) else { return };
        match down {
            Down::Bytes(bytes) => {
                line.unread.extend(bytes);
                let (whole, rest) = frames(&line.unread);
                line.unread = rest;
                whole.iter().for_each(|frame| self.reach_client(client, frame));
            }
            Down::Fin => {}
            Down::Over => {
                self.lines.remove(&client);
                if let Some(at) = self.clients.iter().position(|it| it.address() == client) {
                    self.clients[at].forget();
                }
            }
        }
    }

    /// A client that reads slowly has made room for some more.
    pub(crate) fn read_on(&mut self, client: SocketAddr) {
        let Some(Line { worker, reads: Some((bytes, every_ms)), .. }) = self.lines.get(&client)
        else {
            return;
        };
        let (worker, bytes, every_ms) = (*worker, *bytes, *every_ms);
        let now_ms = self.now_ms;
        if self.node.workers[worker].is_some() {
            self.node.machine.lock().sides[worker].widen(now_ms, client, bytes);
        }
        self.network.schedule(now_ms + every_ms, Event::Read(client));
    }
}
