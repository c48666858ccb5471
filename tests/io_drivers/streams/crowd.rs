//! Many streams at once.

use std::{
    collections::HashMap,
    net::{SocketAddr, TcpStream},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use uturn::io::{Driver, Event, HangUpHow, Settings, StreamEvent, Wait, sockets};

use super::talk::{Talk, connected, content, write};
use crate::node::{PATIENCE, V4, numbered, open, outside};

/// One crowd at a time: descriptors are the process's.
static DESCRIPTORS: Mutex<()> = Mutex::new(());

pub(crate) fn thousands_that_say_nothing_come_and_go<D: Driver>(new: fn(&Settings) -> D) {
    const SPARE: u64 = 2_000;
    let _alone = DESCRIPTORS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let limit = sockets::raise_file_limit().expect("the hard one");
    let most = (limit.saturating_sub(SPARE) / 2).clamp(100, 10_000) as usize;
    let mut talk = Talk::new(new(&Settings { streams: most as u32, ..Settings::default() }));
    for round in 0..2 {
        let crowd = if round == 0 { most } else { most.min(500) };
        let address = talk.address;
        let coming = thread::spawn(move || -> Vec<TcpStream> {
            (0..crowd).map(|_| connected(address)).collect()
        });
        let mut accepted = 0;
        talk.until(|_, event| {
            assert!(matches!(event, StreamEvent::Accepted { .. }), "{event:?}");
            accepted += 1;
            accepted == crowd
        });
        let clients = coming.join().expect("no panic");
        talk.sleeps(Duration::from_millis(100));
        drop(clients);
        let mut closed = 0;
        talk.until(|driver, event| {
            match event {
                StreamEvent::Finished(stream) => driver.hang_up(stream, HangUpHow::Close),
                StreamEvent::Closed(..) => closed += 1,
                event => panic!("{event:?}"),
            }
            closed == crowd
        });
    }
    assert_eq!(talk.driver.counters().accepted, (most + most.min(500)) as u64);
    assert_eq!(talk.driver.counters().accepts_refused, 0);
}

/// However long turns are, a storm of connections is taken in few of them: with eight a turn, the
/// backlog was full for as long as it went on.
pub(crate) fn a_full_backlog_is_taken_in_few_turns<D: Driver>(new: fn(&Settings) -> D) {
    const CROWD: usize = 600;
    let _alone = DESCRIPTORS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    sockets::raise_file_limit().expect("the hard one");
    let mut talk = Talk::new(new(&Settings { streams: 10_000, ..Settings::default() }));
    talk.sleeps(Duration::from_millis(10));
    let clients: Vec<TcpStream> = (0..CROWD).map(|_| connected(talk.address)).collect();
    let turns = talk.driver.counters().turns;
    let mut accepted = 0;
    talk.until(|_, event| {
        assert!(matches!(event, StreamEvent::Accepted { .. }), "{event:?}");
        accepted += 1;
        accepted == CROWD
    });
    let turns = talk.driver.counters().turns - turns;
    assert!(turns <= 16, "{turns} turns");
    drop(clients);
}

/// Each has taken more at once than a quiet listener does: what their accepts claimed then is not
/// kept from the one that clients use.
pub(crate) fn many_listeners_behind_a_burst_leave_places<D: Driver>(new: fn(&Settings) -> D) {
    const LISTENERS: usize = 32;
    const BURST: usize = 16;
    let _alone = DESCRIPTORS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let streams = (LISTENERS * BURST) as u32;
    let mut talk = Talk::new(new(&Settings { streams, ..Settings::default() }));
    for _ in 0..LISTENERS {
        let any = V4.parse().expect("an address");
        let listener = sockets::stream_listening(any, PATIENCE).expect("loopback");
        let to = listener.local_addr().expect("bound");
        talk.driver.accept(listener).expect("room");
        takes(&mut talk, to, BURST);
    }
    let address = talk.address;
    takes(&mut talk, address, 4 * BURST);
    assert_eq!(talk.driver.counters().accepts_refused, 0);
}

/// So many connect at once, are taken all, and go.
fn takes<D: Driver>(talk: &mut Talk<D>, to: SocketAddr, crowd: usize) {
    let clients: Vec<TcpStream> = (0..crowd).map(|_| connected(to)).collect();
    let mut accepted = Vec::new();
    talk.until(|_, event| {
        let StreamEvent::Accepted { stream, .. } = event else { panic!("{event:?}") };
        accepted.push(stream);
        accepted.len() == crowd
    });
    accepted.iter().for_each(|stream| talk.driver.hang_up(*stream, HangUpHow::Close));
    let mut closed = 0;
    talk.until(|_, event| {
        closed += usize::from(matches!(event, StreamEvent::Closed(..)));
        closed == crowd
    });
    drop(clients);
}

/// More streams speak at once than there are buffers, beside datagrams. Leases are kept until they
/// have run out, which no worker does.
pub(crate) fn chatty_streams_take_no_buffer_of_datagrams<D: Driver>(new: fn(&Settings) -> D) {
    const STREAMS: usize = 400;
    const BYTES: usize = 50_000;
    const DATAGRAMS: usize = 500;
    let _alone = DESCRIPTORS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut talk = Talk::new(new(&Settings::default()));
    let (socket, at) = open(&mut talk.driver, V4);
    let (peer, _) = outside(V4);
    let clients: Vec<_> = (0..STREAMS).map(|_| talk.client()).collect();
    for (client, _) in &clients {
        write(client, &content(BYTES));
    }
    for number in 0..DATAGRAMS {
        peer.send_to(&numbered(number, 200), at).expect("sent");
    }
    let mut bytes: HashMap<_, Vec<u8>> = HashMap::new();
    let (mut datagrams, mut kept) = (0, Vec::new());
    let give_up = Instant::now() + Duration::from_secs(20);
    let is_whole = |bytes: &HashMap<_, Vec<u8>>| {
        bytes.len() == STREAMS && bytes.values().all(|bytes| bytes.len() == BYTES)
    };
    while datagrams < DATAGRAMS || !is_whole(&bytes) {
        assert!(Instant::now() < give_up, "{datagrams}, {:?}", talk.driver.counters());
        let is_starved = talk.driver.counters().stream_starved > 0;
        if is_starved {
            kept.clear();
        }
        talk.driver.turn(Wait::For(Duration::from_secs(1))).expect("turn");
        while let Some(event) = talk.driver.next() {
            match event {
                Event::Stream(StreamEvent::Bytes(stream, lease)) => {
                    bytes.entry(stream).or_default().extend_from_slice(lease.payload());
                    if !is_starved {
                        kept.push(lease);
                    }
                }
                Event::Received(received) if received.socket == socket => {
                    datagrams += received.segments();
                }
                event => panic!("{event:?}"),
            }
        }
    }
    assert!(bytes.values().all(|bytes| *bytes == content(BYTES)));
    let counters = talk.driver.counters();
    assert!(counters.stream_starved > 0, "{counters:?}");
    assert_eq!(counters.starved, 0, "{counters:?}");
}
