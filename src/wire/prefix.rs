//! What is written in front of a payload on its way to the client.
//!
//! ```text
//! a channel is bound:  | number | length |                             4 bytes
//! none is:             | STUN header | XOR-PEER-ADDRESS | DATA header |
//!                           20          12 (IPv4), 24 (IPv6)    4      36 or 48 bytes
//! ```

use std::net::SocketAddr;

use super::{
    bytes::padded,
    channel::{ChannelData, ChannelNumber},
    stun::{
        address::{self, Family},
        attribute::AttributeType,
        header::{self, Class, HEADER_BYTES, MAGIC_COOKIE, Method, TransactionId},
        writer::Full,
    },
};

/// The framing of one payload towards the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefix {
    /// A ChannelData header (RFC 8656 §12.4).
    Channel(ChannelNumber),
    /// The front of a Data indication that names the sender (RFC 8656 §11.3).
    DataIndication {
        /// Who sent the payload.
        peer: SocketAddr,
        /// Any id: indications are not answered.
        transaction: TransactionId,
    },
}

impl Prefix {
    /// Bytes of the longest prefix: a Data indication with an IPv6 peer.
    pub const MAX_BYTES: usize = 48;

    /// Bytes of this prefix.
    pub const fn bytes(&self) -> usize {
        match self {
            Prefix::Channel(_) => ChannelData::HEADER_BYTES,
            Prefix::DataIndication { peer, .. } => match Family::of(peer.ip()) {
                Family::V4 => 36,
                Family::V6 => 48,
            },
        }
    }

    /// Zero bytes that follow a payload: attributes end on a multiple of 4, ChannelData over UDP
    /// ends where its payload does (RFC 8656 §12.5).
    pub const fn trailing_bytes(&self, payload_bytes: usize) -> usize {
        match self {
            Prefix::Channel(_) => 0,
            Prefix::DataIndication { .. } => padded(payload_bytes) - payload_bytes,
        }
    }

    /// Writes the prefix of a payload into the first [`Prefix::bytes`] of `out` and returns their
    /// number. Fails when `out` is shorter, or the payload longer than a length field can say.
    pub fn write(&self, payload_bytes: usize, out: &mut [u8]) -> Result<usize, Full> {
        let length = u16::try_from(payload_bytes).map_err(|_| Full)?;
        match self {
            Prefix::Channel(channel) => {
                let place = out.first_chunk_mut::<4>().ok_or(Full)?;
                let ([n0, n1], [l0, l1]) = (channel.number().to_be_bytes(), length.to_be_bytes());
                *place = [n0, n1, l0, l1];
                Ok(ChannelData::HEADER_BYTES)
            }
            Prefix::DataIndication { peer, transaction } => {
                let bytes = self.bytes();
                let body_bytes = bytes - HEADER_BYTES + padded(payload_bytes);
                let body = u16::try_from(body_bytes).map_err(|_| Full)?;
                let place = out.get_mut(..bytes).ok_or(Full)?;
                write_indication(place, body, *peer, transaction, length);
                Ok(bytes)
            }
        }
    }
}

/// Fills a place of 36 or 48 bytes, which the caller has sized for the peer's family.
fn write_indication(
    place: &mut [u8],
    body_bytes: u16,
    peer: SocketAddr,
    transaction: &TransactionId,
    data_bytes: u16,
) {
    let (peer_value, peer_bytes) = address::encode(peer, transaction);
    let message_type = header::message_type(Method::Data, Class::Indication);
    let fields: [&[u8]; 9] = [
        &message_type.to_be_bytes(),
        &body_bytes.to_be_bytes(),
        &MAGIC_COOKIE.to_be_bytes(),
        &transaction.0,
        &AttributeType::XOR_PEER_ADDRESS.0.to_be_bytes(),
        &(peer_bytes as u16).to_be_bytes(),
        peer_value.get(..peer_bytes).unwrap_or_default(),
        &AttributeType::DATA.0.to_be_bytes(),
        &data_bytes.to_be_bytes(),
    ];
    let mut rest = place;
    for field in fields {
        let Some((head, tail)) = rest.split_at_mut_checked(field.len()) else { return };
        head.copy_from_slice(field);
        rest = tail;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;
    use crate::wire::Message;

    #[test]
    fn a_channel_prefix_is_number_and_length() {
        let prefix = Prefix::Channel(ChannelNumber::MIN);
        let mut out = [0; 4];
        assert_eq!(prefix.write(0x1234, &mut out), Ok(4));
        assert_eq!(out, [0x40, 0x00, 0x12, 0x34]);
        assert_eq!(prefix.write(65_536, &mut out), Err(Full));
        assert_eq!(prefix.write(1, &mut out[..3]), Err(Full));
    }

    proptest! {
        #[test]
        fn a_data_indication_parses_to_what_went_in(
            peer: SocketAddr, id in any::<[u8; 12]>(), payload: Vec<u8>,
        ) {
            let peer = SocketAddr::new(peer.ip(), peer.port());
            let prefix = Prefix::DataIndication { peer, transaction: TransactionId(id) };
            let mut frame = [0_u8; Prefix::MAX_BYTES].to_vec();
            let bytes = prefix.write(payload.len(), &mut frame).unwrap();
            assert_eq!(bytes, prefix.bytes());
            frame.truncate(bytes);
            frame.extend(&payload);
            frame.extend(vec![0; prefix.trailing_bytes(payload.len())]);
            let message = Message::parse(&frame).unwrap();
            assert_eq!(message.method(), Method::Data);
            assert_eq!(message.class(), Class::Indication);
            assert_eq!(message.peer(), Ok(Some(peer)));
            assert_eq!(message.data(), Some(&payload[..]));
        }
    }
}
