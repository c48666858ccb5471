//! STUN messages (RFC 8489), with the attributes of TURN (RFC 8656, RFC 6062).
//!
//! ```text
//! header.rs       the 20 bytes in front of every message: class, method, transaction
//! glance.rs       what a message shows before it is checked
//! message.rs      a checked message and its typed attributes
//! attribute.rs    attribute numbers and the walk over type-length-value triples
//! address.rs      XOR-…-ADDRESS, IPv4 and IPv6
//! writer.rs       the one encoder of messages
//! integrity.rs    keys, MESSAGE-INTEGRITY, passwords derived from a shared secret
//! fingerprint.rs  the CRC that tells STUN from anything else
//! error_code.rs   the error codes a relay answers with
//! ```

pub(super) mod address;
pub(super) mod attribute;
pub(super) mod error_code;
pub(super) mod fingerprint;
pub(super) mod glance;
pub(super) mod header;
pub(super) mod integrity;
pub(super) mod message;
#[cfg(test)]
mod vectors;
pub(super) mod writer;
