//! Channel numbers and ChannelData frames (RFC 8656 §12).
//!
//! ```text
//! | channel number, 2 bytes | length, 2 bytes | payload, `length` bytes | up to 3 bytes padding |
//! ```

use std::ops::Range;

use super::bytes::{padded, u16_at};

/// Which numbers a client may bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ChannelRange {
    /// 0x4000..=0x4FFF (RFC 8656 §12).
    #[default]
    Rfc8656,
    /// 0x4000..=0x7FFF (RFC 5766 §11), which clients written before 2020 may pick from. Nothing
    /// else on a TURN port begins with these bytes, since DTLS stays below and media does not
    /// come here bare.
    Rfc5766,
}

impl ChannelRange {
    const fn last(self) -> u16 {
        match self {
            ChannelRange::Rfc8656 => 0x4FFF,
            ChannelRange::Rfc5766 => 0x7FFF,
        }
    }
}

/// A number that is a channel. It can only come from [`ChannelNumber::new`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelNumber(u16);

impl ChannelNumber {
    /// The lowest channel.
    pub const MIN: ChannelNumber = ChannelNumber(0x4000);

    /// Takes a number that is a channel of the range.
    pub const fn new(number: u16, range: ChannelRange) -> Option<ChannelNumber> {
        if ChannelNumber::MIN.0 <= number && number <= range.last() {
            Some(ChannelNumber(number))
        } else {
            None
        }
    }

    /// The number on the wire.
    pub const fn number(self) -> u16 {
        self.0
    }
}

/// Why a datagram that begins like one is not a ChannelData frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelDataError {
    /// The number is not a channel.
    Number,
    /// The length does not fit what was received.
    Length,
}

/// A checked ChannelData frame that fills a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelData {
    /// The channel.
    pub channel: ChannelNumber,
    payload_bytes: u16,
}

impl ChannelData {
    /// Bytes in front of the payload.
    pub const HEADER_BYTES: usize = 4;

    /// Checks a frame. Any number that ever was a channel frames data: whether it is bound is what
    /// decides about the payload, and which may be bound is decided there. Padding to a multiple of
    /// 4 may be there or not (RFC 8656 §12.5).
    pub fn parse(datagram: &[u8]) -> Result<ChannelData, ChannelDataError> {
        let number = u16_at(datagram, 0).ok_or(ChannelDataError::Length)?;
        let channel =
            ChannelNumber::new(number, ChannelRange::Rfc5766).ok_or(ChannelDataError::Number)?;
        let payload_bytes = u16_at(datagram, 2).ok_or(ChannelDataError::Length)?;
        let frame_bytes = ChannelData::HEADER_BYTES + usize::from(payload_bytes);
        if !(frame_bytes..=padded(frame_bytes)).contains(&datagram.len()) {
            return Err(ChannelDataError::Length);
        }
        Ok(ChannelData { channel, payload_bytes })
    }

    /// Where the payload stands in the frame: exactly `length` bytes, never the padding.
    pub fn payload(&self) -> Range<usize> {
        let begin = ChannelData::HEADER_BYTES;
        begin..begin + usize::from(self.payload_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 8656 §12: 0x4000 through 0x4FFF; RFC 5766 §11: 0x4000 through 0x7FFF.
    #[test]
    fn a_channel_is_what_its_range_says() {
        for number in 0..=u16::MAX {
            let is_channel = |range| ChannelNumber::new(number, range).is_some();
            let (narrow, wide) = (0x4000..=0x4FFF, 0x4000..=0x7FFF);
            assert_eq!(
                is_channel(ChannelRange::Rfc8656),
                narrow.contains(&number),
                "{number:#06x}"
            );
            assert_eq!(is_channel(ChannelRange::Rfc5766), wide.contains(&number), "{number:#06x}");
        }
    }

    #[test]
    fn padding_may_be_there_or_not_but_is_never_payload() {
        let frame = [0x40, 0x01, 0, 5, b'h', b'e', b'l', b'l', b'o', 0, 0, 0];
        for end in 9..=12 {
            let parsed = ChannelData::parse(&frame[..end]).unwrap();
            assert_eq!(&frame[parsed.payload()], b"hello");
        }
        assert_eq!(ChannelData::parse(&frame[..8]), Err(ChannelDataError::Length));
    }

    #[test]
    fn a_longer_tail_than_padding_is_refused() {
        let frame = [0x40, 0, 0, 4, 1, 2, 3, 4, 0];
        assert_eq!(ChannelData::parse(&frame), Err(ChannelDataError::Length));
        assert!(ChannelData::parse(&[0x4F, 0xFF, 0, 0]).is_ok());
        assert_eq!(ChannelData::parse(&[0x80, 0, 0, 0]), Err(ChannelDataError::Number));
        assert_eq!(ChannelData::parse(&[0x40, 0, 0]), Err(ChannelDataError::Length));
    }
}
