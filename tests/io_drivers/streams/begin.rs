//! Accepting, connecting and adopting.

use std::{
    io::ErrorKind,
    net::{SocketAddr, TcpListener},
    os::{
        fd::OwnedFd,
        unix::net::{UnixListener, UnixStream},
    },
    thread,
    time::Duration,
};

use bytes::BytesMut;
use uturn::io::{
    Driver, HangUpHow, Receive, Remote, Settings, StreamEvent, StreamId, Wait, sockets,
};

use super::talk::{Talk, connected, is_written, read, rest, write};
use crate::node::{PATIENCE, V4, V6};

pub(crate) fn both_ends_of_a_connection_are_told<D: Driver>(new: fn(&Settings) -> D) {
    for local in [V4, V6, "0.0.0.0:0", "[::]:0"] {
        let mut talk = Talk::on(new(&Settings::default()), local);
        let mut to = talk.address;
        if to.ip().is_unspecified() {
            let ip = if to.is_ipv4() { V4 } else { V6 };
            to.set_ip(ip.parse::<SocketAddr>().expect("an address").ip());
        }
        let client = connected(to);
        let (from, expected) = (client.local_addr().expect("connected"), talk.acceptor);
        talk.until(|_, event| {
            let StreamEvent::Accepted { acceptor, peer, local, .. } = event else {
                panic!("{event:?}")
            };
            assert_eq!((acceptor, peer, local), (expected, from, to));
            true
        });
    }
}

pub(crate) fn two_listeners_are_told_apart<D: Driver>(new: fn(&Settings) -> D) {
    let mut talk = Talk::new(new(&Settings::default()));
    let any = V4.parse().expect("an address");
    let second = sockets::stream_listening(any, PATIENCE).expect("loopback");
    let to = second.local_addr().expect("bound");
    let second = talk.driver.accept(second).expect("room");
    let clients = [talk.address, to, talk.address].map(connected);
    let mut accepted = Vec::new();
    talk.until(|_, event| {
        let StreamEvent::Accepted { acceptor, local, .. } = event else { panic!("{event:?}") };
        assert_eq!(acceptor == second, local == to);
        accepted.push(acceptor);
        accepted.len() == clients.len()
    });
}

pub(crate) fn a_full_table_waits_and_goes_on<D: Driver>(new: fn(&Settings) -> D) {
    let mut talk = Talk::new(new(&Settings { streams: 2, ..Settings::default() }));
    let clients = [(); 3].map(|()| connected(talk.address));
    let first = talk.accepted();
    talk.accepted();
    talk.sleeps(Duration::from_millis(100));
    let full = |error: std::io::Error| error.raw_os_error() == Some(libc::EMFILE);
    let spare: OwnedFd = connected(talk.address).into();
    assert!(talk.driver.adopt(spare, Receive::Now).is_err_and(full));
    let remote = Remote::Tcp { from: None, to: talk.address };
    assert!(talk.driver.connect(remote).is_err_and(full));
    talk.driver.hang_up(first, HangUpHow::Close);
    assert_eq!(talk.closed(first), None);
    assert_eq!(talk.accepted(), first, "the number is used again");
    drop(clients);
}

/// Accepts that are under way have no place of their own when others come in between.
pub(crate) fn a_place_that_was_taken_meanwhile_costs_one_connection<D: Driver>(
    new: fn(&Settings) -> D,
) {
    let mut talk = Talk::new(new(&Settings { streams: 2, ..Settings::default() }));
    talk.driver.turn(Wait::None).expect("turn");
    let pairs = [(); 2].map(|()| UnixStream::pair().expect("a pair"));
    let adopted = pairs.map(|(ours, theirs)| {
        (talk.driver.adopt(ours.into(), Receive::Now).expect("room"), theirs)
    });
    let first = connected(talk.address);
    let second = connected(talk.address);
    talk.driver.turn(Wait::For(Duration::from_millis(50))).expect("turn");
    for client in [first, second] {
        assert!(!matches!(rest(client), Ok(bytes) if !bytes.is_empty()), "nobody speaks to it");
    }
    assert_eq!(talk.driver.counters().accepts_refused, 2);
    let waiting = connected(talk.address);
    talk.sleeps(Duration::from_millis(50));
    talk.driver.hang_up(adopted[1].0, HangUpHow::Close);
    assert_eq!(talk.closed(adopted[1].0), None);
    let stream = talk.accepted();
    talk.write(stream, b"welcome");
    assert_eq!(read(&waiting, 7), b"welcome");
}

pub(crate) fn a_listener_that_is_stopped_takes_nobody<D: Driver>(new: fn(&Settings) -> D) {
    let mut talk = Talk::new(new(&Settings::default()));
    let (client, stream) = talk.client();
    let late = connected(talk.address);
    talk.driver.turn(Wait::For(PATIENCE)).expect("turn");
    talk.driver.stop_accepting(talk.acceptor);
    talk.sleeps(Duration::from_millis(50));
    assert!(!matches!(rest(late), Ok(bytes) if !bytes.is_empty()), "nobody speaks to it");
    sockets::ensure_stream_free(talk.address, PATIENCE).expect("nobody listens");
    talk.write(stream, b"still here");
    assert_eq!(read(&client, 10), b"still here");
}

