//! Records as bytes, for a file or a pipe between two processes.
//!
//! ```text
//! | version, 2 | body length, 4 | CRC-32 of the body, 4 | body: the record in postcard's encoding |
//! ```
//!
//! Numbers are little-endian. Postcard names a variant by its place and a field by its order, so
//! whatever changes either is a new version. The tests keep the bytes of each version that ever
//! was.

use super::record::Record;

/// The version that is written.
pub const RECORD_VERSION: u16 = 1;

const HEADER_BYTES: usize = 10;

/// Why bytes are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadRecord {
    /// They end too soon.
    Truncated,
    /// Somebody else's version.
    Version(u16),
    /// The checksum does not match, or the body is no record.
    Damaged,
}

impl std::fmt::Display for BadRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BadRecord::Truncated => f.write_str("a record that ends too soon"),
            BadRecord::Version(version) => {
                write!(f, "a record of version {version}, where {RECORD_VERSION} is known")
            }
            BadRecord::Damaged => f.write_str("a damaged record"),
        }
    }
}

impl std::error::Error for BadRecord {}

impl Record {
    /// Appends the record.
    pub fn write(&self, out: &mut Vec<u8>) {
        let begin = out.len();
        out.extend([0; HEADER_BYTES]);
        let mut whole = postcard::to_extend(self, std::mem::take(out))
            .expect("a record holds nothing that postcard cannot write");
        let (header, body) = whole[begin..].split_at_mut(HEADER_BYTES);
        let body_bytes = u32::try_from(body.len()).expect("a record is smaller than 4 GiB");
        header[..2].copy_from_slice(&RECORD_VERSION.to_le_bytes());
        header[2..6].copy_from_slice(&body_bytes.to_le_bytes());
        header[6..].copy_from_slice(&crc32fast::hash(body).to_le_bytes());
        *out = whole;
    }

    /// Reads the first record, and says what follows it.
    ///
    /// # Errors
    /// See [`BadRecord`]. Nothing behind a bad record can be found.
    pub fn read(bytes: &[u8]) -> Result<(Record, &[u8]), BadRecord> {
        let (header, rest) =
            bytes.split_first_chunk::<HEADER_BYTES>().ok_or(BadRecord::Truncated)?;
        let [v0, v1, l0, l1, l2, l3, c0, c1, c2, c3] = *header;
        let version = u16::from_le_bytes([v0, v1]);
        if version != RECORD_VERSION {
            return Err(BadRecord::Version(version));
        }
        let body_bytes = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let (body, rest) = rest.split_at_checked(body_bytes).ok_or(BadRecord::Truncated)?;
        if crc32fast::hash(body) != u32::from_le_bytes([c0, c1, c2, c3]) {
            return Err(BadRecord::Damaged);
        }
        match postcard::take_from_bytes(body) {
            Ok((record, [])) => Ok((record, rest)),
            Ok(_) | Err(_) => Err(BadRecord::Damaged),
        }
    }
}
