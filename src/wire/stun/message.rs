//! A STUN message, checked once, and its attributes by type.
//!
//! Attributes behind MESSAGE-INTEGRITY are outside what the sender signed: only FINGERPRINT may
//! stand there, everything else is as if it had not been sent (RFC 8489 §14.5).

use std::net::SocketAddr;

use super::{
    address::{self, Family},
    attribute::{Attribute, AttributeType, Attributes},
    fingerprint::{self, Fingerprint},
    header::{Class, Header, HeaderError, Method, TransactionId},
    integrity::IntegrityKey,
};
use crate::wire::bytes::array_at;

/// Why a datagram is not a STUN message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParseError {
    /// The header is not one: never answered.
    Header(HeaderError),
    /// The header is good but the attributes behind it do not add up: a request is answered 400.
    Attributes(Header),
}

/// An attribute whose value cannot be what its type says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub AttributeType);

/// A checked message over borrowed bytes.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    bytes: &'a [u8],
    header: Header,
    /// Where the signed part ends: at MESSAGE-INTEGRITY, else at FINGERPRINT, else at the end.
    signed_end: usize,
    integrity: Option<Attribute<'a>>,
    fingerprint: Fingerprint,
}

impl<'a> Message<'a> {
    /// Checks a message that fills `datagram` exactly.
    pub fn parse(datagram: &'a [u8]) -> Result<Message<'a>, ParseError> {
        let header = Header::parse(datagram).map_err(ParseError::Header)?;
        let (mut integrity, mut fingerprint, mut signed_end) = (None, None, datagram.len());
        let mut attributes = Attributes::new(datagram);
        for attribute in attributes.by_ref() {
            match attribute.kind {
                AttributeType::MESSAGE_INTEGRITY => _ = integrity.get_or_insert(attribute),
                AttributeType::MESSAGE_INTEGRITY_SHA256 => {}
                AttributeType::FINGERPRINT => _ = fingerprint.get_or_insert(attribute),
                _ => continue,
            }
            signed_end = signed_end.min(attribute.offset);
        }
        if !attributes.is_whole() {
            return Err(ParseError::Attributes(header));
        }
        let fingerprint =
            fingerprint.map_or(Fingerprint::Absent, |it| fingerprint::check(datagram, &it));
        Ok(Message { bytes: datagram, header, signed_end, integrity, fingerprint })
    }

    /// What the sender wants done.
    pub fn method(&self) -> Method {
        self.header.method
    }

    /// Request, indication or answer.
    pub fn class(&self) -> Class {
        self.header.class
    }

    /// The id an answer repeats.
    pub fn transaction(&self) -> TransactionId {
        self.header.transaction
    }

    /// What the message says about its own CRC.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The attributes of the signed part, in order.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.bytes.get(..self.signed_end).unwrap_or_default())
    }