/// Those that the kernel has taken and nobody has asked for are told as well, whether they have
/// spoken or not.
pub(crate) fn who_waits_at_a_listener_that_is_stopped_hears_of_it<D: Driver>(
    new: fn(&Settings) -> D,
) {
    let mut talk = Talk::new(new(&Settings { streams: 2, ..Settings::default() }));
    let waiting: Vec<_> = (0..20).map(|_| connected(talk.address)).collect();
    waiting.iter().skip(2).step_by(2).for_each(|client| write(client, b"first words"));
    talk.accepted();
    talk.accepted();
    talk.driver.stop_accepting(talk.acceptor);
    talk.sleeps(Duration::from_millis(50));
    for client in waiting.into_iter().skip(2) {
        match rest(client) {
            Ok(bytes) => assert!(bytes.is_empty(), "nobody speaks to it"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
}

/// Where the answer to a connect is told.
fn connects<D: Driver>(driver: &mut D, stream: StreamId) -> Result<(), Option<i32>> {
    let mut answer = None;
    super::talk::until(driver, |_, event| {
        answer = match event {
            StreamEvent::Connected(connected) if connected == stream => Some(Ok(())),
            StreamEvent::Closed(closed, errno) if closed == stream => Some(Err(errno)),
            event => panic!("{event:?}"),
        };
        true
    });
    answer.expect("one of both")
}

fn speak<D: Driver>(
    driver: &mut D,
    stream: StreamId,
    outside: &mut (impl std::io::Read + std::io::Write),
) {
    driver.write(stream, BytesMut::from(&b"hello"[..]));
    super::talk::until(driver, |_, event| is_written(&event, stream));
    assert_eq!(read(&mut *outside, 5), b"hello");
    write(&mut *outside, b"and back");
    super::talk::until(
        driver,
        |_, event| matches!(event, StreamEvent::Bytes(_, lease) if lease.payload() == b"and back"),
    );
}

pub(crate) fn a_connect_reaches_who_listens<D: Driver>(new: fn(&Settings) -> D) {
    for local in [V4, V6] {
        let mut driver = new(&Settings::default());
        let listener = TcpListener::bind(local).expect("loopback");
        let to = listener.local_addr().expect("bound");
        let stream = driver.connect(Remote::Tcp { from: None, to }).expect("room");
        assert_eq!(connects(&mut driver, stream), Ok(()));
        let (mut outside, _) = listener.accept().expect("connected");
        speak(&mut driver, stream, &mut outside);
    }
}

/// Connections leave from the port that their relay address listens on.
pub(crate) fn a_connect_leaves_from_an_address_in_use<D: Driver>(new: fn(&Settings) -> D) {
    let mut talk = Talk::new(new(&Settings::default()));
    let from = Some(talk.address);
    let mut peers = Vec::new();
    for _ in 0..2 {
        let listener = TcpListener::bind(V4).expect("loopback");
        let to = listener.local_addr().expect("bound");
        let stream = talk.driver.connect(Remote::Tcp { from, to }).expect("room");
        assert_eq!(connects(&mut talk.driver, stream), Ok(()));
        let (mut outside, peer) = listener.accept().expect("connected");
        assert_eq!(peer, talk.address);
        speak(&mut talk.driver, stream, &mut outside);
        peers.push(outside);
    }
    let elsewhere = Some("192.0.2.1:40000".parse().expect("an address"));
    let error = talk.driver.connect(Remote::Tcp { from: elsewhere, to: talk.address });
    assert_eq!(error.expect_err("nobody's address").kind(), ErrorKind::AddrNotAvailable);
}

pub(crate) fn a_connect_that_is_refused_is_closed<D: Driver>(new: fn(&Settings) -> D) {
    let mut driver = new(&Settings::default());
    let to = TcpListener::bind(V4).and_then(|it| it.local_addr()).expect("loopback");
    for _ in 0..3 {
        let stream = driver.connect(Remote::Tcp { from: None, to }).expect("room");
        assert_eq!(stream, StreamId::new(0), "its number is free again");
        assert_eq!(connects(&mut driver, stream), Err(Some(libc::ECONNREFUSED)));
    }
}

pub(crate) fn a_unix_socket_is_a_stream_too<D: Driver>(new: fn(&Settings) -> D) {
    let mut driver = new(&Settings::default());
    let name = format!("uturn-io-{}-{:?}", std::process::id(), thread::current().id());
    let path = std::env::temp_dir().join(name);
    let stream = driver.connect(Remote::Unix(&path)).expect("room");
    assert_eq!(connects(&mut driver, stream), Err(Some(libc::ENOENT)));
    let listener = UnixListener::bind(&path).expect("a path");
    let stream = driver.connect(Remote::Unix(&path)).expect("room");
    assert_eq!(connects(&mut driver, stream), Ok(()));
    std::fs::remove_file(&path).expect("there it was");
    let (mut outside, _) = listener.accept().expect("connected");
    speak(&mut driver, stream, &mut outside);
    drop(outside);
    super::talk::until(&mut driver, |_, event| matches!(event, StreamEvent::Finished(_)));
}

pub(crate) fn an_adopted_stream_reads_when_it_is_to<D: Driver>(new: fn(&Settings) -> D) {
    let mut driver = new(&Settings::default());
    let (ours, mut theirs) = UnixStream::pair().expect("a pair");
    ours.set_nonblocking(true).expect("a socket");
    write(&theirs, b"early");
    let stream = driver.adopt(ours.into(), Receive::Paused).expect("room");
    driver.turn(Wait::For(Duration::from_millis(50))).expect("turn");
    assert!(driver.next().is_none());
    driver.unpause(stream);
    super::talk::until(
        &mut driver,
        |_, event| matches!(event, StreamEvent::Bytes(_, lease) if lease.payload() == b"early"),
    );
    speak(&mut driver, stream, &mut theirs);
}
