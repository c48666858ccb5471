//! What the relay never answers, because an answer could be turned against somebody: responses,
//! indications, what is not STUN, and what claims to come from where nobody can be.

use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};

use crate::client::{Client, allocate, channel_data, send_indication};
use crate::machine;
use crate::relay::{Relay, Setup};
use crate::stun::{Builder, Class, attribute, method, random_transaction};

/// Where the tests with raw sockets listen.
const ALONE: Ipv4Addr = Ipv4Addr::new(127, 9, 9, 9);

/// Sends each datagram from a fresh socket, wants silence, and then the relay's life sign.
fn expect_silence_for(datagrams: &[Vec<u8>]) {
    let relay = Relay::start();
    for datagram in datagrams {
        let mut client = Client::new(relay.v4());
        assert!(client.reaction(datagram).is_none(), "answered: {datagram:02x?}");
    }
    let mut client = Client::new(relay.v4());
    assert_eq!(client.request(&Builder::request(method::BINDING).bytes()).class, Class::Success);
}

// RFC 8489 §6.3.4: a response without a request of ours is discarded; if it were answered, two
// servers could be made to answer each other for ever.
#[test]
fn responses_are_never_answered() {
    let of = |method, class| Builder::new(method, class, random_transaction());
    let error = |method| of(method, Class::Error).attribute(attribute::ERROR_CODE, b"\0\0\x04\x00");
    expect_silence_for(&[
        of(method::BINDING, Class::Success).bytes(),
        error(method::BINDING).bytes(),
        of(method::ALLOCATE, Class::Success).udp_transport().bytes(),
        error(method::ALLOCATE).bytes(),
        error(method::REFRESH).attribute(0x7F01, &[]).bytes(),
    ]);
}

// RFC 8489 §6.3.2: no response is generated for an indication.
#[test]
fn indications_are_never_answered() {
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 40_000));
    expect_silence_for(&[
        Builder::indication(method::BINDING).bytes(),
        Builder::indication(method::BINDING).attribute(0x7F01, &[]).bytes(),
        Builder::indication(method::ALLOCATE).udp_transport().bytes(),
        send_indication(peer, b"hello").bytes(),
        Builder::indication(method::SEND).bytes(),
        Builder::indication(method::DATA).peer(peer).attribute(attribute::DATA, b"hello").bytes(),
    ]);
}

#[test]
fn what_is_not_stun_is_never_answered() {
    let mut without_cookie = Builder::request(method::BINDING).bytes();
    without_cookie[4..8].copy_from_slice(&[0; 4]);
    let mut bad_fingerprint = Builder::request(method::BINDING).fingerprint().bytes();
    *bad_fingerprint.last_mut().expect("not empty") ^= 1;
    let mut length_lies = Builder::request(method::BINDING).bytes();
    length_lies[3] = 4;
    let mut odd_length = Builder::request(method::BINDING).bytes();
    odd_length[3] = 1;
    odd_length.push(0);
    let whole = Builder::request(method::BINDING).bytes();
    expect_silence_for(&[
        Vec::new(),
        vec![0],
        whole[..19].to_vec(),
        [whole.as_slice(), &[0; 4]].concat(),
        without_cookie,
        bad_fingerprint,
        length_lies,
        odd_length,
        b"GET / HTTP/1.1\r\nHost: relay\r\n\r\n".to_vec(),
        vec![0x80; 200],
        vec![0xFF; 1400],
    ]);
}

// RFC 8489 §14.7: the fingerprint tells STUN from other protocols on the same port. One that is
// wrong says that this is not STUN, also when everything else is in order.
#[test]
fn a_wrong_fingerprint_on_an_authenticated_request_is_silence() {
    let relay = Relay::start();
    let mut client = Client::new(relay.v4());
    client.challenge();
    let mut request = client.sign(allocate());
    request.extend_from_slice(b"\x80\x28\x00\x04abcd");
    let length = u16::try_from(request.len() - 20).expect("short");
    request[2..4].copy_from_slice(&length.to_be_bytes());
    assert!(client.reaction(&request).is_none());
    client.allocate();
}