    /// The value of the first attribute of a type; later ones do not count (RFC 8489 §14).
    pub fn first(&self, kind: AttributeType) -> Option<&'a [u8]> {
        self.attributes().find(|attribute| attribute.kind == kind).map(|attribute| attribute.value)
    }

    /// True when a MESSAGE-INTEGRITY attribute was sent.
    pub fn has_integrity(&self) -> bool {
        self.integrity.is_some()
    }

    /// True when MESSAGE-INTEGRITY was sent and was made with this key; constant time.
    pub fn is_signed_with(&self, key: &IntegrityKey) -> bool {
        let Some(attribute) = self.integrity else { return false };
        let covered = self.bytes.get(..attribute.offset).unwrap_or_default();
        key.verify(covered, attribute.value)
    }

    /// USERNAME as bytes (RFC 8489 §14.3).
    pub fn username(&self) -> Option<&'a [u8]> {
        self.first(AttributeType::USERNAME)
    }

    /// REALM as bytes (RFC 8489 §14.9).
    pub fn realm(&self) -> Option<&'a [u8]> {
        self.first(AttributeType::REALM)
    }

    /// NONCE as bytes (RFC 8489 §14.10).
    pub fn nonce(&self) -> Option<&'a [u8]> {
        self.first(AttributeType::NONCE)
    }

    /// DATA: the payload of a Send or Data indication (RFC 8656 §18.4).
    pub fn data(&self) -> Option<&'a [u8]> {
        self.first(AttributeType::DATA)
    }

    /// True when DONT-FRAGMENT was sent (RFC 8656 §18.9).
    pub fn dont_fragment(&self) -> bool {
        self.first(AttributeType::DONT_FRAGMENT).is_some()
    }

    /// LIFETIME in seconds (RFC 8656 §18.2).
    pub fn lifetime_s(&self) -> Result<Option<u32>, Malformed> {
        self.fixed(AttributeType::LIFETIME, |value: [u8; 4]| Some(u32::from_be_bytes(value)))
    }

    /// CHANNEL-NUMBER as sent; whether it is a channel is for [`crate::wire::ChannelNumber`] to say
    /// (RFC 8656 §18.1).
    pub fn channel_number(&self) -> Result<Option<u16>, Malformed> {
        self.fixed(AttributeType::CHANNEL_NUMBER, |value: [u8; 4]| {
            Some(u16::from_be_bytes([value[0], value[1]]))
        })
    }

    /// The protocol number of REQUESTED-TRANSPORT (RFC 8656 §18.8).
    pub fn requested_transport(&self) -> Result<Option<u8>, Malformed> {
        self.fixed(AttributeType::REQUESTED_TRANSPORT, |value: [u8; 4]| Some(value[0]))
    }

    /// REQUESTED-ADDRESS-FAMILY; `Some(None)` for a family that does not exist (RFC 8656 §18.6).
    pub fn requested_family(&self) -> Result<Option<Option<Family>>, Malformed> {
        self.family(AttributeType::REQUESTED_ADDRESS_FAMILY)
    }

    /// ADDITIONAL-ADDRESS-FAMILY, likewise (RFC 8656 §18.11).
    pub fn additional_family(&self) -> Result<Option<Option<Family>>, Malformed> {
        self.family(AttributeType::ADDITIONAL_ADDRESS_FAMILY)
    }

    /// EVEN-PORT; the value is its R bit: reserve the next port too (RFC 8656 §18.7).
    pub fn even_port(&self) -> Result<Option<bool>, Malformed> {
        self.fixed(AttributeType::EVEN_PORT, |value: [u8; 1]| Some(value[0] & 0x80 != 0))
    }

    /// RESERVATION-TOKEN (RFC 8656 §18.10).
    pub fn reservation_token(&self) -> Result<Option<[u8; 8]>, Malformed> {
        self.fixed(AttributeType::RESERVATION_TOKEN, Some)
    }

    /// CONNECTION-ID (RFC 6062 §6.2.1).
    pub fn connection_id(&self) -> Result<Option<u32>, Malformed> {
        self.fixed(AttributeType::CONNECTION_ID, |value: [u8; 4]| Some(u32::from_be_bytes(value)))
    }

    /// The first XOR-PEER-ADDRESS (RFC 8656 §18.3).
    pub fn peer(&self) -> Result<Option<SocketAddr>, Malformed> {
        self.peers().next().transpose()
    }

    /// Every XOR-PEER-ADDRESS, in order (RFC 8656 §10.2).
    pub fn peers(&self) -> impl Iterator<Item = Result<SocketAddr, Malformed>> + use<'a> {
        let transaction = self.transaction();
        let peers = self.attributes().filter(|a| a.kind == AttributeType::XOR_PEER_ADDRESS);
        peers.map(move |a| address::read(a.value, &transaction).ok_or(Malformed(a.kind)))
    }

    /// An address attribute of a given type, such as XOR-MAPPED-ADDRESS.
    pub fn xor_address(&self, kind: AttributeType) -> Result<Option<SocketAddr>, Malformed> {
        let Some(value) = self.first(kind) else { return Ok(None) };
        address::read(value, &self.transaction()).ok_or(Malformed(kind)).map(Some)
    }

    /// The number in ERROR-CODE, 300..=699 (RFC 8489 §14.8).
    pub fn error_code(&self) -> Result<Option<u16>, Malformed> {
        let Some(value) = self.first(AttributeType::ERROR_CODE) else { return Ok(None) };
        match value {
            [_, _, class @ 3..=6, number @ 0..=99, ..] => {
                Ok(Some(u16::from(*class) * 100 + u16::from(*number)))
            }
            _ => Err(Malformed(AttributeType::ERROR_CODE)),
        }
    }

    fn family(&self, kind: AttributeType) -> Result<Option<Option<Family>>, Malformed> {
        self.fixed(kind, |value: [u8; 4]| Some(Family::from_number(value[0])))
    }

    /// Reads the first attribute of a type whose value is exactly `N` bytes long.
    fn fixed<const N: usize, T>(
        &self,
        kind: AttributeType,
        read: impl Fn([u8; N]) -> Option<T>,
    ) -> Result<Option<T>, Malformed> {
        let Some(value) = self.first(kind) else { return Ok(None) };
        let exact = if value.len() == N { array_at(value, 0) } else { None };
        exact.and_then(read).ok_or(Malformed(kind)).map(Some)
    }
}
