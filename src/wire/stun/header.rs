//! The 20 bytes in front of every STUN message (RFC 8489 §5).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 0 M M M M M C M M M C M M M M |        message length         |
//!  |                   magic cookie 0x2112A442                     |
//!  |                 transaction id, 96 bits …                     |
//! ```

use crate::wire::bytes::{array_at, u16_at, u32_at};

/// Bytes of the STUN header.
pub const HEADER_BYTES: usize = 20;

/// The fixed value at offset 4 that tells RFC 8489 messages from older ones (RFC 8489 §5).
pub const MAGIC_COOKIE: u32 = 0x2112_A442;

/// What a datagram claims to be by its first byte (RFC 7983 §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PacketKind {
    /// 0..=3: a STUN message.
    Stun,
    /// 64..=127: a ChannelData frame. RFC 7983 ends at 79, for ports that media shares; on a TURN
    /// port the rest of RFC 5766's channels is told apart as well.
    ChannelData,
    /// Anything else, the empty datagram included.
    Other,
}

impl PacketKind {
    /// Classifies a datagram by its first byte.
    pub fn of(datagram: &[u8]) -> PacketKind {
        match datagram.first() {
            Some(0..=3) => PacketKind::Stun,
            Some(64..=127) => PacketKind::ChannelData,
            Some(_) | None => PacketKind::Other,
        }
    }
}

/// Class of a message (RFC 8489 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Expects an answer.
    Request,
    /// Expects none.
    Indication,
    /// Answers a request that succeeded.
    Success,
    /// Answers a request that failed.
    Error,
}

impl Class {
    const fn bits(self) -> u16 {
        match self {
            Class::Request => 0x000,
            Class::Indication => 0x010,
            Class::Success => 0x100,
            Class::Error => 0x110,
        }
    }

    const fn of(message_type: u16) -> Class {
        match message_type & 0x110 {
            0x000 => Class::Request,
            0x010 => Class::Indication,
            0x100 => Class::Success,
            _ => Class::Error,
        }
    }
}

/// Method of a message (RFC 8489 §18.2, RFC 8656 §17, RFC 6062 §6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Binding (RFC 8489 §3).
    Binding,
    /// Allocate (RFC 8656 §7).
    Allocate,
    /// Refresh (RFC 8656 §8).
    Refresh,
    /// Send, an indication only (RFC 8656 §11).
    Send,
    /// Data, an indication only (RFC 8656 §11).
    Data,
    /// CreatePermission (RFC 8656 §10).
    CreatePermission,
    /// ChannelBind (RFC 8656 §12).
    ChannelBind,
    /// Connect (RFC 6062 §4.3).
    Connect,
    /// ConnectionBind (RFC 6062 §4.3).
    ConnectionBind,
    /// ConnectionAttempt, an indication only (RFC 6062 §4.4).
    ConnectionAttempt,
    /// A method this program does not know, by its 12-bit number.
    Unknown(u16),
}

impl Method {
    /// The 12-bit number on the wire.
    pub const fn number(self) -> u16 {
        match self {
            Method::Binding => 0x001,
            Method::Allocate => 0x003,
            Method::Refresh => 0x004,
            Method::Send => 0x006,
            Method::Data => 0x007,
            Method::CreatePermission => 0x008,
            Method::ChannelBind => 0x009,
            Method::Connect => 0x00A,
            Method::ConnectionBind => 0x00B,
            Method::ConnectionAttempt => 0x00C,
            Method::Unknown(number) => number & 0xFFF,
        }
    }

    const fn from_number(number: u16) -> Method {
        match number {
            0x001 => Method::Binding,
            0x003 => Method::Allocate,
            0x004 => Method::Refresh,
            0x006 => Method::Send,
            0x007 => Method::Data,
            0x008 => Method::CreatePermission,
            0x009 => Method::ChannelBind,
            0x00A => Method::Connect,
            0x00B => Method::ConnectionBind,
            0x00C => Method::ConnectionAttempt,
            other => Method::Unknown(other),
        }
    }
}

/// Weaves method and class into the 14-bit message type.
pub(in crate::wire) const fn message_type(method: Method, class: Class) -> u16 {
    let number = method.number();
    (number & 0x00F) | ((number & 0x070) << 1) | ((number & 0xF80) << 2) | class.bits()
}

