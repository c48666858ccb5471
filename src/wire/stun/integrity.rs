//! Keys, MESSAGE-INTEGRITY and the passwords derived from a shared secret.
//!
//! Long-term keys are MD5(user ":" realm ":" password) (RFC 8489 §9.2.2); time-limited credentials
//! are `username = expiry[:id]`, `password = base64(HMAC-SHA1(secret, username))`
//! (draft-uberti-behave-turn-rest-00 §2.2).

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use sha1::Sha1;

use super::header::HEADER_BYTES;

/// Bytes of HMAC-SHA1.
pub(super) const MAC_BYTES: usize = 20;

/// Bytes of the whole MESSAGE-INTEGRITY attribute, header included.
pub(super) const ATTRIBUTE_BYTES: usize = 4 + MAC_BYTES;

/// A key of MESSAGE-INTEGRITY with both HMAC pads already absorbed: one message costs two hashes
/// of the message and no key set-up.
#[derive(Clone)]
pub struct IntegrityKey(Hmac<Sha1>);

impl IntegrityKey {
    /// Takes the bytes of a key as they are, which for short-term credentials is the password
    /// (RFC 8489 §9.1.1).
    pub fn from_bytes(key: &[u8]) -> IntegrityKey {
        IntegrityKey(hmac(key))
    }

    /// Derives the key of long-term credentials (RFC 8489 §9.2.2).
    pub fn long_term(user: &[u8], realm: &[u8], password: &[u8]) -> IntegrityKey {
        IntegrityKey::from_bytes(&long_term_key(user, realm, password))
    }

    /// The MAC of `covered`, as if its length field ended at the MESSAGE-INTEGRITY attribute.
    pub(super) fn sign(&self, covered: &[u8]) -> [u8; MAC_BYTES] {
        self.absorb(covered).finalize().into_bytes().into()
    }

    /// Compares in constant time.
    pub(super) fn verify(&self, covered: &[u8], mac: &[u8]) -> bool {
        self.absorb(covered).verify_slice(mac).is_ok()
    }

    /// Feeds the message up to the attribute, with a length field that ends behind the attribute
    /// whatever really follows it (RFC 8489 §14.5).
    fn absorb(&self, covered: &[u8]) -> Hmac<Sha1> {
        let mut state = self.0.clone();
        let Some((head, rest)) = covered.split_first_chunk::<4>() else { return state };
        let length = (covered.len() + ATTRIBUTE_BYTES).saturating_sub(HEADER_BYTES);
        let length = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
        state.update(&[head[0], head[1], length[0], length[1]]);
        state.update(rest);
        state
    }
}

impl std::fmt::Debug for IntegrityKey {
    /// Never shows the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IntegrityKey(…)")
    }
}

/// The bytes of the key of long-term credentials (RFC 8489 §9.2.2).
pub fn long_term_key(user: &[u8], realm: &[u8], password: &[u8]) -> [u8; 16] {
    let mut digest = Md5::new();
    digest.update(user);
    digest.update(b":");
    digest.update(realm);
    digest.update(b":");
    digest.update(password);
    digest.finalize().into()
}

fn hmac(key: &[u8]) -> Hmac<Sha1> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

/// HMAC-SHA1 of several pieces, for what this program signs for itself: nonces.
pub fn mac(key: &[u8], pieces: &[&[u8]]) -> [u8; MAC_BYTES] {
    let mut state = hmac(key);
    for piece in pieces {
        state.update(piece);
    }
    state.finalize().into_bytes().into()
}

/// The base64 text of a 20-byte MAC: 28 ASCII characters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TimeLimitedPassword([u8; 28]);

impl TimeLimitedPassword {
    /// The password as it goes into a client's configuration.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Derives the password of a time-limited username from a shared secret.
pub fn time_limited_password(secret: &[u8], username: &[u8]) -> TimeLimitedPassword {
    let mut text = [0_u8; 28];
    STANDARD
        .encode_slice(mac(secret, &[username]), &mut text)
        .expect("20 bytes become 28 characters of base64");
    TimeLimitedPassword(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 2202 §3, test case 2.
    #[test]
    fn mac_of_the_vector() {
        let mac = mac(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        assert_eq!(mac[..4], [0xEF, 0xFC, 0xDF, 0x6A]);
    }

    // As `printf 1433895918:ninefingers | openssl dgst -sha1 -hmac north -binary | base64` says.
    #[test]
    fn password_from_a_secret() {
        let password = time_limited_password(b"north", b"1433895918:ninefingers");
        assert_eq!(password.as_str(), "jy8hTxmOO7UtEKXqSkSlvakPVYA=");
    }
}
