//! Bytes in order, in pieces of any size, to readers of any speed.

use std::{
    net::Shutdown,
    thread,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use uturn::io::{Driver, Event, Piece, Settings, StreamEvent, Wait};

use super::talk::{CHUNK, Talk, content, fill, is_written, read, rest, write};
use crate::node::{V4, V6, heard, open, outside};

pub(crate) fn single_bytes_come_in_order<D: Driver>(new: fn(&Settings) -> D) {
    for local in [V4, V6] {
        let mut talk = Talk::on(new(&Settings::default()), local);
        let (client, stream) = talk.client();
        let bytes = content(300);
        for (at, byte) in bytes.iter().enumerate() {
            write(&client, &[*byte]);
            if at % 3 == 0 {
                talk.driver.turn(Wait::None).expect("turn");
            }
        }
        assert_eq!(talk.read(stream, bytes.len()), bytes);
        for byte in &bytes {
            talk.write(stream, &[*byte]);
        }
        assert_eq!(read(&client, bytes.len()), bytes);
        let counters = talk.driver.counters();
        assert_eq!((counters.stream_bytes_in, counters.stream_bytes_out), (300, 300));
        assert_eq!((counters.accepted, counters.stream_writes), (1, 300));
    }
}

pub(crate) fn megabytes_reach_a_slow_reader_in_order<D: Driver>(new: fn(&Settings) -> D) {
    const BYTES: usize = 4 << 20;
    let mut talk = Talk::new(new(&Settings::default()));
    let (client, stream) = talk.client();
    let reading = thread::spawn(move || {
        let mut all = Vec::new();
        while all.len() < BYTES {
            all.extend(read(&client, (BYTES - all.len()).min(100_000)));
            thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(rest(&client).expect("a FIN"), b"");
        all
    });
    let bytes = content(BYTES);
    let mut chunks = bytes.chunks(CHUNK);
    let mut buffer = BytesMut::with_capacity(CHUNK);
    buffer.extend_from_slice(chunks.next().expect("the first"));
    talk.driver.write(stream, buffer);
    talk.until(|driver, event| {
        let StreamEvent::Written(_, mut buffer) = event else { panic!("{event:?}") };
        assert!(buffer.is_empty() && buffer.capacity() >= CHUNK, "all of it comes back");
        let Some(chunk) = chunks.next() else { return true };
        buffer.extend_from_slice(chunk);
        driver.write(stream, buffer);
        false
    });
    talk.driver.finish(stream);
    talk.driver.turn(Wait::None).expect("turn");
    assert_eq!(reading.join().expect("no panic"), bytes);
    assert_eq!(talk.driver.counters().stream_bytes_out, BYTES as u64);
}

pub(crate) fn megabytes_arrive_in_order_and_in_shares<D: Driver>(new: fn(&Settings) -> D) {
    const BYTES: usize = 8 << 20;
    const SHARE: usize = 64 * 1024 + CHUNK;
    let mut talk = Talk::new(new(&Settings::default()));
    let (client, _) = talk.client();
    let writing = thread::spawn(move || {
        write(&client, &content(BYTES));
        client.shutdown(Shutdown::Write).expect("open");
        client
    });
    let (mut all, mut turn, mut share) = (Vec::new(), 0, 0);
    talk.until(|driver, event| match event {
        StreamEvent::Bytes(_, lease) => {
            if driver.counters().turns != turn {
                (turn, share) = (driver.counters().turns, 0);
            }
            share += lease.payload().len();
            assert!(share <= SHARE, "{share} bytes in one turn");
            all.extend_from_slice(lease.payload());
            false
        }
        StreamEvent::Finished(_) => true,
        event => panic!("{event:?}"),
    });
    assert_eq!(all.len(), BYTES);
    assert!(all == content(BYTES));
    drop(writing.join().expect("no panic"));
}

pub(crate) fn a_fin_comes_behind_the_bytes_and_answers_still_go<D: Driver>(
    new: fn(&Settings) -> D,
) {
    let mut talk = Talk::new(new(&Settings::default()));
    let (client, stream) = talk.client();
    write(&client, b"question");
    client.shutdown(Shutdown::Write).expect("open");
    assert_eq!(talk.read(stream, 8), b"question");
    talk.until(|_, event| matches!(event, StreamEvent::Finished(finished) if finished == stream));
    talk.sleeps(Duration::from_millis(100));
    talk.write(stream, b"answer");
    talk.driver.finish(stream);
    talk.driver.turn(Wait::None).expect("turn");
    assert_eq!(rest(&client).expect("a FIN"), b"answer");
}

pub(crate) fn a_fin_waits_for_the_write_before_it<D: Driver>(new: fn(&Settings) -> D) {
    let mut talk = Talk::new(new(&Settings::default()));
    let (client, stream) = talk.client();
    let written = fill(&mut talk, stream);
    talk.driver.finish(stream);
    talk.sleeps(Duration::from_millis(50));
    let reading = thread::spawn(move || rest(&client).expect("a FIN"));
    talk.until(|_, event| is_written(&event, stream));
    talk.driver.turn(Wait::None).expect("turn");
    assert_eq!(reading.join().expect("no panic").len(), written + CHUNK);
}

pub(crate) fn a_write_that_waits_delays_no_datagram<D: Driver>(new: fn(&Settings) -> D) {
    let mut talk = Talk::new(new(&Settings::default()));
    let (_client, stream) = talk.client();
    fill(&mut talk, stream);
    talk.sleeps(Duration::from_millis(100));
    let (socket, _) = open(&mut talk.driver, V4);
    let (peer, to) = outside(V4);
    let begun = Instant::now();
    for number in 0..2_000_u32 {
        let mut lease = talk.driver.blank(100).expect("a buffer");
        let body = lease.range();
        lease.exclusive().expect("its only holder")[body.clone()].fill(number as u8);
        talk.driver.send(socket, to, Piece::single(lease, body).with_header(b"#"));
        if number % 16 == 0 {
            talk.driver.turn(Wait::None).expect("turn");
        }
    }
    talk.driver.turn(Wait::None).expect("turn");
    assert_eq!(talk.driver.counters().sent_datagrams, 2_000);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert_eq!(heard(&peer).len(), 101);
}

/// What a client sends goes to its peer out of the buffer that it came in.
pub(crate) fn bytes_of_a_stream_go_to_a_peer<D: Driver>(new: fn(&Settings) -> D) {
    let mut talk = Talk::new(new(&Settings::default()));
    let (client, _) = talk.client();
    let (socket, _) = open(&mut talk.driver, V4);
    let (peer, to) = outside(V4);
    for round in 0..600 {
        let bytes = content(200 + round);
        write(&client, &bytes);
        let mut sent = 0;
        talk.until(|driver, event| {
            let StreamEvent::Bytes(_, lease) = event else { panic!("{event:?}") };
            let body = lease.range();
            sent += body.len();
            driver.send(socket, to, Piece::single(lease, body));
            sent == bytes.len()
        });
        talk.driver.turn(Wait::None).expect("turn");
        let mut got = Vec::new();
        while got.len() < bytes.len() {
            got.extend(heard(&peer));
        }
        assert_eq!(got, bytes);
    }
    assert_eq!(talk.driver.counters().stream_starved, 0);
}

pub(crate) fn a_paused_stream_is_silent_and_loses_nothing<D: Driver>(new: fn(&Settings) -> D) {
    let mut talk = Talk::new(new(&Settings::default()));
    let (client, stream) = talk.client();
    write(&client, b"before");
    assert_eq!(talk.read(stream, 6), b"before");
    talk.driver.pause(stream);
    talk.driver.turn(Wait::None).expect("turn");
    assert!(talk.driver.next().is_none());
    write(&client, b"meanwhile");
    talk.sleeps(Duration::from_millis(100));
    for is_paused in [false, true, false, true, true, false] {
        if is_paused { talk.driver.pause(stream) } else { talk.driver.unpause(stream) }
    }
    assert_eq!(talk.read(stream, 9), b"meanwhile");
    talk.driver.pause(stream);
    talk.driver.turn(Wait::None).expect("turn");
    write(&client, b"after");
    drop(client);
    talk.sleeps(Duration::from_millis(100));
    talk.driver.unpause(stream);
    assert_eq!(talk.read(stream, 5), b"after");
    talk.until(|_, event| matches!(event, StreamEvent::Finished(_)));
}

/// Pauses at every step of a stream that does not pause.
pub(crate) fn pauses_lose_no_byte_of_a_busy_stream<D: Driver>(new: fn(&Settings) -> D) {
    const BYTES: usize = 2 << 20;
    let mut talk = Talk::new(new(&Settings::default()));
    let (client, stream) = talk.client();
    let writing = thread::spawn(move || write(&client, &content(BYTES)));
    let mut all: Vec<u8> = Vec::new();
    for round in 0.. {
        talk.driver.turn(Wait::For(Duration::from_millis(5))).expect("turn");
        while let Some(event) = talk.driver.next() {
            match event {
                Event::Stream(StreamEvent::Bytes(_, lease)) => all.extend(lease.payload()),
                Event::Stream(StreamEvent::Finished(_)) => {}
                event => panic!("{event:?}"),
            }
        }
        if all.len() == BYTES {
            break;
        }
        if round % 3 == 0 {
            talk.driver.pause(stream);
        } else {
            talk.driver.unpause(stream);
        }
        assert!(round < 100_000, "{} bytes", all.len());
    }
    assert!(all == content(BYTES));
    writing.join().expect("no panic");
}