const fn method_of(message_type: u16) -> Method {
    Method::from_number(
        (message_type & 0x00F) | ((message_type >> 1) & 0x070) | ((message_type >> 2) & 0xF80),
    )
}

/// The 96 bits that pair an answer with its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransactionId(pub [u8; 12]);

/// Why 20 bytes are not a STUN header. None of these is ever answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderError {
    /// Shorter than a header, or its first two bits are not zero.
    NotStun,
    /// Without the magic cookie: an RFC 3489 client, or another protocol.
    NoCookie,
    /// The length field is not a multiple of 4, or not the length of the datagram.
    Length,
}

/// A checked STUN header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the sender wants done.
    pub method: Method,
    /// Request, indication or answer.
    pub class: Class,
    /// Pairs answers with requests.
    pub transaction: TransactionId,
}

impl Header {
    /// Checks the header of a message that fills `datagram` exactly.
    pub fn parse(datagram: &[u8]) -> Result<Header, HeaderError> {
        let message_type = u16_at(datagram, 0).ok_or(HeaderError::NotStun)?;
        let length = u16_at(datagram, 2).ok_or(HeaderError::NotStun)?;
        let cookie = u32_at(datagram, 4).ok_or(HeaderError::NotStun)?;
        let transaction = array_at(datagram, 8).ok_or(HeaderError::NotStun)?;
        if message_type & 0xC000 != 0 {
            return Err(HeaderError::NotStun);
        }
        if cookie != MAGIC_COOKIE {
            return Err(HeaderError::NoCookie);
        }
        if length % 4 != 0 || HEADER_BYTES + usize::from(length) != datagram.len() {
            return Err(HeaderError::Length);
        }
        Ok(Header {
            method: method_of(message_type),
            class: Class::of(message_type),
            transaction: TransactionId(transaction),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_type_splits_and_joins_to_itself() {
        for number in 0..=0x3FFF_u16 {
            assert_eq!(message_type(method_of(number), Class::of(number)), number);
        }
    }

    #[test]
    fn message_types_of_the_registry() {
        assert_eq!(message_type(Method::Binding, Class::Request), 0x0001);
        assert_eq!(message_type(Method::Binding, Class::Success), 0x0101);
        assert_eq!(message_type(Method::Allocate, Class::Error), 0x0113);
        assert_eq!(message_type(Method::Send, Class::Indication), 0x0016);
        assert_eq!(message_type(Method::Data, Class::Indication), 0x0017);
        assert_eq!(message_type(Method::Connect, Class::Request), 0x000A);
        assert_eq!(message_type(Method::ConnectionAttempt, Class::Indication), 0x001C);
    }

    #[test]
    fn a_header_is_refused_for_each_reason() {
        let mut good = [0_u8; 20];
        good[1] = 1;
        good[4..8].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
        assert!(Header::parse(&good).is_ok());
        assert_eq!(Header::parse(&good[..19]), Err(HeaderError::NotStun));
        assert_eq!(Header::parse(&[]), Err(HeaderError::NotStun));
        let mut channel = good;
        channel[0] = 0x40;
        assert_eq!(Header::parse(&channel), Err(HeaderError::NotStun));
        let mut old = good;
        old[4] = 0;
        assert_eq!(Header::parse(&old), Err(HeaderError::NoCookie));
        let mut long = good;
        long[3] = 4;
        assert_eq!(Header::parse(&long), Err(HeaderError::Length));
    }

    #[test]
    fn first_bytes_are_told_apart() {
        assert_eq!(PacketKind::of(&[0]), PacketKind::Stun);
        assert_eq!(PacketKind::of(&[3]), PacketKind::Stun);
        assert_eq!(PacketKind::of(&[64]), PacketKind::ChannelData);
        assert_eq!(PacketKind::of(&[127]), PacketKind::ChannelData);
        assert_eq!(PacketKind::of(&[22]), PacketKind::Other);
        assert_eq!(PacketKind::of(&[128]), PacketKind::Other);
        assert_eq!(PacketKind::of(&[]), PacketKind::Other);
    }
}
