//! Nonces that need no memory (RFC 8489 §9.2).
//!
//! ```text
//! obMatJos2 | 4 characters      | base64 of: | issued at, 24 bits of Unix time | MAC, 64 bits |
//!           | security features |            | 11 bytes, 15 characters                        |
//! ```
//!
//! The MAC binds a nonce to the address and port it was given to, so a nonce that comes back is the
//! proof of a return path, and one that was overheard serves nobody else. Connections have a way
//! back already: theirs is bound to the address alone, with port 0 (`Path::nonce_address`). Every
//! worker that holds the master key agrees with the others without a word.
//!
//! The MAC is SipHash-2-4, which is made for short messages and 64-bit tags: a server has to tell a
//! forged nonce from its own before it knows that the sender is worth anything, and two HMACs, one
//! to derive a key, took 18,000 instructions without SHA extensions where SipHash takes 300.
//!
//! It is as short as it can be, because it is most of what a forged source can be made to receive.
//! 24 bits of time tell 194 days apart; the MAC covers all the others, so that an older nonce is
//! not taken for a young one. 64 bits of MAC cannot be guessed against a server that says yes or
//! no.
//!
//! Law: a nonce is good for exactly its lifetime, at the address it was issued to.

use std::net::{IpAddr, SocketAddr};

use siphasher::sip::SipHasher24;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::turn::api::now::Now;
use crate::wire;

/// What every nonce of a server that follows RFC 8489 begins with (RFC 8489 §9.2).
const COOKIE: &[u8; 9] = b"obMatJos2";

/// The 24 security-feature bits in base64, none of them set: bit 0, password algorithms, would
/// make it `gAAA` (RFC 8489 §18.1).
const FEATURES: &[u8; 4] = b"AAAA";

const PREFIX_BYTES: usize = COOKIE.len() + FEATURES.len();
const TIME_BYTES: usize = 3;
const MAC_BYTES: usize = 8;

/// Bytes of a SipHash key.
const KEY_BYTES: usize = 16;

/// Digits of base64 that hold time and MAC, the lowest two bits of the last one zero.
const DIGITS: usize = ((TIME_BYTES + MAC_BYTES) * 8).div_ceil(6);

/// After so many seconds the time of a nonce begins anew.
const TIME_TURN_S: u64 = 1 << (8 * TIME_BYTES);

/// Characters of a nonce: a multiple of 4, so that none is wasted on padding the attribute.
pub const NONCE_BYTES: usize = PREFIX_BYTES + DIGITS;

/// How long a nonce is good by default. A client pays one round trip when its nonce ends: an hour
/// makes that rare next to a Refresh every ten minutes, and RFC 8656 §5 asks for at most that.
pub const DEFAULT_NONCE_LIFETIME_S: u64 = 3600;

/// What a nonce that comes back is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NonceState {
    /// It was issued to this address within the lifetime.
    Good,
    /// It was issued to this address, within half a year: what has expired still proves a return
    /// path.
    Expired,
    /// It was issued to another address, or by another server, or never.
    Foreign,
}

/// Issues nonces and knows its own again.
#[derive(Clone)]
pub struct Nonces {
    /// Its memory is overwritten when it is dropped.
    key: Zeroizing<[u8; KEY_BYTES]>,
    lifetime_s: u64,
}

impl Nonces {
    /// Takes the key that all workers share, from a good random source, and the lifetime in seconds
    /// (at least 1).
    pub fn new(master: [u8; 32], lifetime_s: u64) -> Nonces {
        let master = Zeroizing::new(master);
        let derived = wire::mac(&*master, &[b"nonce"]);
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        key.copy_from_slice(&derived[..KEY_BYTES]);
        Nonces { key, lifetime_s: lifetime_s.max(1) }
    }

