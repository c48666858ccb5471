//! What every payload carries, so that nothing that happens to it goes uncounted.
//!
//! ```text
//!  0  magic    4   begins with 0xA5: neither STUN (0-3) nor a channel (64-79)
//!  4  run      2   which measurement: a straggler of an earlier one is not counted in this
//!  6  bytes    2   length of the whole payload: a cut or padded one is corrupt
//!  8  flow     4   who sent it to whom; the lowest bit is the direction
//! 12  check    4   over the other 28 bytes
//! 16  sequence 8   counts from 0 in each flow: loss, order, duplicates
//! 24  due      8   when it was to be sent, not when it was: latency without coordinated omission
//! 32  body         a piece of one random table; where it begins follows from flow and sequence
//! ```
//!
//! The body is never copied by the generator: the kernel gathers it out of the table.

use std::sync::OnceLock;

/// Bytes in front of the body, and the smallest payload.
pub(crate) const HEADER_BYTES: usize = 32;

/// The longest payload: what a datagram can carry behind the longest framing.
pub(crate) const MAX_PAYLOAD_BYTES: usize = 65_000;

/// `A5 75 54 4C` as it stands in memory.
const MAGIC: u32 = u32::from_le_bytes([0xA5, 0x75, 0x54, 0x4C]);

/// Distinct places a body can begin at: few enough to stay in the cache.
const OFFSETS: usize = 1_024;

/// The header of one payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) run: u16,
    pub(crate) payload_bytes: u16,
    pub(crate) flow: u32,
    pub(crate) sequence: u64,
    pub(crate) due_ns: u64,
}

/// A payload that is not what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Corrupt;

impl Packet {
    /// The header as it goes in front of the body.
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let words = self.words();
        let mut bytes = [0_u8; HEADER_BYTES];
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// Reads a payload and checks every byte of it.
    pub(crate) fn decode(payload: &[u8]) -> Result<Packet, Corrupt> {
        let (header, body) = payload.split_first_chunk::<HEADER_BYTES>().ok_or(Corrupt)?;
        let word = |at: usize| {
            let bytes = header.get(at..).and_then(<[u8]>::first_chunk::<8>);
            bytes.copied().map(u64::from_le_bytes).unwrap_or_default()
        };
        let packet = Packet {
            run: (word(0) >> 32) as u16,
            payload_bytes: (word(0) >> 48) as u16,
            flow: word(8) as u32,
            sequence: word(16),
            due_ns: word(24),
        };
        let whole = usize::from(packet.payload_bytes) == payload.len();
        let intact = packet.encode() == *header && packet.body() == body;
        if whole && intact { Ok(packet) } else { Err(Corrupt) }
    }

    /// The body that belongs to this header.
    pub(crate) fn body(&self) -> &'static [u8] {
        let begin = (self.flow as usize).wrapping_mul(61).wrapping_add(self.sequence as usize);
        let begin = begin % OFFSETS;
        let bytes = usize::from(self.payload_bytes).saturating_sub(HEADER_BYTES);
        table().get(begin..begin + bytes).unwrap_or_default()
    }

    fn words(&self) -> [u64; 4] {
        let place = u64::from(self.payload_bytes) << 48 | u64::from(self.run) << 32;
        let words = [place | u64::from(MAGIC), u64::from(self.flow), self.sequence, self.due_ns];
        let check = words.iter().fold(0_u64, |sum, word| mix(sum ^ word));
        [words[0], words[1] | (check >> 32) << 32, words[2], words[3]]
    }
}

/// The finaliser of splitmix64: every input bit reaches every output bit.
pub(crate) fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

fn table() -> &'static [u8] {
    static TABLE: OnceLock<Vec<u8>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let words = (MAX_PAYLOAD_BYTES + OFFSETS).div_ceil(8) as u64;
        (0..words).flat_map(|word| mix(word).to_le_bytes()).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: Packet =
        Packet { run: 3, payload_bytes: 160, flow: 77, sequence: 1_000_000, due_ns: u64::MAX / 3 };

    fn payload(packet: &Packet) -> Vec<u8> {
        [&packet.encode()[..], packet.body()].concat()
    }

    #[test]
    fn what_is_sent_is_read_back() {
        for payload_bytes in [32, 33, 160, 1_200, 65_000] {
            let packet = Packet { payload_bytes, ..PACKET };
            assert_eq!(Packet::decode(&payload(&packet)), Ok(packet));
        }
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let good = payload(&PACKET);
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Packet::decode(&bad), Err(Corrupt), "bit {bit}");
        }
    }

    #[test]
    fn a_cut_or_padded_payload_is_corrupt() {
        let good = payload(&PACKET);
        assert_eq!(Packet::decode(&good[..159]), Err(Corrupt));
        assert_eq!(Packet::decode(&[&good[..], &[0]].concat()), Err(Corrupt));
        assert_eq!(Packet::decode(&[]), Err(Corrupt));
    }

    #[test]
    fn the_body_of_one_packet_is_not_that_of_another() {
        let other = Packet { sequence: PACKET.sequence + 1, ..PACKET };
        let swapped = [&PACKET.encode()[..], other.body()].concat();
        assert_eq!(Packet::decode(&swapped), Err(Corrupt));
    }

    #[test]
    fn a_payload_is_neither_stun_nor_channel_data() {
        let kind = uturn::wire::PacketKind::of(&payload(&PACKET));
        assert_eq!(kind, uturn::wire::PacketKind::Other);
    }
}
