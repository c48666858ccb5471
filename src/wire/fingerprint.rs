//! FINGERPRINT: the CRC that tells STUN from anything else on the same port (RFC 8489 §14.7).

use super::u32_at;

/// Bytes of the whole attribute, header included.
pub(super) const ATTRIBUTE_BYTES: usize = 8;

const XOR: u32 = 0x5354_554E;

/// What a message says about its own CRC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fingerprint {
    /// None was sent.
    Absent,
    /// It stands last and matches.
    Valid,
    /// It does not match, or something stands behind it.
    Wrong,
}

/// The value for a message whose bytes up to the attribute are `covered`, its length field already
/// counting the attribute.
pub(super) fn value(covered: &[u8]) -> u32 {
    crc32fast::hash(covered) ^ XOR
}

/// Judges the attribute that begins at `offset` of `message`.
pub(super) fn check(message: &[u8], offset: usize) -> Fingerprint {
    let last = offset + ATTRIBUTE_BYTES == message.len();
    let matches = message.get(..offset).map(value) == u32_at(message, offset + 4);
    if last && matches { Fingerprint::Valid } else { Fingerprint::Wrong }
}
