//! Where one frame ends in a stream of STUN messages and ChannelData (RFC 8489 §6.2.2, RFC 8656
//! §12.5).
//!
//! ```text
//! | STUN header: type, length | … `length` bytes |  ChannelData: number, length | … | padding |
//! |         20 bytes          | multiple of 4    |          4 bytes            |   | to 4    |
//! ```
//!
//! Law: the verdict on a prefix is [`Delimited::Short`] or the verdict on the whole, so that a
//! stream means the same however it is cut.

use super::{
    bytes::{padded, u16_at},
    channel::ChannelData,
    stun::header::{HEADER_BYTES, MAGIC_COOKIE, PacketKind},
};

/// What a stream begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delimited {
    /// A whole frame.
    Frame {
        /// Bytes of the message or of header and payload.
        bytes: usize,
        /// Bytes up to the next frame: `bytes` and up to 3 of padding, all of them there.
        padded: usize,
    },
    /// The beginning of a frame that ends at `wants` bytes at the earliest: more than there are.
    /// It is the frame's padded length once 8 bytes are there.
    Short {
        /// Bytes from the front, at most 65,556.
        wants: usize,
    },
    /// Neither; nothing that follows can be told apart any more.
    Broken,
}

/// The longest frame on the wire: a STUN header and the most its length can say.
pub const MOST_FRAME_BYTES: usize = HEADER_BYTES + 65_536;

/// Finds the end of the frame that `stream` begins with.
pub fn delimit(stream: &[u8]) -> Delimited {
    let (header_bytes, bytes) = match PacketKind::of(stream) {
        PacketKind::Stun => (HEADER_BYTES, stun_bytes(stream)),
        PacketKind::ChannelData => (ChannelData::HEADER_BYTES, channel_data_bytes(stream)),
        PacketKind::Other if stream.is_empty() => return Delimited::Short { wants: 1 },
        PacketKind::Other => return Delimited::Broken,
    };
    let Some(bytes) = bytes else { return Delimited::Broken };
    let padded = padded(bytes);
    if stream.len() < header_bytes.max(padded) {
        return Delimited::Short { wants: header_bytes.max(padded) };
    }
    Delimited::Frame { bytes, padded }
}

/// Bytes of the message as far as they are known, at least a header; `None` when it is no message.
fn stun_bytes(stream: &[u8]) -> Option<usize> {
    let cookie = MAGIC_COOKIE.to_be_bytes();
    let shown = stream.get(4..stream.len().min(8)).unwrap_or_default();
    if !cookie.starts_with(shown) {
        return None;
    }
    let Some(length) = u16_at(stream, 2) else { return Some(HEADER_BYTES) };
    // A length counts once the cookie says that it is one.
    let bytes = if stream.len() < 8 { HEADER_BYTES } else { HEADER_BYTES + usize::from(length) };
    (length % 4 == 0).then_some(bytes)
}

fn channel_data_bytes(stream: &[u8]) -> Option<usize> {
    let length = u16_at(stream, 2).unwrap_or(0);
    Some(ChannelData::HEADER_BYTES + usize::from(length))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    fn stun(length: u16) -> Vec<u8> {
        let mut frame = vec![0; HEADER_BYTES + usize::from(length)];
        frame[1] = 1;
        frame[2..4].copy_from_slice(&length.to_be_bytes());
        frame[4..8].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
        frame
    }

    fn channel_data(length: u16) -> Vec<u8> {
        let mut frame = vec![0; padded(4 + usize::from(length))];
        frame[0] = 0x40;
        frame[2..4].copy_from_slice(&length.to_be_bytes());
        frame
    }

    // RFC 8656 §12.5: over TCP and TLS the ChannelData message is padded to a multiple of four
    // bytes; the padding is not reflected in the length field.
    #[test]
    fn channel_data_ends_behind_its_padding() {
        let frame = channel_data(5);
        assert_eq!(delimit(&frame), Delimited::Frame { bytes: 9, padded: 12 });
        assert_eq!(delimit(&frame[..11]), Delimited::Short { wants: 12 });
        assert_eq!(delimit(&frame[..2]), Delimited::Short { wants: 4 });
        assert_eq!(delimit(&channel_data(0)), Delimited::Frame { bytes: 4, padded: 4 });
    }

    #[test]
    fn the_longest_frames_do_not_overflow_their_length() {
        let frame = stun(0xFFFC);
        assert_eq!(delimit(&frame), Delimited::Frame { bytes: 65_552, padded: 65_552 });
        let frame = channel_data(0xFFFF);
        assert_eq!(delimit(&frame), Delimited::Frame { bytes: 65_539, padded: 65_540 });
        assert!(frame.len() <= MOST_FRAME_BYTES);
    }

    #[test]
    fn a_message_with_an_odd_length_or_another_cookie_is_broken() {
        let mut odd = stun(8);
        odd[3] = 6;
        assert_eq!(delimit(&odd), Delimited::Broken);
        assert_eq!(delimit(&odd[..4]), Delimited::Broken);
        let mut old = stun(8);
        old[5] = 0;
        assert_eq!(delimit(&old), Delimited::Broken);
        assert_eq!(delimit(&old[..6]), Delimited::Broken);
        assert_eq!(delimit(&old[..5]), Delimited::Short { wants: 20 });
        assert_eq!(delimit(&stun(8)[..8]), Delimited::Short { wants: 28 });
    }

    #[test]
    fn what_is_neither_is_broken_at_its_first_byte() {
        for first in [4, 22, 63, 128, 255] {
            assert_eq!(delimit(&[first]), Delimited::Broken);
        }
        assert_eq!(delimit(&[]), Delimited::Short { wants: 1 });
    }

    proptest! {
        #[test]
        fn a_prefix_is_short_or_says_what_the_whole_says(
            mut stream: Vec<u8>,
            first in 0_u8..0x80,
            length in 0_u16..80,
            is_stun: bool,
        ) {
            if let [kind, _, high, low, a, b, c, d, ..] = &mut stream[..] {
                (*kind, [*high, *low]) = (first, length.to_be_bytes());
                if is_stun {
                    [*a, *b, *c, *d] = MAGIC_COOKIE.to_be_bytes();
                }
            }
            let whole = delimit(&stream);
            for end in 0..stream.len() {
                match (delimit(&stream[..end]), whole) {
                    (Delimited::Short { wants }, Delimited::Frame { padded, .. }) => {
                        assert!(end < wants && wants <= padded);
                    }
                    (Delimited::Short { wants }, _) => assert!(end < wants),
                    (verdict, _) => assert_eq!(verdict, whole),
                }
            }
            if let Delimited::Frame { bytes, padded } = whole {
                assert!(bytes <= padded && padded <= stream.len() && padded % 4 == 0);
            }
        }

        #[test]
        fn any_bytes_are_judged_without_panic(stream in any::<Vec<u8>>()) {
            let _ = delimit(&stream);
        }
    }
}
