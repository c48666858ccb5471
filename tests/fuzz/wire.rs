//! Bytes to meaning: whatever comes, the same however it is cut.

use std::{fmt::Debug, net::SocketAddr};

use uturn::wire::{
    AttributeType, ChannelData, Delimited, First, Glance, MOST_FRAME_BYTES, MOST_HELLO_BYTES,
    MOST_PROXY_BYTES, Message, PacketKind, Peeked, ProxyHeader, WRITTEN_PROXY_BYTES, delimit,
    first, hello, proxy, run, write_proxy,
};

use super::engine::fuzz;

#[test]
fn a_datagram_is_a_message_a_frame_or_neither() {
    fuzz("datagram", |datagram| {
        if PacketKind::of(datagram) == PacketKind::ChannelData {
            assert!(Message::parse(datagram).is_err(), "both a frame and a message");
        }
        if let Ok(frame) = ChannelData::parse(datagram) {
            assert_eq!(PacketKind::of(datagram), PacketKind::ChannelData);
            assert!(frame.payload().end <= datagram.len());
        }
        if let Ok(message) = Message::parse(datagram) {
            read_message(datagram, &message);
        }
        for segment_bytes in [0, 1, 4, 20, datagram.len()] {
            let alike = run(datagram, segment_bytes);
            assert!(alike >= 1 && (alike - 1) * segment_bytes.max(1) <= datagram.len());
        }
    });
}

fn read_message(datagram: &[u8], message: &Message<'_>) {
    let shown = Glance::of(datagram).expect("a message shows its header");
    assert_eq!((shown.method, shown.class), (message.method(), message.class()));
    let credentials = shown.credentials();
    assert_eq!(credentials.has_integrity, message.has_integrity());
    assert_eq!(credentials.nonce, message.nonce());
    let values = message.attributes().map(|attribute| attribute.value.len()).sum::<usize>();
    assert!(values <= datagram.len());
    let peers = message.peers().count();
    assert!(peers * 12 <= datagram.len(), "{peers} peers");
    // Each says what it finds, or that it is malformed.
    _ = (message.lifetime_s(), message.channel_number(), message.requested_transport());
    _ = (message.requested_family(), message.additional_family(), message.even_port());
    _ = (message.reservation_token(), message.peer(), message.error_code(), message.data());
    _ = (message.username(), message.realm(), message.dont_fragment(), message.fingerprint());
    for kind in [AttributeType::XOR_MAPPED_ADDRESS, AttributeType::XOR_RELAYED_ADDRESS] {
        _ = message.xor_address(kind);
    }
}

/// Cuts a stream where its length says, and at both ends.
fn prefixes(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let step = 1 + stream.len() / 64;
    (0..stream.len()).step_by(step).chain(stream.len().checked_sub(1)).map(|end| &stream[..end])
}

/// The law of every look at the beginning of a stream.
fn holds_however_cut<T: Debug + PartialEq>(
    stream: &[u8],
    most_bytes: usize,
    look: impl Fn(&[u8]) -> Peeked<T>,
) {
    let whole = look(stream);
    for prefix in prefixes(stream) {
        match look(prefix) {
            Peeked::Short => assert!(prefix.len() < most_bytes, "it waits for ever"),
            verdict => assert_eq!(verdict, whole, "{} of {} bytes", prefix.len(), stream.len()),
        }
    }
}

#[test]
fn a_client_hello_is_one_however_it_is_cut() {
    fuzz("hello", |stream| holds_however_cut(stream, MOST_HELLO_BYTES, hello));
}

#[test]
fn a_proxy_header_is_one_however_it_is_cut() {
    fuzz("proxy", |stream| {
        holds_however_cut(stream, MOST_PROXY_BYTES, proxy);
        let Peeked::Whole(ProxyHeader { bytes, client }) = proxy(stream) else { return };
        assert!(bytes <= stream.len().min(MOST_PROXY_BYTES));
        let Some((source, destination)) = client else { return };
        let mut out = [0; WRITTEN_PROXY_BYTES];
        let written = write_proxy(&mut out, source, destination);
        let Peeked::Whole(again) = proxy(written) else { panic!("unreadable: {written:?}") };
        let canonical = |it: SocketAddr| SocketAddr::new(it.ip().to_canonical(), it.port());
        let both = |(source, destination)| (canonical(source), canonical(destination));
        assert_eq!(again.client.map(both), Some(both((source, destination))));
    });
}

#[test]
fn first_bytes_say_the_same_when_more_have_come() {
    fuzz("first", |stream| {
        let whole = first(stream);
        for prefix in prefixes(stream) {
            let verdict = first(prefix);
            assert!(verdict == First::Short || verdict == whole, "{verdict:?}, then {whole:?}");
        }
        if let (Delimited::Frame { .. }, PacketKind::Stun) =
            (delimit(stream), PacketKind::of(stream))
        {
            assert_eq!(whole, First::Stun);
        }
    });
}

#[test]
fn a_stream_has_the_same_frames_however_it_is_cut() {
    fuzz("frames", |stream| {
        let mut rest = stream;
        while let Delimited::Frame { bytes, padded } = delimit(rest) {
            assert!(bytes >= 4 && bytes <= padded && padded <= rest.len().min(MOST_FRAME_BYTES));
            for cut in prefixes(&rest[..padded]) {
                let Delimited::Short { wants } = delimit(cut) else { panic!("too early") };
                assert!(cut.len() < wants && wants <= padded, "{wants} of {padded}");
            }
            if let Ok(frame) = ChannelData::parse(&rest[..padded]) {
                assert_eq!(frame.payload().end, bytes);
            }
            rest = &rest[padded..];
        }
        match delimit(rest) {
            Delimited::Frame { .. } => unreachable!("the loop has taken it"),
            Delimited::Short { wants } => assert!(rest.len() < wants && wants <= MOST_FRAME_BYTES),
            Delimited::Broken => assert!(!rest.is_empty()),
        }
    });
}
