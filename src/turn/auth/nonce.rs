//! Nonces that need no memory (RFC 8489 §9.2).
//!
//! ```text
//! obMatJos2 | 4 characters      | base64 of: | issued at, low 24 bits of Unix seconds | MAC, 64 bits |
//!           | security features |            | 11 bytes, 15 characters                               |
//! ```
//!
//! The MAC binds a nonce to the address and port it was given to, so a nonce that comes back is the
//! proof of a return path, and one that was overheard serves nobody else. Its key is derived from
//! the master key and the epoch, a span of one lifetime: every worker that holds the master key
//! agrees with the others without a word, and a key is of no use to anybody two lifetimes later.
//!
//! It is as short as it can be, because it is most of what a forged source can be made to receive.
//! 24 bits of time tell 194 days apart; the MAC covers all the others, so that an older nonce is not
//! taken for a young one. 64 bits of MAC cannot be guessed against a server that says yes or no.
//!
//! Law: a nonce is good for exactly its lifetime, at the address it was issued to.

use std::net::{IpAddr, SocketAddr};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::turn::Now;
use crate::wire;

/// What every nonce of a server that follows RFC 8489 begins with (RFC 8489 §9.2).
const COOKIE: &[u8; 9] = b"obMatJos2";

/// The 24 security-feature bits in base64, none of them set: bit 0, password algorithms, would
/// make it `gAAA` (RFC 8489 §18.1).
const FEATURES: &[u8; 4] = b"AAAA";

const PREFIX_BYTES: usize = COOKIE.len() + FEATURES.len();
const TIME_BYTES: usize = 3;
const MAC_BYTES: usize = 8;
const BODY_BYTES: usize = TIME_BYTES + MAC_BYTES;

/// After so many seconds the time of a nonce begins anew.
const TIME_TURN_S: u64 = 1 << (8 * TIME_BYTES);

/// Characters of a nonce: a multiple of 4, so that none is wasted on padding the attribute.
pub const NONCE_BYTES: usize = PREFIX_BYTES + (BODY_BYTES * 8).div_ceil(6);

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
    master: Zeroizing<[u8; 32]>,
    lifetime_s: u64,
}

impl Nonces {
    /// Takes the key that all workers share, from a good random source, and the lifetime in seconds
    /// (at least 1).
    pub fn new(master: [u8; 32], lifetime_s: u64) -> Nonces {
        Nonces { master: Zeroizing::new(master), lifetime_s: lifetime_s.max(1) }
    }

    /// Writes a nonce for one client address.
    pub fn issue(&self, now: Now, client: SocketAddr) -> [u8; NONCE_BYTES] {
        let mut nonce = [0; NONCE_BYTES];
        let (prefix, text) = nonce.split_at_mut(PREFIX_BYTES);
        prefix[..COOKIE.len()].copy_from_slice(COOKIE);
        prefix[COOKIE.len()..].copy_from_slice(FEATURES);
        let body = self.body(now.unix_s, client);
        STANDARD_NO_PAD.encode_slice(body, text).expect("11 bytes become 15 characters");
        nonce
    }

    /// Says what a nonce is worth that came from this address. The MAC is compared in constant time.
    pub fn judge(&self, now: Now, client: SocketAddr, nonce: &[u8]) -> NonceState {
        let issued = decode(nonce).and_then(|body| Some((issued_s(&body, now)?, body)));
        let Some((issued_s, body)) = issued else { return NonceState::Foreign };
        if !bool::from(self.body(issued_s, client).ct_eq(&body)) {
            NonceState::Foreign
        } else if now.unix_s - issued_s <= self.lifetime_s {
            NonceState::Good
        } else {
            NonceState::Expired
        }
    }

    fn body(&self, issued_s: u64, client: SocketAddr) -> [u8; BODY_BYTES] {
        let mut body = [0; BODY_BYTES];
        let time = issued_s.to_be_bytes();
        let (issued, mac) = body.split_at_mut(TIME_BYTES);
        issued.copy_from_slice(&time[time.len() - TIME_BYTES..]);
        let epoch = issued_s / self.lifetime_s;
        let key = wire::mac(&*self.master, &[&epoch.to_be_bytes()]);
        let pieces: [&[u8]; 3] = [&time, &address(client.ip()), &client.port().to_be_bytes()];
        mac.copy_from_slice(&wire::mac(&key, &pieces)[..MAC_BYTES]);
        body
    }
}

impl std::fmt::Debug for Nonces {
    /// Never shows the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Nonces").field("lifetime_s", &self.lifetime_s).finish_non_exhaustive()
    }
}

fn decode(nonce: &[u8]) -> Option<[u8; BODY_BYTES]> {
    let nonce: &[u8; NONCE_BYTES] = nonce.try_into().ok()?;
    let text = nonce.strip_prefix(COOKIE)?.strip_prefix(FEATURES)?;
    let mut body = [0; BODY_BYTES];
    let bytes = STANDARD_NO_PAD.decode_slice(text, &mut body).ok()?;
    (bytes == BODY_BYTES).then_some(body)
}

/// The latest moment, now at the latest, that ends in the bits a nonce says; `None` when there was
/// none yet. A nonce from the future, whose clock was set back, is then one that is long over.
fn issued_s(body: &[u8; BODY_BYTES], now: Now) -> Option<u64> {
    let said = body[..TIME_BYTES].iter().fold(0, |seconds, &byte| seconds << 8 | u64::from(byte));
    let age_s = now.unix_s.wrapping_sub(said) % TIME_TURN_S;
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
