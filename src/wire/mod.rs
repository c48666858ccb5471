//! Bytes to meaning and back: STUN (RFC 8489), TURN (RFC 8656), ChannelData.
//!
//! Views borrow the received bytes: everything that can be wrong is checked once, in the
//! constructor, and the getters after it cannot panic. Writers go into a caller's `&mut [u8]` and
//! remember an overflow until [`MessageWriter::finish`]. Nothing here allocates, does I/O, reads a
//! clock or draws a random number; there is one parser, one encoder and one predicate per rule.
//!
//! ```text
//! stun/        messages: header, attributes, integrity, fingerprint; one parser, one encoder
//! opening/     what a stream begins with: first bytes, PROXY header, ClientHello
//! channel.rs   channel numbers and ChannelData frames
//! frames.rs    where a frame ends in a stream
//! run.rs       which datagrams of a train one verdict holds for
//! prefix.rs    what is written in front of a relayed payload
//! bytes.rs     padding, and numbers out of bytes
//! ```

mod bytes;
mod channel;
mod frames;
mod opening;
mod prefix;
mod run;
mod stun;

pub use bytes::{MAX_PADDING, padded};
pub use channel::{ChannelData, ChannelDataError, ChannelNumber, ChannelRange};
pub use frames::{Delimited, MOST_FRAME_BYTES, delimit};
pub use opening::{
    first::{First, first},
    hello::{AlpnOffers, AppProtocol, Hello, MOST_HELLO_BYTES, ServerName, hello},
    peeked::Peeked,
    proxy::{MOST_PROXY_BYTES, ProxyHeader, WRITTEN_PROXY_BYTES, proxy, write_proxy},
};
pub use prefix::Prefix;
pub use run::run;
pub use stun::{
    address::Family,
    attribute::{Attribute, AttributeType, Attributes},
    error_code::ErrorCode,
    fingerprint::Fingerprint,
    glance::{Glance, Shown},
    header::{
        Class, HEADER_BYTES, Header, HeaderError, MAGIC_COOKIE, Method, PacketKind, TransactionId,
    },
    integrity::{IntegrityKey, TimeLimitedPassword, long_term_key, mac, time_limited_password},
    message::{Malformed, Message, ParseError},
    writer::{Full, MessageWriter},
};

/// IANA protocol number of UDP, the one transport a relay may be asked for here (RFC 8656 §18.8).
pub const TRANSPORT_UDP: u8 = 17;

/// The protocol number of TCP in REQUESTED-TRANSPORT (RFC 6062 §5.1).
pub const TRANSPORT_TCP: u8 = 6;
