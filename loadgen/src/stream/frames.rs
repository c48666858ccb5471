//! Where one message of a stream ends and the next begins.
//!
//! STUN messages say their length, a multiple of 4; ChannelData is padded to one over streams
//! (RFC 8656 §12.5), and the padding is not in its length:
//!
//! ```text
//! 0      2      4
//! | 00.. | len  | cookie, transaction, attributes   20 + len in all
//! | 0100 | len  | payload, 0 to 3 bytes of padding   4 + len, rounded up
//! ```

use std::{io, ops::Range};

const STUN_HEADER_BYTES: usize = 20;
const CHANNEL_HEADER_BYTES: usize = 4;

/// Whole messages, one behind the other.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    bytes: Vec<u8>,
    frames: Vec<Range<usize>>,
}

/// What a stream begins with.
#[derive(Debug, PartialEq, Eq)]
enum Delimited {
    /// A message, and where the next one begins.
    Whole { bytes: usize, padded_bytes: usize },
    /// A part of one.
    Short,
    /// Neither STUN nor ChannelData.
    Broken,
}

impl Frames {
    /// Takes the whole messages off the front of a stream, in place of those held before.
    pub(super) fn take_from(&mut self, stream: &mut Vec<u8>) -> io::Result<()> {
        self.frames.clear();
        self.bytes.clear();
        std::mem::swap(&mut self.bytes, stream);
        let mut at = 0;
        loop {
            match delimit(&self.bytes[at..]) {
                Delimited::Whole { bytes, padded_bytes } => {
                    self.frames.push(at..at + bytes);
                    at += padded_bytes;
                }
                Delimited::Short => break,
                Delimited::Broken => {
                    let text = "what it sent is neither STUN nor ChannelData";
                    return Err(io::Error::new(io::ErrorKind::InvalidData, text));
                }
            }
        }
        stream.extend_from_slice(&self.bytes[at..]);
        Ok(())
    }

    /// Takes one datagram in place of what is held; `receive` fills the buffer and says how much.
    pub(crate) fn take_datagram(
        &mut self,
        most_bytes: usize,
        receive: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<()> {
        self.frames.clear();
        self.bytes.resize(most_bytes, 0);
        let bytes = receive(&mut self.bytes)?;
        self.frames.push(0..bytes);
        Ok(())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.frames.iter().filter_map(|frame| self.bytes.get(frame.clone()))
    }
}

fn delimit(stream: &[u8]) -> Delimited {
    let [first, _, high, low, ..] = *stream else { return Delimited::Short };
    let length = usize::from(u16::from_be_bytes([high, low]));
    let (bytes, padded_bytes) = match first {
        0..0x40 if length.is_multiple_of(4) => {
            (STUN_HEADER_BYTES + length, STUN_HEADER_BYTES + length)
        }
        0x40..0x50 => {
            (CHANNEL_HEADER_BYTES + length, CHANNEL_HEADER_BYTES + length.next_multiple_of(4))
        }
        _ => return Delimited::Broken,
    };
    if stream.len() < padded_bytes {
        return Delimited::Short;
    }
    Delimited::Whole { bytes, padded_bytes }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ChannelData of 5 bytes, a STUN message of 8 and ChannelData of none.
    fn stream() -> (Vec<u8>, [Vec<u8>; 3]) {
        let channel = [&[0x40, 0, 0, 5][..], b"hello"].concat();
        let stun = [&[1, 1, 0, 8][..], &[7; 24]].concat();
        let empty = vec![0x40, 1, 0, 0];
        let stream = [&channel[..], &[0; 3], &stun, &empty].concat();
        (stream, [channel, stun, empty])
    }

    #[test]
    fn a_stream_cut_anywhere_is_the_same_messages() {
        let (stream, expected) = stream();
        for cut in 0..=stream.len() {
            let (mut carry, mut frames) = (Vec::new(), Frames::default());
            let mut got: Vec<Vec<u8>> = Vec::new();
            for part in [&stream[..cut], &stream[cut..]] {
                carry.extend_from_slice(part);
                frames.take_from(&mut carry).unwrap();
                got.extend(frames.iter().map(<[u8]>::to_vec));
            }
            assert_eq!(got, expected, "cut at {cut}");
            assert!(carry.is_empty());
        }
    }

    #[test]
    fn what_is_neither_is_broken() {
        for stream in [&b"SSH-2.0-x"[..], &[0, 1, 0, 3, 0], &[0x80, 0, 0, 0]] {
            assert_eq!(delimit(stream), Delimited::Broken, "{stream:?}");
        }
        assert!(Frames::default().take_from(&mut b"SSH-2.0-x".to_vec()).is_err());
    }
}