    /// Writes a nonce for one client address.
    pub fn issue(&self, now: Now, client: SocketAddr) -> [u8; NONCE_BYTES] {
        let mut nonce = [0; NONCE_BYTES];
        let (prefix, text) = nonce.split_at_mut(PREFIX_BYTES);
        prefix[..COOKIE.len()].copy_from_slice(COOKIE);
        prefix[COOKIE.len()..].copy_from_slice(FEATURES);
        text.copy_from_slice(&encode(now.unix_s % TIME_TURN_S, self.mac(now.unix_s, client)));
        nonce
    }

    /// Says what a nonce is worth that came from this address. The MAC is compared in constant
    /// time.
    pub fn judge(&self, now: Now, client: SocketAddr, nonce: &[u8]) -> NonceState {
        let Some((said_s, mac)) = decode(nonce) else { return NonceState::Foreign };
        let Some(issued_s) = issued_s(said_s, now) else { return NonceState::Foreign };
        if !bool::from(self.mac(issued_s, client).ct_eq(&mac)) {
            NonceState::Foreign
        } else if now.unix_s - issued_s <= self.lifetime_s {
            NonceState::Good
        } else {
            NonceState::Expired
        }
    }

    fn mac(&self, issued_s: u64, client: SocketAddr) -> u64 {
        let mut signed = [0; 26];
        signed[..8].copy_from_slice(&issued_s.to_be_bytes());
        signed[8..24].copy_from_slice(&address(client.ip()));
        signed[24..].copy_from_slice(&client.port().to_be_bytes());
        SipHasher24::new_with_key(&self.key).hash(&signed)
    }
}

impl std::fmt::Debug for Nonces {
    /// Never shows the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Nonces").field("lifetime_s", &self.lifetime_s).finish_non_exhaustive()
    }
}

/// The digits of base64 (RFC 4648 §4).
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// What a character is worth as a digit; [`NO_DIGIT`] when it is none.
const WORTH: [u8; 256] = {
    let mut worth = [NO_DIGIT; 256];
    let mut digit = 0;
    while digit < ALPHABET.len() {
        worth[ALPHABET[digit] as usize] = digit as u8;
        digit += 1;
    }
    worth
};

const NO_DIGIT: u8 = 0xFF;

/// Bits behind the MAC in the last digit.
const SPARE_BITS: usize = DIGITS * 6 - (TIME_BYTES + MAC_BYTES) * 8;

/// Writes time and MAC as one number: a general base64 took four times as long as the MAC itself.
fn encode(time: u64, mac: u64) -> [u8; DIGITS] {
    let number = (u128::from(time) << 64 | u128::from(mac)) << SPARE_BITS;
    std::array::from_fn(|digit| {
        let worth = number >> (6 * (DIGITS - 1 - digit)) & 0x3F;
        ALPHABET[worth as usize]
    })
}

/// Time and MAC of a nonce that could be ours; each has one spelling.
fn decode(nonce: &[u8]) -> Option<(u64, u64)> {
    let nonce: &[u8; NONCE_BYTES] = nonce.try_into().ok()?;
    let text = nonce.strip_prefix(COOKIE)?.strip_prefix(FEATURES)?;
    let (mut number, mut seen) = (0_u128, 0);
    for character in text {
        let worth = WORTH[usize::from(*character)];
        seen |= worth;
        number = number << 6 | u128::from(worth);
    }
    let is_whole = seen < 0x40 && number & ((1 << SPARE_BITS) - 1) == 0;
    let number = number >> SPARE_BITS;
    is_whole.then_some(((number >> 64) as u64, number as u64))
}

/// The latest moment, now at the latest, that ends in the bits a nonce says; `None` when there was
/// none yet. A nonce from the future, whose clock was set back, is then one that is long over.
fn issued_s(said_s: u64, now: Now) -> Option<u64> {
    let age_s = now.unix_s.wrapping_sub(said_s) % TIME_TURN_S;
    now.unix_s.checked_sub(age_s)
}

