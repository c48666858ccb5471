//! Nonces that need no memory (RFC 8489 §9.2).
//!
//! ```text
//! obMatJos2 | 4 characters      | base64 of: | issued at, 40 bits of Unix seconds | MAC, 96 bits |
//!           | security features |            | 17 bytes, 23 characters                            |
//! ```
//!
//! The MAC binds a nonce to the address and port it was given to, so a nonce that comes back is the
//! proof of a return path, and one that was overheard serves nobody else. Its key is derived from
//! the master key and the epoch, a span of one lifetime: every worker that holds the master key
//! agrees with the others without a word, and a key is of no use to anybody two lifetimes later.
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
const TIME_BYTES: usize = 5;
const MAC_BYTES: usize = 12;
const BODY_BYTES: usize = TIME_BYTES + MAC_BYTES;

/// Characters of a nonce: a multiple of 4, so that none is wasted on padding the attribute.
pub const NONCE_BYTES: usize = PREFIX_BYTES + (BODY_BYTES * 8).div_ceil(6);

/// How long a nonce is good by default. A client pays one round trip when its nonce ends: an hour
/// makes that rare next to a Refresh every ten minutes, and RFC 8656 §5 asks for at most that.
pub const DEFAULT_NONCE_LIFETIME_S: u64 = 3600;

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
        STANDARD_NO_PAD.encode_slice(body, text).expect("17 bytes become 23 characters");
        nonce
    }

    /// True for a nonce issued to this address within the lifetime. The MAC is compared in constant
    /// time.
    pub fn is_good(&self, now: Now, client: SocketAddr, nonce: &[u8]) -> bool {
        let Some(body) = decode(nonce) else { return false };
        let issued_s = issued_s(&body);
        let age_s = now.unix_s.checked_sub(issued_s);
        // A nonce from the future is one from before the clock was set back.
        let is_fresh = age_s.is_some_and(|age_s| age_s <= self.lifetime_s);
        is_fresh && bool::from(self.body(issued_s, client).ct_eq(&body))
    }

    fn body(&self, issued_s: u64, client: SocketAddr) -> [u8; BODY_BYTES] {
        let mut body = [0; BODY_BYTES];
        let [_, _, _, time @ ..] = issued_s.to_be_bytes();
        let (issued, mac) = body.split_at_mut(TIME_BYTES);
        issued.copy_from_slice(&time);
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
    let text = nonce.strip_prefix(COOKIE)?.strip_prefix(FEATURES)?;
    let mut body = [0; BODY_BYTES];
    let bytes = STANDARD_NO_PAD.decode_slice(text, &mut body).ok()?;
    (bytes == BODY_BYTES).then_some(body)
}

fn issued_s(body: &[u8; BODY_BYTES]) -> u64 {
    body[..TIME_BYTES].iter().fold(0, |seconds, &byte| seconds << 8 | u64::from(byte))
}

fn address(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

const _: () = assert!(NONCE_BYTES == 36);

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
            assert!(nonces().is_good(at(T + age_s), client(), &nonce), "{age_s}");
        }
        for age_s in [3601, 7200, 36_000] {
            assert!(!nonces().is_good(at(T + age_s), client(), &nonce), "{age_s}");
        }
        assert!(!nonces().is_good(at(T - 1), client(), &nonce));
    }

    #[test]
    fn it_is_good_at_its_address_and_port_alone() {
        let nonce = nonces().issue(at(T), client());
        for other in ["192.0.2.1:5001", "192.0.2.2:5000", "[2001:db8::1]:5000"] {
            assert!(!nonces().is_good(at(T), other.parse().unwrap(), &nonce), "{other}");
        }
    }

    #[test]
    fn workers_with_one_master_agree_and_others_do_not() {
        let nonce = nonces().issue(at(T), client());
        assert!(nonces().clone().is_good(at(T), client(), &nonce));
        assert!(!Nonces::new([8; 32], 3600).is_good(at(T), client(), &nonce));
    }

    proptest! {
        #[test]
        fn any_change_spoils_it(at_byte in any::<prop::sample::Index>(), flip in 1_u8..) {
            let mut nonce = nonces().issue(at(T), client());
            nonce[at_byte.index(NONCE_BYTES)] ^= flip;
            assert!(!nonces().is_good(at(T), client(), &nonce));
        }

        #[test]
        fn any_bytes_are_refused_without_panic(bytes: Vec<u8>, tail: Vec<u8>, unix_s: u64) {
            assert!(!nonces().is_good(at(unix_s), client(), &bytes));
            let framed = [&COOKIE[..], &FEATURES[..], &tail].concat();
            assert!(!nonces().is_good(at(unix_s), client(), &framed));
        }
    }
}
