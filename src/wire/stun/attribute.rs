//! Attribute numbers and the walk over type-length-value triples (RFC 8489 §14).

use super::header::HEADER_BYTES;
use crate::wire::bytes::{array_at, padded};

/// The 16-bit type of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttributeType(pub u16);

#[rustfmt::skip]
impl AttributeType {
    /// RFC 8489 §14.1
    pub const MAPPED_ADDRESS: Self = Self(0x0001);
    /// RFC 8489 §14.3
    pub const USERNAME: Self = Self(0x0006);
    /// RFC 8489 §14.5
    pub const MESSAGE_INTEGRITY: Self = Self(0x0008);
    /// RFC 8489 §14.8
    pub const ERROR_CODE: Self = Self(0x0009);
    /// RFC 8489 §14.13
    pub const UNKNOWN_ATTRIBUTES: Self = Self(0x000A);
    /// RFC 8656 §18.1
    pub const CHANNEL_NUMBER: Self = Self(0x000C);
    /// RFC 8656 §18.2
    pub const LIFETIME: Self = Self(0x000D);
    /// RFC 8656 §18.3
    pub const XOR_PEER_ADDRESS: Self = Self(0x0012);
    /// RFC 8656 §18.4
    pub const DATA: Self = Self(0x0013);
    /// RFC 8489 §14.9
    pub const REALM: Self = Self(0x0014);
    /// RFC 8489 §14.10
    pub const NONCE: Self = Self(0x0015);
    /// RFC 8656 §18.5
    pub const XOR_RELAYED_ADDRESS: Self = Self(0x0016);
    /// RFC 8656 §18.6
    pub const REQUESTED_ADDRESS_FAMILY: Self = Self(0x0017);
    /// RFC 8656 §18.7
    pub const EVEN_PORT: Self = Self(0x0018);
    /// RFC 8656 §18.8
    pub const REQUESTED_TRANSPORT: Self = Self(0x0019);
    /// RFC 8656 §18.9
    pub const DONT_FRAGMENT: Self = Self(0x001A);
    /// RFC 8489 §14.6
    pub const MESSAGE_INTEGRITY_SHA256: Self = Self(0x001C);
    /// RFC 8489 §14.2
    pub const XOR_MAPPED_ADDRESS: Self = Self(0x0020);
    /// RFC 8656 §18.10
    pub const RESERVATION_TOKEN: Self = Self(0x0022);
    /// RFC 6062 §6.2.1
    pub const CONNECTION_ID: Self = Self(0x002A);
    /// RFC 8656 §18.11
    pub const ADDITIONAL_ADDRESS_FAMILY: Self = Self(0x8000);
    /// RFC 8656 §18.12
    pub const ADDRESS_ERROR_CODE: Self = Self(0x8001);
    /// RFC 8489 §14.14
    pub const SOFTWARE: Self = Self(0x8022);
    /// RFC 8489 §14.15
    pub const ALTERNATE_SERVER: Self = Self(0x8023);
    /// RFC 8489 §14.7
    pub const FINGERPRINT: Self = Self(0x8028);
}

impl AttributeType {
    /// True for 0x0000..=0x7FFF: a receiver that does not know it must refuse the request
    /// (RFC 8489 §14).
    pub const fn comprehension_required(self) -> bool {
        self.0 < 0x8000
    }
}

/// One attribute: its type, its value without padding, and where it begins in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// What the value means.
    pub kind: AttributeType,
    /// The value, padding left out.
    pub value: &'a [u8],
    /// Offset of the attribute's own header from the first byte of the message.
    pub offset: usize,
}

/// Walks the attributes of one message; ends early, with `is_whole` false, at the
/// first that does not fit.
#[derive(Debug, Clone)]
pub struct Attributes<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Attributes<'a> {
    /// Begins behind the header of `message`, and ends where it ends.
    pub(super) fn new(message: &'a [u8]) -> Attributes<'a> {
        Attributes { message, at: HEADER_BYTES }
    }

    /// True once every byte has been walked over.
    pub(super) fn is_whole(&self) -> bool {
        self.at >= self.message.len()
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        let offset = self.at;
        let [k0, k1, l0, l1] = array_at(self.message, offset)?;
        let value_bytes = usize::from(u16::from_be_bytes([l0, l1]));
        let (begin, end) = (offset + 4, offset + 4 + padded(value_bytes));
        let value = self.message.get(begin..end)?.get(..value_bytes)?;
        let kind = AttributeType(u16::from_be_bytes([k0, k1]));
        self.at = end;
        Some(Attribute { kind, value, offset })
    }
}
