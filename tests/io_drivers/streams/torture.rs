//! Whatever is asked of streams in whatever order: bytes keep theirs, and all of them end.

use std::{
    collections::HashMap,
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    time::Duration,
};

use bytes::BytesMut;
use uturn::io::{Driver, Event, HangUpHow, Receive, Settings, StreamEvent, StreamId, Wait};

use super::talk::{Talk, connected};

/// Both ends of a stream. Each byte tells its place among those of its direction.
struct Pair {
    client: TcpStream,
    /// What the client and the driver have sent, and how much of it the other one has seen.
    from_client: [usize; 2],
    from_driver: [usize; 2],
    is_writing: bool,
    has_finished: bool,
    is_detaching: bool,
    is_hung_up: bool,
}

fn byte(at: usize) -> u8 {
    (at ^ at >> 8).wrapping_mul(37) as u8
}

fn bytes(from: usize, count: usize) -> Vec<u8> {
    (from..from + count).map(byte).collect()
}

impl Pair {
    fn new(client: TcpStream) -> Self {
        client.set_nonblocking(true).expect("a socket");
        Self {
            client,
            from_client: [0; 2],
            from_driver: [0; 2],
            is_writing: false,
            has_finished: false,
            is_detaching: false,
            is_hung_up: false,
        }
    }

    fn is_free(&self) -> bool {
        !self.is_detaching && !self.is_hung_up
    }

    /// The driver has these bytes of the client's.
    fn arrived(&mut self, got: &[u8]) {
        assert!(got == bytes(self.from_client[1], got.len()), "out of order");
        self.from_client[1] += got.len();
        assert!(self.from_client[1] <= self.from_client[0]);
    }

    fn client_reads(&mut self) {
        let mut room = vec![0; 50_000];
        if let Ok(count) = self.client.read(&mut room) {
            assert!(room[..count] == bytes(self.from_driver[1], count), "out of order");
            self.from_driver[1] += count;
            assert!(self.from_driver[1] <= self.from_driver[0]);
        }
    }

    fn client_writes(&mut self, count: usize) {
        match self.client.write(&bytes(self.from_client[0], count)) {
            Ok(written) => self.from_client[0] += written,
            Err(error) => assert!(
                matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
                ),
                "{error}"
            ),
        }
    }
}

struct Torture<D> {
    talk: Talk<D>,
    pairs: HashMap<StreamId, Pair>,
    /// Clients that nobody has accepted yet, by their port.
    coming: HashMap<u16, TcpStream>,
    state: u64,
    ended: usize,
}

impl<D: Driver> Torture<D> {
    fn below(&mut self, end: u64) -> u64 {
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) % end
    }

    fn any(&mut self) -> Option<StreamId> {
        let mut ids: Vec<_> = self.pairs.keys().copied().collect();
        ids.sort_unstable();
        let at = self.below(ids.len().max(1) as u64) as usize;
        ids.get(at).copied()
    }

    fn step(&mut self) {
        let (what, count) = (self.below(100), 1 + self.below(20_000) as usize);
        if self.pairs.len() + self.coming.len() < 12 {
            let client = connected(self.talk.address);
            self.coming.insert(client.local_addr().expect("connected").port(), client);
        }
        let Some(id) = self.any() else { return };
        let Some(pair) = self.pairs.get_mut(&id) else { return };
        let driver = &mut self.talk.driver;
        match what {
            0..30 => pair.client_writes(count),
            30..55 => pair.client_reads(),
            55..75 if pair.is_free() && !pair.is_writing && !pair.has_finished => {
                driver.write(id, BytesMut::from(&bytes(pair.from_driver[0], count)[..]));
                pair.from_driver[0] += count;
                pair.is_writing = true;
            }
            75..80 => driver.pause(id),
            80..90 => driver.unpause(id),
            90..92 if pair.is_free() => {
                driver.detach(id);
                pair.is_detaching = true;
            }
            92..94 => {
                driver.finish(id);
                pair.has_finished |= pair.is_free();
            }
            94..96 => drop(pair.client.shutdown(Shutdown::Write)),
            96..98 => {
                let how = if count % 2 == 0 { HangUpHow::Close } else { HangUpHow::Reset };
                driver.hang_up(id, how);
                pair.is_hung_up = true;
            }
            _ => {}
        }
    }

    fn take(&mut self) {
        while let Some(event) = self.talk.driver.next() {
            let Event::Stream(event) = event else { panic!("{event:?}") };
            match event {
                StreamEvent::Accepted { stream, peer, .. } => {
                    let client = self.coming.remove(&peer.port()).expect("a client of ours");
                    assert!(self.pairs.insert(stream, Pair::new(client)).is_none(), "a free id");
                }
                StreamEvent::Bytes(stream, lease) => {
                    let pair = self.pairs.get_mut(&stream).expect("a stream of ours");
                    assert!(pair.is_free(), "nothing surfaces any more");
                    pair.arrived(lease.payload());
                }
                StreamEvent::Written(stream, buffer) => {
                    let pair = self.pairs.get_mut(&stream).expect("a stream of ours");
                    assert!(buffer.is_empty() && pair.is_writing && !pair.is_hung_up);
                    pair.is_writing = false;
                }
                StreamEvent::Finished(stream) => assert!(self.pairs[&stream].is_free()),
                StreamEvent::Closed(stream, _) => {
                    self.pairs.remove(&stream).expect("a stream of ours");
                    self.ended += 1;
                }
                StreamEvent::Detached { stream, socket, unread } => {
                    let mut pair = self.pairs.remove(&stream).expect("a stream of ours");
                    assert!(pair.is_detaching && !pair.is_writing);
                    pair.arrived(&unread);
                    pair.is_detaching = false;
                    let again = self.talk.driver.adopt(socket, Receive::Now).expect("room");
                    assert!(self.pairs.insert(again, pair).is_none(), "a free id");
                }
                event => panic!("{event:?}"),
            }
        }
    }
}

pub(crate) fn any_order_of_calls_keeps_the_order_of_bytes<D: Driver>(new: fn(&Settings) -> D) {
    for seed in 1..=4 {
        let talk = Talk::new(new(&Settings { streams: 16, ..Settings::default() }));
        let (pairs, coming) = (HashMap::new(), HashMap::new());
        let mut torture = Torture { talk, pairs, coming, state: seed, ended: 0 };
        for _ in 0..4_000 {
            for _ in 0..torture.below(4) {
                torture.step();
            }
            let wait = Wait::For(Duration::from_micros(torture.below(200)));
            torture.talk.driver.turn(wait).expect("turn");
            torture.take();
        }
        let ids: Vec<_> = torture.pairs.keys().copied().collect();
        for id in &ids {
            torture.talk.driver.hang_up(*id, HangUpHow::Close);
            torture.pairs.get_mut(id).expect("a stream of ours").is_hung_up = true;
        }
        let enough = torture.ended + ids.len();
        for _ in 0..1_000 {
            if torture.ended >= enough {
                break;
            }
            torture.talk.driver.turn(Wait::For(Duration::from_millis(5))).expect("turn");
            torture.take();
        }
        assert!(torture.ended >= enough, "seed {seed}: {} of {enough} ended", torture.ended);
        assert!(torture.ended > 50, "seed {seed}: something happened");
    }
}
