//! Room around a payload that costs no copy.

/// Writable bytes guaranteed in front of every received and every blank payload.
///
/// 20 (STUN header) + 24 (XOR-PEER-ADDRESS of IPv6) + 4 (DATA header): the largest prefix a relayed
/// payload gets (RFC 8656 §11.6).
pub const HEADROOM: usize = 48;

/// The longest zero padding that may stand behind a piece, in bytes.
pub const PAD_MAX: usize = 3;
