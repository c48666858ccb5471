//! What is done to an input.

/// SplitMix64: small, seeded, and the same everywhere.
pub(crate) struct Rng(u64);

/// The longest input.
const MOST_BYTES: usize = 4096;

/// Numbers and words that mean something to somebody.
const WORDS: [&[u8]; 44] = [
    &[0x21, 0x12, 0xA4, 0x42],
    &[0, 1, 0, 0],
    &[0, 3, 0, 8],
    &[0, 4, 0, 0],
    &[0, 8, 0, 12],
    &[0, 9, 0, 20],
    &[0, 0x16, 0, 0x10],
    &[0, 0x06, 0, 3],
    &[0, 0x08, 0, 20],
    &[0, 0x0C, 0, 4, 0x40, 0, 0, 0],
    &[0, 0x0D, 0, 4, 0, 0, 0, 0],
    &[0, 0x12, 0, 8, 0, 1],
    &[0, 0x12, 0, 20, 0, 2],
    &[0, 0x13, 0, 4],
    &[0, 0x14, 0, 11],
    &[0, 0x15, 0, 0x1C],
    &[0, 0x17, 0, 4, 1, 0, 0, 0],
    &[0, 0x18, 0, 1, 0x80, 0, 0, 0],
    &[0, 0x19, 0, 4, 17, 0, 0, 0],
    &[0, 0x1A, 0, 0],
    &[0, 0x1C, 0, 32],
    &[0, 0x22, 0, 8],
    &[0x80, 0, 0, 4, 2, 0, 0, 0],
    &[0x80, 0x28, 0, 4],
    &[0x40, 0, 0, 4],
    &[0x4F, 0xFF],
    b"PROXY TCP4 1.2.3.4 5.6.7.8 1 65535\r\n",
    b"PROXY UNKNOWN\r\n",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c",
    &[0x16, 3, 1, 0, 0x80, 1, 0, 0],
    &[0, 0, 0, 14, 0, 12, 0, 0, 9],
    &[0, 0x10, 0, 18, 0, 16, 9],
    b"stun.turn",
    b"static-auth-secret=",
    b"denied-peer-ip=10.0.0.0-10.255.255.255\n",
    b"{\"command\":\"",
    b"\",\"id\":\"0-1\"}",
    b",\"alternate\":[\"[::1]:1\"]",
    b"\\ud800",
    b"-1e400",
    b"user=",
    b"listening-ip=",
    &[0xFF; 4],
    &[0; 8],
];

impl Rng {
    pub(crate) fn new(seed: u64) -> Rng {
        Rng(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// An input out of others.
pub(crate) fn mutated(rng: &mut Rng, pool: &[Vec<u8>]) -> Vec<u8> {
    let mut input = pool.get(rng.below(pool.len())).cloned().unwrap_or_default();
    // Mostly few changes, now and then many.
    let changes = 1 << rng.below(5);
    for _ in 0..=rng.below(changes) {
        change(rng, pool, &mut input);
    }
    input.truncate(MOST_BYTES);
    input
}

fn change(rng: &mut Rng, pool: &[Vec<u8>], input: &mut Vec<u8>) {
    let at = rng.below(input.len() + 1);
    match rng.below(10) {
        0 => input.truncate(at),
        1 => insert(input, at, &rng.next().to_be_bytes()[..1 + at % 8]),
        2 => insert(input, at, WORDS[rng.below(WORDS.len())]),
        3 => overwrite(input, at, WORDS[rng.below(WORDS.len())]),
        4 => repeat_a_part(rng, input, at),
        5 => drop(input.drain(at..(at + 1 + rng.below(16)).min(input.len()).max(at))),
        6 => {
            let other = pool.get(rng.below(pool.len())).map_or(&[][..], Vec::as_slice);
            let from = rng.below(other.len() + 1);
            input.truncate(at);
            input.extend(&other[from..]);
        }
        7 => overwrite(input, at, &(rng.below(600) as u16).to_be_bytes()),
        8 => overwrite(input, at, &[rng.next() as u8]),
        _ => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << rng.below(8);
            }
        }
    }
}

fn insert(input: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    input.splice(at..at, bytes.iter().copied());
}

fn overwrite(input: &mut [u8], at: usize, bytes: &[u8]) {
    let end = (at + bytes.len()).min(input.len());
    input[at..end].copy_from_slice(&bytes[..end - at]);
}

fn repeat_a_part(rng: &mut Rng, input: &mut Vec<u8>, at: usize) {
    let end = (at + 1 + rng.below(64)).min(input.len());
    let part = input[at.min(end)..end].to_vec();
    insert(input, end, &part);
}