fn address(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

const _: () = assert!(NONCE_BYTES == 28);

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};

    use super::*;

    const T: u64 = 1_800_000_123;

    fn at(unix_s: u64) -> Now {
        Now { mono_ms: 0, unix_s }
    }

    fn nonces() -> Nonces {
        Nonces::new([7; 32], 3600)
    }

    fn client() -> SocketAddr {
        "192.0.2.1:5000".parse().unwrap()
    }

    // RFC 8489 §9.2: the nonce cookie is "obMatJos2" and the base64 encoding of the feature set.
    #[test]
    fn it_begins_with_the_nonce_cookie() {
        let nonce = nonces().issue(at(T), client());
        assert!(nonce.starts_with(b"obMatJos2AAAA"));
        assert!(nonce.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'"'));
    }

    #[test]
    fn it_is_good_for_its_lifetime_and_not_a_second_longer() {
        let nonce = nonces().issue(at(T), client());
        for age_s in [0, 1, 1800, 3599, 3600] {
            assert_eq!(
                nonces().judge(at(T + age_s), client(), &nonce),
                NonceState::Good,
                "{age_s}"
            );
        }
        for age_s in [3601, 7200, 36_000, TIME_TURN_S - 1] {
            let state = nonces().judge(at(T + age_s), client(), &nonce);
            assert_eq!(state, NonceState::Expired, "{age_s}");
        }
    }

    #[test]
    fn one_from_the_future_or_from_long_ago_is_none() {
        let nonce = nonces().issue(at(T), client());
        for unix_s in [0, 1, T - 1, T - 3600, T + TIME_TURN_S, T + TIME_TURN_S + 1, u64::MAX] {
            let state = nonces().judge(at(unix_s), client(), &nonce);
            assert_eq!(state, NonceState::Foreign, "{unix_s}");
        }
    }

    #[test]
    fn it_is_good_at_its_address_and_port_alone() {
        let nonce = nonces().issue(at(T), client());
        for other in ["192.0.2.1:5001", "192.0.2.2:5000", "[2001:db8::1]:5000"] {
            let state = nonces().judge(at(T), other.parse().unwrap(), &nonce);
            assert_eq!(state, NonceState::Foreign, "{other}");
        }
    }

    #[test]
    fn workers_with_one_master_agree_and_others_do_not() {
        let nonce = nonces().issue(at(T), client());
        assert_eq!(nonces().clone().judge(at(T), client(), &nonce), NonceState::Good);
        let others = Nonces::new([8; 32], 3600);
        assert_eq!(others.judge(at(T), client(), &nonce), NonceState::Foreign);
    }

    #[test]
    fn time_and_mac_are_written_in_base64() {
        let bytes = [[1, 2, 3].as_slice(), &0xFEDC_BA98_7654_3210_u64.to_be_bytes()].concat();
        let text = base64::Engine::encode(&base64::prelude::BASE64_STANDARD_NO_PAD, bytes);
        assert_eq!(encode(0x0001_0203, 0xFEDC_BA98_7654_3210), *text.as_bytes());
    }

    proptest! {
        #[test]
        fn any_change_spoils_it(at_byte in any::<prop::sample::Index>(), flip in 1_u8..) {
            let mut nonce = nonces().issue(at(T), client());
            nonce[at_byte.index(NONCE_BYTES)] ^= flip;
            assert_eq!(nonces().judge(at(T), client(), &nonce), NonceState::Foreign);
        }

        #[test]
        fn its_age_is_what_it_is(issued_s in 0..u64::MAX / 2, age_s in 0..TIME_TURN_S) {
            let nonce = nonces().issue(at(issued_s), client());
            let state = nonces().judge(at(issued_s + age_s), client(), &nonce);
            let is_good = age_s <= 3600;
            assert_eq!(state, if is_good { NonceState::Good } else { NonceState::Expired });
        }

        #[test]
        fn any_bytes_are_refused_without_panic(bytes: Vec<u8>, tail: [u8; 15], unix_s: u64) {
            assert_eq!(nonces().judge(at(unix_s), client(), &bytes), NonceState::Foreign);
            let framed = [&COOKIE[..], &FEATURES[..], &tail].concat();
            assert_eq!(nonces().judge(at(unix_s), client(), &framed), NonceState::Foreign);
        }
    }
}
