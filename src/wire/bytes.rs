//! Padding, and numbers out of bytes.

/// The most zero bytes that follow an attribute's value or a stream frame's payload.
pub const MAX_PADDING: usize = 3;

/// Rounds a length up to the 4-byte boundary attributes and stream frames are padded to.
pub const fn padded(bytes: usize) -> usize {
    (bytes + 3) & !3
}

/// Copies a fixed-size array out of `bytes` at `at`, or `None` when it does not fit.
pub(super) fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk::<N>().copied()
}

/// Reads a big-endian 16-bit number at `at`.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array_at(bytes, at).map(u16::from_be_bytes)
}

/// Reads a big-endian 32-bit number at `at`.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array_at(bytes, at).map(u32::from_be_bytes)
}
