//! The test vectors of RFC 5769, and properties over whole messages.

use std::net::SocketAddr;

use proptest::prelude::{any, prop, proptest};

use super::{
    address::Family,
    attribute::AttributeType,
    error_code::ErrorCode,
    fingerprint::Fingerprint,
    header::{Class, Method, TransactionId},
    integrity::IntegrityKey,
    message::Message,
    writer::MessageWriter,
};
use crate::wire::channel::ChannelData;

// RFC 5769 §2.1
const REQUEST: &str = "
    00010058 2112a442 b7e7a701bc34d686fa87dfae
    80220010 5354554e207465737420636c69656e74
    00240004 6e0001ff
    80290008 932ff9b151263b36
    00060009 6576746a3a68367659202020
    00080014 9aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2
    80280004 e57a3bcf";

// RFC 5769 §2.2
const RESPONSE_V4: &str = "
    0101003c 2112a442 b7e7a701bc34d686fa87dfae
    8022000b 7465737420766563746f7220
    00200008 0001a147e112a643
    00080014 2b91f599fd9e90c38c7489f92af9ba53f06be7d7
    80280004 c07d4c96";

// RFC 5769 §2.3
const RESPONSE_V6: &str = "
    01010048 2112a442 b7e7a701bc34d686fa87dfae
    8022000b 7465737420766563746f7220
    00200014 0002a1470113a9faa5d3f179bc25f4b5bed2b9d9
    00080014 a382954e4be67bf11784c97c8292c275bfe3ed41
    80280004 c8fb0b4c";

// RFC 5769 §2.4
const LONG_TERM: &str = "
    00010060 2112a442 78ad3433c6ad72c029da412e
    00060012 e3839ee38388e383aae38383e382afe382b90000
    0015001c 662f2f3439396b39353464364f4c33346f4c39465354767936347341
    0014000b 6578616d706c652e6f726700
    00080014 f67024656dd64a3e02b8e0712e85c9a28ca89666";

const PASSWORD: &[u8] = b"VOkJxbRl1RmTxUk/WvJxBt";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pairs = digits.chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

#[test]
fn sample_request() {
    let datagram = bytes(REQUEST);
    let message = Message::parse(&datagram).unwrap();
    assert_eq!((message.method(), message.class()), (Method::Binding, Class::Request));
    assert_eq!(message.username(), Some(&b"evtj:h6vY"[..]));
    assert_eq!(message.first(AttributeType::SOFTWARE), Some(&b"STUN test client"[..]));
    assert_eq!(message.fingerprint(), Fingerprint::Valid);
    assert!(message.is_signed_with(&IntegrityKey::from_bytes(PASSWORD)));
    assert!(!message.is_signed_with(&IntegrityKey::from_bytes(b"another password")));
}

