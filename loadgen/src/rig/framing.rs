//! What stands in front of a payload on its way out, and what is left of a datagram when that is
//! taken off on its way in.

use std::net::SocketAddr;

use uturn::wire::{
    AttributeType, ChannelData, ChannelNumber, Class, HEADER_BYTES, Message, MessageWriter, Method,
    PacketKind, Prefix, TransactionId, padded,
};

use crate::{
    offer::packet::{self, Packet},
    rig::turn::Session,
    socket::HEAD_BYTES,
};

/// How a sender wraps what it sends.
#[derive(Debug, Clone)]
pub(crate) enum Framing {
    /// Not at all: a peer, or no relay.
    Raw,
    /// ChannelData (RFC 8656 §12.4).
    Channel(ChannelNumber),
    /// The same over a stream, padded to a multiple of 4 (RFC 8656 §12.5).
    PaddedChannel(ChannelNumber),
    /// A Send indication to a peer (RFC 8656 §11.1).
    Indication(IndicationFront),
    /// The packet is a Binding request itself; everything it says is in the transaction id.
    Binding,
}

impl Framing {
    /// Bytes in front of a payload.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Framing::Raw | Framing::Binding => 0,
            Framing::Channel(_) | Framing::PaddedChannel(_) => ChannelData::HEADER_BYTES,
            Framing::Indication(front) => front.bytes,
        }
    }

    /// Zeros behind a payload.
    pub(crate) fn pad_bytes(&self, payload_bytes: usize) -> usize {
        match self {
            Framing::Raw | Framing::Binding | Framing::Channel(_) => 0,
            Framing::Indication(_) | Framing::PaddedChannel(_) => {
                padded(payload_bytes) - payload_bytes
            }
        }
    }

    /// Writes framing and packet header; returns their length.
    pub(crate) fn write(&self, packet: &Packet, head: &mut [u8; HEAD_BYTES]) -> usize {
        let payload_bytes = usize::from(packet.payload_bytes);
        let prefix_bytes = match self {
            Framing::Raw => 0,
            Framing::Channel(number) | Framing::PaddedChannel(number) => {
                Prefix::Channel(*number).write(payload_bytes, head).unwrap_or_default()
            }
            Framing::Indication(front) => front.write(payload_bytes, head),
            Framing::Binding => return write_binding(packet, head),
        };
        let end = prefix_bytes + packet::HEADER_BYTES;
        if let Some(place) = head.get_mut(prefix_bytes..end) {
            place.copy_from_slice(&packet.encode());
        }
        end
    }
}

/// The bytes of a Send indication up to its payload, which follow from the peer alone, the two
/// length fields excepted.
#[derive(Debug, Clone)]
pub(crate) struct IndicationFront {
    front: [u8; Prefix::MAX_BYTES],
    bytes: usize,
}

impl IndicationFront {
    pub(crate) fn new(peer: SocketAddr) -> IndicationFront {
        let mut front = [0; Prefix::MAX_BYTES];
        // Indications are not answered: any id will do (RFC 8489 §6.3.2).
        let transaction = TransactionId(*b"loadgen\0\0\0\0\0");
        let mut writer =
            MessageWriter::new(&mut front, Method::Send, Class::Indication, transaction);
        let written = writer.xor_peer_address(peer).attribute(AttributeType::DATA, &[]).finish();
        let bytes = written.expect("20 + 24 + 4 bytes are the longest");
        IndicationFront { front, bytes }
    }

    fn write(&self, payload_bytes: usize, head: &mut [u8]) -> usize {
        let Some(place) = head.get_mut(..self.bytes) else { return 0 };
        place.copy_from_slice(&self.front[..self.bytes]);
        let body_bytes = self.bytes - HEADER_BYTES + padded(payload_bytes);
        place[2..4].copy_from_slice(&(body_bytes as u16).to_be_bytes());
        place[self.bytes - 2..].copy_from_slice(&(payload_bytes as u16).to_be_bytes());
        self.bytes
    }
}

/// `| due, 6 bytes | flow, 2 | sequence, 4 |` as transaction id: 78 hours, 65,536 flows.
fn write_binding(packet: &Packet, head: &mut [u8]) -> usize {
    let mut id = [0_u8; 12];
    id[..6].copy_from_slice(&packet.due_ns.to_be_bytes()[2..]);
    id[6..8].copy_from_slice(&(packet.flow as u16).to_be_bytes());
    id[8..].copy_from_slice(&(packet.sequence as u32).to_be_bytes());
    let mut writer = MessageWriter::new(head, Method::Binding, Class::Request, TransactionId(id));
    writer.finish().unwrap_or_default()
}

