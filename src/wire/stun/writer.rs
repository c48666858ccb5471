//! The one encoder of STUN messages, into a caller's bytes.

use std::net::{IpAddr, SocketAddr};

use super::{
    address::{self, Family},
    attribute::AttributeType,
    error_code::ErrorCode,
    fingerprint,
    header::{self, Class, HEADER_BYTES, MAGIC_COOKIE, Method, TransactionId},
    integrity::{self, IntegrityKey},
};
use crate::wire::bytes::padded;

/// The message does not fit the bytes it was to be written into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// Writes one message: header first, then attributes in the order of the calls, then the trailer.
///
/// An attribute that does not fit is remembered and reported by [`MessageWriter::finish`], so that
/// a message is either whole or an error.
#[derive(Debug)]
pub struct MessageWriter<'a> {
    out: &'a mut [u8],
    bytes: usize,
    overflowed: bool,
    transaction: TransactionId,
}

impl<'a> MessageWriter<'a> {
    /// Begins a message.
    pub fn new(
        out: &'a mut [u8],
        method: Method,
        class: Class,
        transaction: TransactionId,
    ) -> MessageWriter<'a> {
        let mut writer = MessageWriter { out, bytes: 0, overflowed: false, transaction };
        writer.put(&header::message_type(method, class).to_be_bytes());
        writer.put(&[0, 0]);
        writer.put(&MAGIC_COOKIE.to_be_bytes());
        writer.put(&transaction.0);
        writer
    }

    /// Appends any attribute, padded with zeros.
    pub fn attribute(&mut self, kind: AttributeType, value: &[u8]) -> &mut Self {
        self.attribute_of(kind, &[value])
    }

    /// XOR-MAPPED-ADDRESS: where the server sees the client (RFC 8489 §14.2).
    pub fn xor_mapped_address(&mut self, client: SocketAddr) -> &mut Self {
        self.xor_address(AttributeType::XOR_MAPPED_ADDRESS, client)
    }

    /// XOR-RELAYED-ADDRESS: where peers reach the client (RFC 8656 §18.5).
    pub fn xor_relayed_address(&mut self, relayed: SocketAddr) -> &mut Self {
        self.xor_address(AttributeType::XOR_RELAYED_ADDRESS, relayed)
    }

    /// XOR-PEER-ADDRESS (RFC 8656 §18.3).
    pub fn xor_peer_address(&mut self, peer: SocketAddr) -> &mut Self {
        self.xor_address(AttributeType::XOR_PEER_ADDRESS, peer)
    }

    /// ALTERNATE-SERVER: whom to ask instead, not xor-ed (RFC 8489 §14.15).
    pub fn alternate_server(&mut self, server: SocketAddr) -> &mut Self {
        let head = [0, Family::of(server.ip()).number()];
        let port = server.port().to_be_bytes();
        match server.ip() {
            IpAddr::V4(ip) => {
                self.attribute_of(AttributeType::ALTERNATE_SERVER, &[&head, &port, &ip.octets()])
            }
            IpAddr::V6(ip) => {
                self.attribute_of(AttributeType::ALTERNATE_SERVER, &[&head, &port, &ip.octets()])
            }
        }
    }

    /// LIFETIME in seconds (RFC 8656 §18.2).
    pub fn lifetime_s(&mut self, seconds: u32) -> &mut Self {
        self.attribute(AttributeType::LIFETIME, &seconds.to_be_bytes())
    }

    /// REQUESTED-TRANSPORT (RFC 8656 §18.8).
    pub fn requested_transport(&mut self, protocol: u8) -> &mut Self {
        self.attribute(AttributeType::REQUESTED_TRANSPORT, &[protocol, 0, 0, 0])
    }

    /// REQUESTED-ADDRESS-FAMILY (RFC 8656 §18.6).
    pub fn requested_family(&mut self, family: Family) -> &mut Self {
        self.attribute(AttributeType::REQUESTED_ADDRESS_FAMILY, &[family.number(), 0, 0, 0])
    }

    /// ADDITIONAL-ADDRESS-FAMILY (RFC 8656 §18.11).
    pub fn additional_family(&mut self, family: Family) -> &mut Self {
        self.attribute(AttributeType::ADDITIONAL_ADDRESS_FAMILY, &[family.number(), 0, 0, 0])
    }

    /// CHANNEL-NUMBER (RFC 8656 §18.1).
    pub fn channel_number(&mut self, number: u16) -> &mut Self {
        let [high, low] = number.to_be_bytes();
        self.attribute(AttributeType::CHANNEL_NUMBER, &[high, low, 0, 0])
    }

    /// EVEN-PORT with its R bit (RFC 8656 §18.7).
    pub fn even_port(&mut self, reserve: bool) -> &mut Self {
        self.attribute(AttributeType::EVEN_PORT, &[u8::from(reserve) << 7])
    }

    /// RESERVATION-TOKEN (RFC 8656 §18.10).
    pub fn reservation_token(&mut self, token: [u8; 8]) -> &mut Self {
        self.attribute(AttributeType::RESERVATION_TOKEN, &token)
    }

    /// CONNECTION-ID (RFC 6062 §6.2.1).
    pub fn connection_id(&mut self, id: u32) -> &mut Self {
        self.attribute(AttributeType::CONNECTION_ID, &id.to_be_bytes())
    }

    /// ERROR-CODE with its reason phrase (RFC 8489 §14.8).
    pub fn error_code(&mut self, code: ErrorCode) -> &mut Self {
        let number = hundreds_and_rest(code);
        self.attribute_of(AttributeType::ERROR_CODE, &[&[0, 0], &number, code.reason().as_bytes()])
    }

    /// ERROR-CODE with an empty reason phrase: 16 bytes less in a 401 (RFC 8489 §14.8: "fewer than
    /// 128" characters).
    pub fn bare_error_code(&mut self, code: ErrorCode) -> &mut Self {
        self.attribute_of(AttributeType::ERROR_CODE, &[&[0, 0], &hundreds_and_rest(code)])
    }

    /// ADDRESS-ERROR-CODE: why there is no relayed address of this family (RFC 8656 §18.12).
    pub fn address_error_code(&mut self, family: Family, code: ErrorCode) -> &mut Self {
        let number = hundreds_and_rest(code);
        self.attribute_of(
            AttributeType::ADDRESS_ERROR_CODE,
            &[&[family.number(), 0], &number, code.reason().as_bytes()],
        )
    }

    /// UNKNOWN-ATTRIBUTES (RFC 8489 §14.13).
    pub fn unknown_attributes(&mut self, unknown: &[AttributeType]) -> &mut Self {
        let Some(attribute) = self.open(AttributeType::UNKNOWN_ATTRIBUTES, unknown.len() * 2)
        else {
            return self;
        };
        for (pair, kind) in attribute.chunks_exact_mut(2).zip(unknown) {
            pair.copy_from_slice(&kind.0.to_be_bytes());
        }
        self
    }

    /// Signs what was written so far: MESSAGE-INTEGRITY (RFC 8489 §14.5).
    pub fn integrity(&mut self, key: &IntegrityKey) -> &mut Self {
        let mac = key.sign(self.written());
        self.attribute(AttributeType::MESSAGE_INTEGRITY, &mac)
    }

    /// FINGERPRINT, which must be the last attribute (RFC 8489 §14.7).
    pub fn fingerprint(&mut self) -> &mut Self {
        self.set_length(self.bytes + fingerprint::ATTRIBUTE_BYTES);
        let value = fingerprint::value(self.written());
        self.attribute(AttributeType::FINGERPRINT, &value.to_be_bytes())
    }

    /// Sets the length field and says how many bytes the message has.
    pub fn finish(&mut self) -> Result<usize, Full> {
        self.set_length(self.bytes);
        if self.overflowed { Err(Full) } else { Ok(self.bytes) }
    }

    fn xor_address(&mut self, kind: AttributeType, address: SocketAddr) -> &mut Self {
        let (value, bytes) = address::encode(address, &self.transaction);
        self.attribute(kind, value.get(..bytes).unwrap_or_default())
    }

    fn attribute_of(&mut self, kind: AttributeType, pieces: &[&[u8]]) -> &mut Self {
        let value_bytes = pieces.iter().map(|piece| piece.len()).sum();
        let Some(mut rest) = self.open(kind, value_bytes) else { return self };
        for piece in pieces {
            let Some((head, tail)) = rest.split_at_mut_checked(piece.len()) else { break };
            head.copy_from_slice(piece);
            rest = tail;
        }
        self
    }

    /// Writes an attribute's header and padding and hands out the place of its value.
    fn open(&mut self, kind: AttributeType, value_bytes: usize) -> Option<&mut [u8]> {
        let length = u16::try_from(value_bytes).ok();
        let end = self.bytes + 4 + padded(value_bytes);
        let attribute = self.out.get_mut(self.bytes..end).filter(|_| !self.overflowed);
        let (Some(length), Some(attribute)) = (length, attribute) else {
            self.overflowed = true;
            return None;
        };
        self.bytes = end;
        let (head, body) = attribute.split_first_chunk_mut::<4>()?;
        let ([k0, k1], [l0, l1]) = (kind.0.to_be_bytes(), length.to_be_bytes());
        *head = [k0, k1, l0, l1];
        let (value, padding) = body.split_at_mut_checked(value_bytes)?;
        padding.fill(0);
        Some(value)
    }

    fn put(&mut self, bytes: &[u8]) {
        let end = self.bytes + bytes.len();
        match self.out.get_mut(self.bytes..end) {
            Some(place) => {
                place.copy_from_slice(bytes);
                self.bytes = end;
            }
            None => self.overflowed = true,
        }
    }

    fn written(&self) -> &[u8] {
        self.out.get(..self.bytes).unwrap_or_default()
    }

    fn set_length(&mut self, message_bytes: usize) {
        let Ok(length) = u16::try_from(message_bytes.saturating_sub(HEADER_BYTES)) else {
            self.overflowed = true;
            return;
        };
        if let Some(field) = self.out.get_mut(2..4) {
            field.copy_from_slice(&length.to_be_bytes());
        }
    }
}

fn hundreds_and_rest(code: ErrorCode) -> [u8; 2] {
    let number = code.number();
    [(number / 100) as u8, (number % 100) as u8]
}

// The attribute sizes the trailers count on.
const _: () = assert!(integrity::ATTRIBUTE_BYTES == 24 && fingerprint::ATTRIBUTE_BYTES == 8);
