//! Hanging up in each stage, and peers that do.

use std::{
    io::ErrorKind,
    net::{Shutdown, SocketAddr},
    os::unix::net::UnixStream,
    time::Duration,
};

use bytes::BytesMut;
use socket2::{Domain, SockRef, Socket, Type};
use uturn::io::{Driver, Event, HangUpHow, Receive, Remote, Settings, StreamEvent, Wait, sockets};

use super::talk::{Talk, connected, fill, rest, until, write};
use crate::node::V4;

pub(crate) fn a_quiet_stream_closes_with_a_fin<D: Driver>(new: fn(&Settings) -> D) {
    let mut talk = Talk::new(new(&Settings::default()));
    for _ in 0..3 {
        let (client, stream) = talk.client();
        talk.driver.hang_up(stream, HangUpHow::Close);
        talk.driver.hang_up(stream, HangUpHow::Close);
        talk.driver.write(stream, BytesMut::from(&b"too late"[..]));
        assert_eq!(talk.closed(stream), None);
        assert_eq!(rest(client).expect("a FIN"), b"");
    }
}

pub(crate) fn what_was_written_arrives_before_the_end<D: Driver>(new: fn(&Settings) -> D) {
    let mut talk = Talk::new(new(&Settings::default()));
    let (client, stream) = talk.client();
    talk.write(stream, b"last words");
    talk.driver.hang_up(stream, HangUpHow::Close);
    assert_eq!(talk.closed(stream), None);
    assert_eq!(rest(client).expect("a FIN"), b"last words");
}

pub(crate) fn a_reset_is_seen_by_the_peer<D: Driver>(new: fn(&Settings) -> D) {
    let mut talk = Talk::new(new(&Settings::default()));
    let (client, stream) = talk.client();
    talk.driver.hang_up(stream, HangUpHow::Reset);
    assert_eq!(talk.closed(stream), None);
    assert_eq!(rest(client).expect_err("no FIN").kind(), ErrorKind::ConnectionReset);
}

pub(crate) fn a_write_that_waits_ends_with_the_stream<D: Driver>(new: fn(&Settings) -> D) {
    for how in [HangUpHow::Close, HangUpHow::Reset] {
        let mut talk = Talk::new(new(&Settings::default()));
        let (client, stream) = talk.client();
        let written = fill(&mut talk, stream);
        talk.driver.hang_up(stream, how);
        assert_eq!(talk.closed(stream), None);
        match (how, rest(client)) {
            (HangUpHow::Close, Ok(rest)) => assert!(rest.len() >= written),
            (HangUpHow::Reset, Err(error)) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
            (how, rest) => panic!("{how:?}: {rest:?}"),
        }
    }
}

/// Neither bytes that wait in the socket nor those that wait in the driver surface.
pub(crate) fn unread_bytes_go_with_the_stream<D: Driver>(new: fn(&Settings) -> D) {
    let mut talk = Talk::new(new(&Settings::default()));
    for is_paused in [false, true] {
        let (client, stream) = talk.client();
        if is_paused {
            talk.driver.pause(stream);
        }
        talk.driver.turn(Wait::None).expect("turn");
        write(&client, b"unread");
        talk.driver.turn(Wait::For(Duration::from_millis(20))).expect("turn");
        talk.driver.hang_up(stream, HangUpHow::Close);
        assert_eq!(talk.closed(stream), None);
        assert_ne!(rest(client).ok(), Some(b"unread".to_vec()));
    }
}

pub(crate) fn a_stream_can_be_hung_up_before_it_reads<D: Driver>(new: fn(&Settings) -> D) {
    let mut talk = Talk::new(new(&Settings::default()));
    let client = connected(talk.address);
    write(&client, b"early");
    let mut accepted = None;
    talk.until(|driver, event| match event {
        StreamEvent::Accepted { stream, .. } => {
            driver.hang_up(stream, HangUpHow::Reset);
            accepted = Some(stream);
            false
        }
        StreamEvent::Closed(stream, None) => Some(stream) == accepted,
        event => panic!("{event:?}"),
    });
}

pub(crate) fn a_peer_that_resets_closes_the_stream<D: Driver>(new: fn(&Settings) -> D) {
    let mut talk = Talk::new(new(&Settings::default()));
    let (client, stream) = talk.client();
    SockRef::from(&client).set_linger(Some(Duration::ZERO)).expect("TCP");
    drop(client);
    assert_eq!(talk.closed(stream), Some(libc::ECONNRESET));
    let (client, stream) = talk.client();
    fill(&mut talk, stream);
    drop(client);
    // The kernel tells the error once: to the receive, or to the write. Then the receive ends.
    talk.until(|_, event| match event {
        StreamEvent::Finished(finished) => finished != stream,
        StreamEvent::Closed(closed, errno) => {
            assert!([Some(libc::ECONNRESET), Some(libc::EPIPE)].contains(&errno), "{errno:?}");
            closed == stream
        }
        event => panic!("{event:?}"),
    });
}

