//! Streams that move from one driver to another.

use std::{
    os::fd::{AsRawFd, OwnedFd},
    thread,
    time::Duration,
};

use bytes::BytesMut;
use uturn::io::{Driver, HangUpHow, Receive, Settings, StreamEvent, Wait};

use super::talk::{CHUNK, Talk, content, fill, is_written, read, rest, until, write};

/// Detaches a stream, of which nothing surfaces any more.
fn detached<D: Driver>(talk: &mut Talk<D>, from: uturn::io::StreamId) -> (OwnedFd, BytesMut) {
    talk.driver.detach(from);
    let mut gone = None;
    talk.until(|_, event| match event {
        StreamEvent::Detached { stream, socket, unread } => {
            assert_eq!(stream, from);
            gone = Some((socket, unread));
            true
        }
        event => panic!("{event:?}"),
    });
    gone.expect("until it was")
}

pub(crate) fn a_stream_goes_on_in_another_driver<D: Driver>(new: fn(&Settings) -> D) {
    const BYTES: usize = 1 << 20;
    let mut talk = Talk::new(new(&Settings::default()));
    let (client, mut stream) = talk.client();
    let (mut reader, writer) = (client.try_clone().expect("a descriptor"), client);
    let writing = thread::spawn(move || {
        let bytes = content(BYTES);
        bytes.chunks(1000).for_each(|chunk| write(&writer, chunk));
        writer
    });
    let mut all = Vec::new();
    for round in 0..20 {
        let enough = all.len() + 7_000 * round;
        if all.len() < BYTES {
            all.extend(talk.read(stream, (BYTES - all.len()).min(enough + 1 - all.len())));
        }
        // What has arrived and was not taken goes with it.
        talk.driver.turn(Wait::None).expect("turn");
        let (socket, unread) = detached(&mut talk, stream);
        all.extend_from_slice(&unread);
        let mut next = Talk::new(new(&Settings::default()));
        stream = next.driver.adopt(socket, Receive::Now).expect("room");
        talk = next;
    }
    all.extend(talk.read(stream, BYTES - all.len()));
    assert!(all == content(BYTES));
    talk.write(stream, b"arrived");
    assert_eq!(read(&mut reader, 7), b"arrived");
    drop((writing.join().expect("no panic"), reader));
    talk.until(|_, event| matches!(event, StreamEvent::Finished(_)));
}

/// Bytes behind the request that moves a stream come with it, in order.
pub(crate) fn bytes_behind_a_request_go_along<D: Driver>(new: fn(&Settings) -> D) {
    let mut talk = Talk::new(new(&Settings::default()));
    for in_flight in [false, true] {
        let (client, stream) = talk.client();
        write(&client, b"request");
        assert_eq!(talk.read(stream, 7), b"request");
        write(&client, b"at once ");
        talk.driver.turn(Wait::For(Duration::from_millis(50))).expect("turn");
        if in_flight {
            talk.driver.write(stream, BytesMut::from(&b"answer"[..]));
        }
        talk.driver.detach(stream);
        write(&client, b"and later");
        client.shutdown(std::net::Shutdown::Write).expect("open");
        let (mut gone, mut is_answered) = (None, false);
        talk.until(|_, event| {
            is_answered |= is_written(&event, stream);
            if let StreamEvent::Detached { socket, unread, .. } = event {
                gone = Some((socket, unread.to_vec()));
            }
            gone.is_some()
        });
        assert_eq!(is_answered, in_flight);
        let (socket, mut all) = gone.expect("until it was");
        assert_eq!(all, b"at once ", "it was read and not taken");
        let mut other = new(&Settings::default());
        other.adopt(socket, Receive::Now).expect("room");
        until(&mut other, |_, event| match event {
            StreamEvent::Bytes(_, lease) => {
                all.extend_from_slice(lease.payload());
                false
            }
            StreamEvent::Finished(_) => true,
            event => panic!("{event:?}"),
        });
        assert_eq!(all, b"at once and later");
        drop(other);
        let answer: &[u8] = if in_flight { b"answer" } else { b"" };
        assert_eq!(rest(&client).expect("a FIN"), answer);
    }
}

pub(crate) fn a_stream_leaves_behind_the_write_under_way<D: Driver>(new: fn(&Settings) -> D) {
    let mut talk = Talk::new(new(&Settings::default()));
    let (client, stream) = talk.client();
    let written = fill(&mut talk, stream);
    talk.driver.detach(stream);
    talk.sleeps(Duration::from_millis(50));
    let reading = thread::spawn(move || rest(&client).expect("a FIN"));
    talk.until(|_, event| is_written(&event, stream));
    let mut socket = None;
    talk.until(|_, event| {
        if let StreamEvent::Detached { socket: gone, .. } = event {
            socket = Some(gone);
        }
        socket.is_some()
    });
    drop(socket);
    assert_eq!(reading.join().expect("no panic").len(), written + CHUNK);
}

pub(crate) fn who_does_not_wait_for_the_write_hangs_up<D: Driver>(new: fn(&Settings) -> D) {
    let mut talk = Talk::new(new(&Settings::default()));
    let (_client, stream) = talk.client();
    fill(&mut talk, stream);
    talk.driver.detach(stream);
    talk.sleeps(Duration::from_millis(50));
    talk.driver.hang_up(stream, HangUpHow::Close);
    assert_eq!(talk.closed(stream), None);
}

pub(crate) fn a_detached_descriptor_is_the_only_one<D: Driver>(new: fn(&Settings) -> D) {
    let mut talk = Talk::new(new(&Settings::default()));
    let (client, stream) = talk.client();
    let (socket, unread) = detached(&mut talk, stream);
    assert!(unread.is_empty() && socket.as_raw_fd() >= 0);
    drop(socket);
    assert_eq!(rest(client).expect("a FIN"), b"");
}