fn read_binding(message: &Message<'_>, run: u16) -> Option<Packet> {
    message.xor_address(AttributeType::XOR_MAPPED_ADDRESS).ok()??;
    let TransactionId(id) = message.transaction();
    let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    let (due_ns, flow, sequence) = (number(&id[..6]), number(&id[6..8]), number(&id[8..]));
    Some(Packet { run, payload_bytes: 0, flow: flow as u32, sequence, due_ns })
}

/// What a client's datagram turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arrived<'a> {
    /// Something a sender sent, still to be checked.
    Payload(&'a [u8]),
    /// A Binding answer, which is its own payload.
    Answered(Packet),
    /// A message for the session.
    Control(&'a [u8]),
    /// Nothing that should have come.
    Noise,
}

/// Takes the framing off what a server sent to a client.
pub(crate) fn unwrap(datagram: &[u8], run: u16) -> Arrived<'_> {
    match PacketKind::of(datagram) {
        PacketKind::ChannelData => match ChannelData::parse(datagram) {
            Ok(frame) if frame.channel == Session::CHANNEL => {
                datagram.get(frame.payload()).map_or(Arrived::Noise, Arrived::Payload)
            }
            Ok(_) | Err(_) => Arrived::Noise,
        },
        PacketKind::Stun => unwrap_message(datagram, run),
        PacketKind::Other => Arrived::Noise,
    }
}

fn unwrap_message(datagram: &[u8], run: u16) -> Arrived<'_> {
    let Ok(message) = Message::parse(datagram) else { return Arrived::Noise };
    match (message.method(), message.class()) {
        (Method::Data, Class::Indication) => {
            message.data().map_or(Arrived::Noise, Arrived::Payload)
        }
        (Method::Binding, Class::Success) => {
            read_binding(&message, run).map_or(Arrived::Noise, Arrived::Answered)
        }
        (_, Class::Success | Class::Error) => Arrived::Control(datagram),
        (_, Class::Request | Class::Indication) => Arrived::Noise,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: Packet =
        Packet { run: 1, payload_bytes: 161, flow: 6, sequence: 9, due_ns: 1 << 40 };

    fn datagram(framing: &Framing) -> Vec<u8> {
        let mut head = [0; HEAD_BYTES];
        let bytes = framing.write(&PACKET, &mut head);
        let pad = vec![0; framing.pad_bytes(161)];
        [&head[..bytes], PACKET.body(), &pad].concat()
    }

    #[test]
    fn a_channel_frame_is_taken_apart_again() {
        let datagram = datagram(&Framing::Channel(Session::CHANNEL));
        assert_eq!(datagram.len(), 165);
        let Arrived::Payload(payload) = unwrap(&datagram, 1) else { panic!() };
        assert_eq!(Packet::decode(payload), Ok(PACKET));
    }

    #[test]
    fn over_a_stream_a_channel_frame_is_padded() {
        let frame = datagram(&Framing::PaddedChannel(Session::CHANNEL));
        assert_eq!((frame.len(), &frame[165..]), (168, &[0; 3][..]));
        let Arrived::Payload(payload) = unwrap(&frame[..165], 1) else { panic!() };
        assert_eq!(Packet::decode(payload), Ok(PACKET));
    }

    #[test]
    fn a_send_indication_is_a_whole_message() {
        for (peer, expected) in [("192.0.2.1:7", 36), ("[2001:db8::1]:7", 48)] {
            let peer: SocketAddr = peer.parse().unwrap();
            let framing = Framing::Indication(IndicationFront::new(peer));
            assert_eq!(framing.bytes(), expected);
            let datagram = datagram(&framing);
            let message = Message::parse(&datagram).unwrap();
            assert_eq!((message.method(), message.class()), (Method::Send, Class::Indication));
            assert_eq!(message.peer(), Ok(Some(peer)));
            assert_eq!(Packet::decode(message.data().unwrap()), Ok(PACKET));
        }
    }

    #[test]
    fn a_binding_answer_says_which_request_it_answers() {
        let mut head = [0; HEAD_BYTES];
        let bytes = Framing::Binding.write(&PACKET, &mut head);
        let request = Message::parse(&head[..bytes]).unwrap();
        let mut answer = [0; 64];
        let mut writer =
            MessageWriter::new(&mut answer, Method::Binding, Class::Success, request.transaction());
        let length = writer.xor_mapped_address("192.0.2.1:9".parse().unwrap()).finish().unwrap();
        let expected = Packet { payload_bytes: 0, ..PACKET };
        assert_eq!(unwrap(&answer[..length], 1), Arrived::Answered(expected));
    }

    #[test]
    fn what_no_server_sends_is_noise() {
        assert_eq!(unwrap(&[], 1), Arrived::Noise);
        assert_eq!(unwrap(&[0x41, 0, 0, 0], 1), Arrived::Noise);
        assert_eq!(unwrap(&PACKET.encode(), 1), Arrived::Noise);
    }
}
