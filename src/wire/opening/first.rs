//! What a stream's first bytes say it is.
//!
//! ```text
//! 0x00..=0x03   STUN          0x16        a TLS handshake record
//! "PROXY "      PROXY, v1     0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A   PROXY, v2
//! "GET " …      HTTP/1
//! ```
//!
//! It decides on what is there and never waits for a fixed count: a client may send its first
//! byte alone. ChannelData is no answer, since nothing is bound on a stream that has just begun.

use super::peeked::starts_alike;

/// The six bytes that a PROXY header of version 1 begins with.
pub(super) const PROXY_V1: &[u8] = b"PROXY ";

/// The signature of PROXY, version 2.
pub(super) const PROXY_V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Beginnings of a request of HTTP/1; the preface of HTTP/2 is no request of a browser here.
const HTTP: [&[u8]; 4] = [b"GET ", b"POST", b"HEAD", b"OPTI"];

/// What a stream is, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum First {
    /// A STUN message.
    Stun,
    /// A TLS handshake record.
    Tls,
    /// A PROXY header in words.
    ProxyV1,
    /// A PROXY header in bytes.
    ProxyV2,
    /// A request of HTTP/1.
    Http,
    /// Nothing this server speaks.
    Other,
    /// More than one of these begins so.
    Short,
}

/// Tells what a stream is as early as its bytes do.
pub fn first(stream: &[u8]) -> First {
    match stream.first() {
        None => return First::Short,
        Some(0..=3) => return First::Stun,
        Some(0x16) => return First::Tls,
        Some(_) => {}
    }
    let candidates = [(PROXY_V1, First::ProxyV1), (PROXY_V2, First::ProxyV2)];
    let candidates = candidates.into_iter().chain(HTTP.map(|method| (method, First::Http)));
    for (beginning, kind) in candidates {
        if starts_alike(stream, beginning) {
            return if stream.len() >= beginning.len() { kind } else { First::Short };
        }
    }
    First::Other
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    #[test]
    fn one_byte_decides_wherever_it_can() {
        let cases = [(0, First::Stun), (3, First::Stun), (0x16, First::Tls), (4, First::Other)];
        for (byte, kind) in cases {
            assert_eq!(first(&[byte]), kind);
        }
        for byte in [b'P', b'G', b'H', b'O', b'\r'] {
            assert_eq!(first(&[byte]), First::Short, "{byte}");
        }
        assert_eq!(first(&[]), First::Short);
    }

    #[test]
    fn p_is_decided_by_its_second_byte() {
        assert_eq!(first(b"PR"), First::Short);
        assert_eq!(first(b"PO"), First::Short);
        assert_eq!(first(b"PU"), First::Other);
        assert_eq!(first(b"PROXY TCP4"), First::ProxyV1);
        assert_eq!(first(b"POST / HTTP/1.1"), First::Http);
    }

    #[test]
    fn the_signature_of_proxy_is_told_from_empty_lines() {
        assert_eq!(first(PROXY_V2), First::ProxyV2);
        assert_eq!(first(&PROXY_V2[..11]), First::Short);
        assert_eq!(first(b"\r\n\r\nG"), First::Other);
    }

    proptest! {
        #[test]
        fn a_prefix_is_short_or_says_what_the_whole_says(
            mut stream in any::<Vec<u8>>(),
            beginning in 0..8_usize,
        ) {
            let known: [&[u8]; 8] =
                [PROXY_V1, PROXY_V2, b"GET ", b"POST", b"HEAD", b"OPTI", &[0x16], &[1]];
            stream.splice(0..0, known[beginning].iter().copied());
            for end in 0..stream.len() {
                let verdict = first(&stream[..end]);
                assert!(verdict == First::Short || verdict == first(&stream));
            }
            assert_ne!(first(&stream), First::Short);
        }
    }
}
