//! Bytes to meaning and back: STUN (RFC 8489), TURN (RFC 8656), ChannelData.
//!
//! Views borrow the received bytes: everything that can be wrong is checked once, in the
//! constructor, and the getters after it cannot panic. Writers go into a caller's `&mut [u8]` and
//! remember an overflow until [`MessageWriter::finish`]. Nothing here allocates, does I/O, reads a
//! clock or draws a random number; there is one parser, one encoder and one predicate per rule.
//!
//! ```text
//! header.rs       the 20 bytes in front of every STUN message: class, method, transaction
//! glance.rs       what a message shows before it is checked
//! message.rs      a checked message and its typed attributes
//! attribute.rs    attribute numbers and the walk over type-length-value triples
//! address.rs      XOR-…-ADDRESS, IPv4 and IPv6
//! writer.rs       the one encoder of messages
//! integrity.rs    keys, MESSAGE-INTEGRITY, passwords derived from a shared secret
//! fingerprint.rs  the CRC that tells STUN from anything else
//! error_code.rs   the error codes a relay answers with
//! channel.rs      channel numbers and ChannelData frames
//! frames.rs       where a frame ends in a stream
//! first.rs        what a stream's first bytes say it is
//! hello.rs        a look at a TLS ClientHello
//! proxy.rs        the PROXY header that a balancer sends in front of a stream
//! peeked.rs       what a look at the beginning of a stream brings
//! run.rs          which datagrams of a train one verdict holds for
//! prefix.rs       what is written in front of a relayed payload
//! bytes.rs        padding, and numbers out of bytes
//! ```

mod address;
mod attribute;
mod bytes;
mod channel;
mod error_code;
mod fingerprint;
mod first;
mod frames;
mod glance;
mod header;
mod hello;
mod integrity;
mod message;
mod peeked;
mod prefix;
mod proxy;
mod run;
#[cfg(test)]
mod vectors;
mod writer;

pub use address::Family;
pub use attribute::{Attribute, AttributeType, Attributes};
pub use bytes::{MAX_PADDING, padded};
pub use channel::{ChannelData, ChannelDataError, ChannelNumber, ChannelRange};
pub use error_code::ErrorCode;
pub use fingerprint::Fingerprint;
pub use first::{First, first};
pub use frames::{Delimited, MOST_FRAME_BYTES, delimit};
pub use glance::{Glance, Shown};
pub use header::{
    Class, HEADER_BYTES, Header, HeaderError, MAGIC_COOKIE, Method, PacketKind, TransactionId,
};
pub use hello::{AlpnOffers, AppProtocol, Hello, MOST_HELLO_BYTES, ServerName, hello};
pub use integrity::{IntegrityKey, TimeLimitedPassword, mac, time_limited_password};
pub use message::{Malformed, Message, ParseError};
pub use peeked::Peeked;
pub use prefix::Prefix;
pub use proxy::{MOST_PROXY_BYTES, ProxyHeader, WRITTEN_PROXY_BYTES, proxy, write_proxy};
pub use run::run;
pub use writer::{Full, MessageWriter};

/// IANA protocol number of UDP, the one transport a relay may be asked for here (RFC 8656 §18.8).
pub const TRANSPORT_UDP: u8 = 17;

/// The protocol number of TCP in REQUESTED-TRANSPORT (RFC 6062 §5.1).
pub const TRANSPORT_TCP: u8 = 6;