#[test]
fn sample_responses() {
    for (hex, mapped) in [
        (RESPONSE_V4, "192.0.2.1:32853"),
        (RESPONSE_V6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853"),
    ] {
        let datagram = bytes(hex);
        let message = Message::parse(&datagram).unwrap();
        let expected: SocketAddr = mapped.parse().unwrap();
        let address = message.xor_address(AttributeType::XOR_MAPPED_ADDRESS);
        assert_eq!(address, Ok(Some(expected)));
        assert_eq!(message.fingerprint(), Fingerprint::Valid);
        assert!(message.is_signed_with(&IntegrityKey::from_bytes(PASSWORD)));
    }
}

#[test]
fn sample_request_with_long_term_credentials() {
    let datagram = bytes(LONG_TERM);
    let message = Message::parse(&datagram).unwrap();
    let user = "\u{30DE}\u{30C8}\u{30EA}\u{30C3}\u{30AF}\u{30B9}";
    assert_eq!(message.username(), Some(user.as_bytes()));
    assert_eq!(message.realm(), Some(&b"example.org"[..]));
    assert_eq!(message.nonce(), Some(&b"f//499k954d6OL34oL9FSTvy64sA"[..]));
    let key = IntegrityKey::long_term(user.as_bytes(), b"example.org", b"TheMatrIX");
    assert!(message.is_signed_with(&key));
}

// RFC 8489 §14.5: attributes after MESSAGE-INTEGRITY, other than MESSAGE-INTEGRITY-SHA256 and
// FINGERPRINT, MUST be ignored.
#[test]
fn what_stands_behind_the_integrity_does_not_count() {
    let key = IntegrityKey::from_bytes(b"key");
    let mut out = [0; 256];
    let mut writer =
        MessageWriter::new(&mut out, Method::Refresh, Class::Request, TransactionId([7; 12]));
    writer.integrity(&key).lifetime_s(0).attribute(AttributeType(0x7FFF), b"x").fingerprint();
    let end = writer.finish().unwrap();
    let message = Message::parse(&out[..end]).unwrap();
    assert_eq!(message.lifetime_s(), Ok(None));
    assert_eq!(message.attributes().count(), 0);
    assert!(message.is_signed_with(&key));
    assert_eq!(message.fingerprint(), Fingerprint::Valid);
}

#[test]
fn a_fingerprint_must_match_and_stand_last() {
    let mut out = [0; 128];
    let mut writer =
        MessageWriter::new(&mut out, Method::Binding, Class::Request, TransactionId([1; 12]));
    let end = writer.fingerprint().finish().unwrap();
    out[end - 1] ^= 1;
    assert_eq!(Message::parse(&out[..end]).unwrap().fingerprint(), Fingerprint::Wrong);
    let mut writer =
        MessageWriter::new(&mut out, Method::Binding, Class::Request, TransactionId([1; 12]));
    let end = writer.fingerprint().lifetime_s(1).finish().unwrap();
    assert_eq!(Message::parse(&out[..end]).unwrap().fingerprint(), Fingerprint::Wrong);
}

// RFC 8489 §14.7: "the FINGERPRINT attribute MUST be the last attribute in the message": a second
// one does not make up for the first.
#[test]
fn two_fingerprints_are_wrong_though_both_match() {
    let mut out = [0; 128];
    let mut writer =
        MessageWriter::new(&mut out, Method::Binding, Class::Request, TransactionId([1; 12]));
    let end = writer.fingerprint().fingerprint().finish().unwrap();
    assert_eq!(Message::parse(&out[..end]).unwrap().fingerprint(), Fingerprint::Wrong);
}

#[test]
fn a_fingerprint_of_another_length_is_wrong() {
    let mut out = [0; 128];
    let mut writer =
        MessageWriter::new(&mut out, Method::Binding, Class::Request, TransactionId([1; 12]));
    let end = writer.fingerprint().finish().unwrap();
    for length in [0, 3, 5] {
        out[end - 5] = length;
        let fingerprint = Message::parse(&out[..end]).map(|message| message.fingerprint());
        assert_ne!(fingerprint, Ok(Fingerprint::Valid), "{length}");
    }
}

#[test]
fn a_message_that_does_not_fit_is_an_error_and_never_half_a_message() {
    let key = IntegrityKey::from_bytes(b"key");
    for room in 0..76 {
        let mut out = vec![0; room];
        let mut writer =
            MessageWriter::new(&mut out, Method::Allocate, Class::Error, TransactionId([0; 12]));
        writer.error_code(ErrorCode::Unauthenticated).integrity(&key).fingerprint();
        assert!(writer.finish().is_err(), "{room} bytes");
    }
}

#[test]
fn error_codes_are_read_as_they_are_written() {
    for code in ErrorCode::ALL {
        let mut out = [0; 128];
        let mut writer =
            MessageWriter::new(&mut out, Method::Allocate, Class::Error, TransactionId([0; 12]));
        let end = writer.error_code(code).finish().unwrap();
        let message = Message::parse(&out[..end]).unwrap();
        assert_eq!(message.error_code(), Ok(Some(code.number())));
    }
    assert!(ErrorCode::ALL.is_sorted());
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_without_panic(datagram: Vec<u8>) {
        exercise(&datagram);
    }

    #[test]
    fn any_change_to_a_message_is_parsed_without_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        for hex in [REQUEST, RESPONSE_V4, RESPONSE_V6, LONG_TERM] {
            let mut datagram = bytes(hex);
            for (at, value) in &changes {
                *at.get_mut(&mut datagram) = *value;
            }
            exercise(&datagram);
            exercise(&datagram[..cut.index(datagram.len())]);
        }
    }

    #[test]
    fn what_is_written_is_read_back(
        lifetime_s: u32, channel: u16, transport: u8, even: bool, token: [u8; 8],
        peers: Vec<SocketAddr>, id: [u8; 12],
    ) {
        let peers: Vec<_> = peers.iter().take(8).map(|p| SocketAddr::new(p.ip(), p.port())).collect();
        let mut out = [0; 1024];
        let mut writer =
            MessageWriter::new(&mut out, Method::Allocate, Class::Request, TransactionId(id));
        writer.lifetime_s(lifetime_s).channel_number(channel).requested_transport(transport);
        writer.even_port(even).reservation_token(token).requested_family(Family::V6);
        for peer in &peers {
            writer.xor_peer_address(*peer);
        }
        let end = writer.finish().unwrap();
        let message = Message::parse(&out[..end]).unwrap();
        assert_eq!(message.transaction(), TransactionId(id));
        assert_eq!(message.lifetime_s(), Ok(Some(lifetime_s)));
        assert_eq!(message.channel_number(), Ok(Some(channel)));
        assert_eq!(message.requested_transport(), Ok(Some(transport)));
        assert_eq!(message.even_port(), Ok(Some(even)));
        assert_eq!(message.reservation_token(), Ok(Some(token)));
        assert_eq!(message.requested_family(), Ok(Some(Some(Family::V6))));
        assert_eq!(message.peers().map(Result::unwrap).collect::<Vec<_>>(), peers);
    }
}

/// Calls every getter: none may panic, whatever the bytes.
fn exercise(datagram: &[u8]) {
    let _ = ChannelData::parse(datagram).map(|frame| datagram[frame.payload()].len());
    let Ok(message) = Message::parse(datagram) else { return };
    let _ = (message.username(), message.realm(), message.nonce(), message.data());
    let _ = (message.lifetime_s(), message.channel_number(), message.requested_transport());
    let _ = (message.requested_family(), message.additional_family(), message.even_port());
    let _ = (message.reservation_token(), message.peer(), message.error_code());
    let _ = (message.peers().count(), message.attributes().count(), message.dont_fragment());
    let _ = message.is_signed_with(&IntegrityKey::from_bytes(PASSWORD));
}
