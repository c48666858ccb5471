//! Channel numbers and ChannelData frames (RFC 8656 §12).
//!
//! ```text
//! | channel number, 2 bytes | length, 2 bytes | payload, `length` bytes | up to 3 bytes padding |
//! ```

use std::ops::Range;

use super::{padded, u16_at};

/// A number that is a channel: 0x4000..=0x4FFF (RFC 8656 §12). It can only come from
/// [`ChannelNumber::new`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelNumber(u16);

impl ChannelNumber {
    /// The lowest channel.
    pub const MIN: ChannelNumber = ChannelNumber(0x4000);

    /// Takes a number that is a channel.
    pub const fn new(number: u16) -> Option<ChannelNumber> {
        if matches!(number, 0x4000..=0x4FFF) { Some(ChannelNumber(number)) } else { None }
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

    /// Checks a frame. Padding to a multiple of 4 may be there or not (RFC 8656 §12.5).
    pub fn parse(datagram: &[u8]) -> Result<ChannelData, ChannelDataError> {
        let number = u16_at(datagram, 0).ok_or(ChannelDataError::Length)?;
        let channel = ChannelNumber::new(number).ok_or(ChannelDataError::Number)?;
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

    // RFC 8656 §12: "the channel number […] 0x4000 through 0x4FFF".
    #[test]
    fn only_the_range_of_rfc_8656_is_a_channel() {
        for number in 0..=u16::MAX {
            let expected = (0x4000..=0x4FFF).contains(&number);
            assert_eq!(ChannelNumber::new(number).is_some(), expected, "{number:#06x}");
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
        assert_eq!(ChannelData::parse(&[0x50, 0, 0, 0]), Err(ChannelDataError::Number));
        assert_eq!(ChannelData::parse(&[0x40, 0, 0]), Err(ChannelDataError::Length));
    }
}