pub(crate) fn a_write_behind_a_broken_stream_is_nothing<D: Driver>(new: fn(&Settings) -> D) {
    let mut talk = Talk::new(new(&Settings::default()));
    let (client, stream) = talk.client();
    client.shutdown(Shutdown::Both).expect("open");
    drop(client);
    talk.until(|_, event| matches!(event, StreamEvent::Finished(_)));
    let mut written = 0;
    talk.driver.write(stream, BytesMut::from(&b"to nobody"[..]));
    talk.until(|driver, event| match event {
        StreamEvent::Written(..) if written < 100 => {
            written += 1;
            driver.write(stream, BytesMut::from(&b"to nobody"[..]));
            false
        }
        StreamEvent::Closed(closed, errno) => {
            assert!([Some(libc::ECONNRESET), Some(libc::EPIPE)].contains(&errno), "{errno:?}");
            closed == stream
        }
        event => panic!("{event:?}"),
    });
}

/// A listener on loopback that lets nobody in any more, and those that fill it.
fn full_listener() -> (Socket, SocketAddr, Vec<Socket>) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let any: SocketAddr = V4.parse().expect("an address");
    listener.bind(&any.into()).expect("loopback");
    listener.listen(0).expect("bound");
    let to = listener.local_addr().expect("bound").as_socket().expect("of IP");
    let fills = (0..4).map(|_| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), None).expect("a socket");
        // In progress, for good.
        let _ = socket.connect(&to.into());
        socket
    });
    let fills = fills.collect();
    std::thread::sleep(Duration::from_millis(50));
    (listener, to, fills)
}

pub(crate) fn a_connect_under_way_can_be_hung_up<D: Driver>(new: fn(&Settings) -> D) {
    let mut talk = Talk::new(new(&Settings::default()));
    let (_listener, to, _fills) = full_listener();
    for turns in 0..3 {
        let stream = talk.driver.connect(Remote::Tcp { from: None, to }).expect("room");
        for _ in 0..turns {
            talk.driver.turn(Wait::For(Duration::from_millis(20))).expect("turn");
        }
        assert!(talk.driver.next().is_none());
        talk.driver.hang_up(stream, HangUpHow::Close);
        assert_eq!(talk.closed(stream), None);
    }
}

pub(crate) fn a_driver_ends_with_streams_under_way<D: Driver>(new: fn(&Settings) -> D) {
    let mut talk = Talk::new(new(&Settings::default()));
    let address = talk.address;
    let (quiet, _) = talk.client();
    let (stuck, stream) = talk.client();
    let written = fill(&mut talk, stream);
    let (unheard, _) = talk.client();
    write(&unheard, b"nobody reads this");
    let (_listener, to, _fills) = full_listener();
    talk.driver.connect(Remote::Tcp { from: None, to }).expect("room");
    talk.driver.turn(Wait::For(Duration::from_millis(20))).expect("turn");
    drop(talk);
    assert_eq!(rest(quiet).expect("a FIN"), b"");
    assert!(rest(stuck).expect("a FIN").len() >= written);
    sockets::ensure_stream_free(address, crate::node::PATIENCE).expect("nobody listens");
}

pub(crate) fn another_stream_under_a_number_gets_nothing_of_the_first<D: Driver>(
    new: fn(&Settings) -> D,
) {
    let mut talk = Talk::new(new(&Settings { streams: 1, ..Settings::default() }));
    for round in 0..100_u32 {
        let (client, stream) = talk.client();
        let mark = round.to_be_bytes();
        write(&client, &mark);
        assert_eq!(talk.read(stream, 4), mark);
        write(&client, &mark);
        if round % 2 == 0 {
            talk.driver.write(stream, BytesMut::from(&mark[..]));
        }
        talk.driver.hang_up(stream, HangUpHow::Reset);
        assert_eq!(talk.closed(stream), None);
        assert!(talk.driver.next().is_none_or(|event| !matches!(event, Event::Stream(_))));
    }
}

/// A kernel's multishot receive that has just taken bytes may miss the end of a unix stream that
/// comes with them.
pub(crate) fn an_end_right_behind_bytes_is_never_missed<D: Driver>(new: fn(&Settings) -> D) {
    const ROUNDS: usize = 2_000;
    let mut driver = new(&Settings::default());
    let (to_writer, from_here) = std::sync::mpsc::channel::<UnixStream>();
    let writing = std::thread::spawn(move || {
        for stream in from_here {
            write(&stream, &[7; 123]);
            stream.shutdown(Shutdown::Write).expect("open");
        }
    });
    for round in 0..ROUNDS {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let stream = driver.adopt(ours.into(), Receive::Now).expect("room");
        if round % 2 == 0 {
            driver.turn(Wait::None).expect("turn");
        }
        to_writer.send(theirs).expect("a thread");
        let mut bytes = 0;
        until(&mut driver, |driver, event| {
            match event {
                StreamEvent::Bytes(_, lease) => bytes += lease.payload().len(),
                StreamEvent::Finished(_) => driver.hang_up(stream, HangUpHow::Close),
                StreamEvent::Closed(..) => return true,
                event => panic!("{event:?}"),
            }
            false
        });
        assert_eq!(bytes, 123, "round {round}");
    }
    drop(to_writer);
    writing.join().expect("no panic");
}