// RFC 8489 §6.3: an unknown method is silently discarded.
#[test]
fn unknown_methods_are_never_answered() {
    let unknown = [0x000, 0x002, 0x005, 0x00D, 0x0FF, 0xFFF];
    expect_silence_for(&unknown.map(|method| Builder::request(method).bytes()));
}

// RFC 8656 §12.6: ChannelData without an allocation or on an unbound channel is discarded.
#[test]
fn channel_data_of_a_stranger_is_never_answered() {
    expect_silence_for(&[
        channel_data(0x4000, b"hello"),
        channel_data(0x4FFF, b""),
        channel_data(0x7FFF, b"hello"),
        b"\x40\x00\xff\xffhello".to_vec(),
        b"\x40\x00".to_vec(),
    ]);
}

// Port 0 is nobody's; an answer to it would only be a packet more on the wire.
#[test]
fn source_port_0_is_never_answered() {
    let name = "source port 0 is never answered";
    let Some((sender, listener)) = raw_sockets() else {
        return machine::skip(name, "the right to open raw sockets (CAP_NET_RAW)");
    };
    let relay = Setup::new().listen(&[ALONE.into()]).start();
    let request = Builder::request(method::BINDING).bytes();
    let destination = relay.v4();
    let anybody = SocketAddr::from((ALONE, 0));
    sender
        .send_to(&udp_datagram(0, destination.port(), &request), &anybody.into())
        .expect("a raw datagram leaves");
    let control = udp_datagram(relay.ports.spare(), destination.port(), &request);
    sender.send_to(&control, &anybody.into()).expect("a raw datagram leaves");

    let answered: Vec<u16> = answers_from(&listener, destination.port());
    assert!(answered.contains(&relay.ports.spare()), "the control was not answered: {answered:?}");
    assert!(!answered.contains(&0), "an answer to port 0");
}

// A request that claims to come from one of the relay's own addresses would make it talk to itself.
#[test]
fn own_addresses_are_never_answered() {
    let name = "own addresses are never answered";
    let Some((sender, listener)) = raw_sockets() else {
        return machine::skip(name, "the right to open raw sockets (CAP_NET_RAW)");
    };
    let relay = Setup::new().listen(&[ALONE.into()]).start();
    let destination = relay.v4().port();
    let anybody = SocketAddr::from((ALONE, 0));
    let request = Builder::request(method::BINDING).bytes();
    for source in [destination, relay.ports.spare()] {
        let datagram = udp_datagram(source, destination, &request);
        sender.send_to(&datagram, &anybody.into()).expect("a raw datagram leaves");
    }
    let answered = answers_from(&listener, destination);
    assert!(answered.contains(&relay.ports.spare()), "the control was not answered: {answered:?}");
    assert!(!answered.contains(&destination), "an answer to itself");
}

/// One to send UDP datagrams with a source port of our choice, one that sees all that arrive; both
/// on an address that no other test has traffic on.
fn raw_sockets() -> Option<(Socket, Socket)> {
    let open = || Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::UDP));
    let (sender, listener) = (open().ok()?, open().ok()?);
    for socket in [&sender, &listener] {
        socket.bind(&SocketAddr::from((ALONE, 0)).into()).expect("an address of loopback");
    }
    let patience = std::time::Duration::from_millis(300);
    listener.set_read_timeout(Some(patience)).expect("a timeout");
    Some((sender, listener))
}

/// The destination ports of the Binding answers sent from `port`, until nothing more comes.
fn answers_from(mut listener: &Socket, port: u16) -> Vec<u16> {
    let mut destinations = Vec::new();
    let mut buffer = [0; 2048];
    while let Ok(length) = std::io::Read::read(&mut listener, &mut buffer) {
        let header_bytes = usize::from(buffer[0] & 0x0F) * 4;
        let udp = &buffer[header_bytes..length];
        let is_answer = udp.len() >= 28 && udp[8..10] == [0x01, 0x01];
        if is_answer && udp[..2] == port.to_be_bytes() {
            destinations.push(u16::from_be_bytes([udp[2], udp[3]]));
        }
    }
    destinations
}

/// UDP header and payload; a checksum of 0 says that there is none (RFC 768).
fn udp_datagram(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).expect("short");
    let header = [source, destination, length, 0].map(u16::to_be_bytes).concat();
    [header.as_slice(), payload].concat()
}
