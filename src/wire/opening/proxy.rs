//! The PROXY header, which says in front of a stream who its client is (the PROXY protocol,
//! versions 1 and 2, as HAProxy describes it).
//!
//! ```text
//! v1   PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n            at most 107 bytes
//! v2   | signature, 12 | version 2, command | family, transport | length, 2 |
//!      | source | destination | source port, 2 | destination port, 2 | TLVs, ignored |
//! ```

use std::net::{IpAddr, SocketAddr};

use super::{
    first::{PROXY_V1, PROXY_V2},
    peeked::{Peeked, Stop, starts_alike},
};
use crate::wire::bytes::{array_at, u16_at};

/// The longest header of version 1, line end included.
const MOST_V1_BYTES: usize = 107;

const V2_HEADER_BYTES: usize = 16;

/// The longest header of version 2: the 536 bytes that the protocol has every sender keep to, and
/// 4 KiB for those who add more.
pub const MOST_PROXY_BYTES: usize = 536 + 4_096;

/// The longest header that [`write_proxy`] writes.
pub const WRITTEN_PROXY_BYTES: usize = V2_HEADER_BYTES + 36;

/// A checked header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProxyHeader {
    /// Bytes up to what the client sent.
    pub bytes: usize,
    /// The client and the address it connected to. `None` where the header names none: a health
    /// check (LOCAL), an unknown or a unix socket. The connection's own addresses hold then.
    pub client: Option<(SocketAddr, SocketAddr)>,
}

/// Reads the header that a stream begins with.
pub fn proxy(stream: &[u8]) -> Peeked<ProxyHeader> {
    if starts_alike(stream, PROXY_V2) {
        return version_2(stream).into();
    }
    if starts_alike(stream, PROXY_V1) { version_1(stream).into() } else { Peeked::Broken }
}

fn version_1(stream: &[u8]) -> Result<ProxyHeader, Stop> {
    let shown = &stream[..stream.len().min(MOST_V1_BYTES)];
    let Some(end) = shown.iter().position(|byte| *byte == b'\n') else {
        return Err(if shown.len() == MOST_V1_BYTES { Stop::Broken } else { Stop::Short });
    };
    let line = shown[..end].strip_suffix(b"\r").ok_or(Stop::Broken)?;
    let line = line.strip_prefix(PROXY_V1).ok_or(Stop::Broken)?;
    let bytes = end + 1;
    // What follows UNKNOWN is to be ignored.
    if line == b"UNKNOWN" || line.starts_with(b"UNKNOWN ") {
        return Ok(ProxyHeader { bytes, client: None });
    }
    let line = str::from_utf8(line).map_err(|_| Stop::Broken)?;
    let client = addresses(line).ok_or(Stop::Broken)?;
    Ok(ProxyHeader { bytes, client: Some(client) })
}

/// The addresses of `TCP4 <source> <destination> <source port> <destination port>`.
fn addresses(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let mut words = line.split(' ');
    let is_v4 = match words.next()? {
        "TCP4" => true,
        "TCP6" => false,
        _ => return None,
    };
    let mut address = || words.next()?.parse().ok().filter(|ip: &IpAddr| ip.is_ipv4() == is_v4);
    let (source, destination) = (address()?, address()?);
    let (source_port, destination_port) = (port(words.next()?)?, port(words.next()?)?);
    words.next().is_none().then(|| {
        (SocketAddr::new(source, source_port), SocketAddr::new(destination, destination_port))
    })
}

/// A port in decimal: no sign and no zeros in front.
fn port(word: &str) -> Option<u16> {
    let is_plain = word == "0" || !word.starts_with(['0', '+']);
    word.parse().ok().filter(|_| is_plain)
}

fn version_2(stream: &[u8]) -> Result<ProxyHeader, Stop> {
    const LOCAL: u8 = 0x20;
    const PROXY: u8 = 0x21;
    let command = *stream.get(12).ok_or(Stop::Short)?;
    if !matches!(command, LOCAL | PROXY) {
        return Err(Stop::Broken);
    }
    let family = *stream.get(13).ok_or(Stop::Short)?;
    let length = usize::from(u16_at(stream, 14).ok_or(Stop::Short)?);
    let bytes = V2_HEADER_BYTES + length;
    let address_bytes = address_bytes(family).ok_or(Stop::Broken)?;
    if bytes > MOST_PROXY_BYTES || (command == PROXY && length < address_bytes) {
        return Err(Stop::Broken);
    }
    let body = stream.get(V2_HEADER_BYTES..bytes).ok_or(Stop::Short)?;
    let client = match (command, family) {
        (PROXY, 0x11) => pair::<4>(body),
        (PROXY, 0x21) => pair::<16>(body),
        _ => None,
    };
    Ok(ProxyHeader { bytes, client })
}

/// Bytes that a family's addresses take; `None` for a byte that names no family and transport.
const fn address_bytes(family: u8) -> Option<usize> {
    match family {
        0x00 => Some(0),
        0x11 | 0x12 => Some(12),
        0x21 | 0x22 => Some(36),
        0x31 | 0x32 => Some(216),
        _ => None,
    }
}

/// Two addresses of `N` bytes and their ports.
fn pair<const N: usize>(body: &[u8]) -> Option<(SocketAddr, SocketAddr)>
where
    IpAddr: From<[u8; N]>,
{
    let address = |at: usize, port_at: usize| {
        let ip = IpAddr::from(array_at::<N>(body, at)?);
        Some(SocketAddr::new(ip, u16_at(body, port_at)?))
    };
    Some((address(0, 2 * N)?, address(N, 2 * N + 2)?))
}

/// Writes a header of version 2 for a TCP connection from `source` to `destination`. Addresses of
/// two families are both written as IPv6.
pub fn write_proxy(
    out: &mut [u8; WRITTEN_PROXY_BYTES],
    source: SocketAddr,
    destination: SocketAddr,
) -> &[u8] {
    let (family, ip_bytes) = match (source.ip(), destination.ip()) {
        (IpAddr::V4(_), IpAddr::V4(_)) => (0x11, 4),
        _ => (0x21, 16),
    };
    let end = V2_HEADER_BYTES + 2 * ip_bytes + 4;
    out[..12].copy_from_slice(PROXY_V2);
    out[12..14].copy_from_slice(&[0x21, family]);
    out[14..16].copy_from_slice(&[0, (end - V2_HEADER_BYTES) as u8]);
    for (address, place) in [(source, 0), (destination, 1)] {
        let ip = match address.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
            IpAddr::V6(ip) => ip.octets(),
        };
        let at = V2_HEADER_BYTES + place * ip_bytes;
        out[at..at + ip_bytes].copy_from_slice(&ip[16 - ip_bytes..]);
        let at = end - 4 + 2 * place;
        out[at..at + 2].copy_from_slice(&address.port().to_be_bytes());
    }
    &out[..end]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};
    use proxy_header::{ParseConfig, Protocol, ProxiedAddress, ProxyHeader as Oracle, Tlv};

    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn read(stream: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
        let Peeked::Whole(header) = proxy(stream) else { panic!("{:?}", proxy(stream)) };
        assert_eq!(header.bytes, stream.len());
        header.client
    }

    #[test]
    fn a_line_names_client_and_destination() {
        let client = read(b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n");
        assert_eq!(client, Some((address("192.0.2.1:56324"), address("198.51.100.1:443"))));
        let client = read(b"PROXY TCP6 2001:db8::1 ::1 1 65535\r\n");
        assert_eq!(client, Some((address("[2001:db8::1]:1"), address("[::1]:65535"))));
        assert_eq!(read(b"PROXY UNKNOWN\r\n"), None);
        assert_eq!(read(b"PROXY UNKNOWN ffff::1 \xFF ? \r\n"), None);
    }

    #[test]
    fn a_line_that_is_not_one_is_broken() {
        for line in [
            "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 56324\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443 \r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 56324 65536\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 +1 443\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 01 443\r\n",
            "PROXY TCP4  192.0.2.1 198.51.100.1 1 443\r\n",
            "PROXY TCP4 ::1 ::2 1 443\r\n",
            "PROXY TCP6 192.0.2.1 198.51.100.1 1 443\r\n",
            "PROXY UDP4 192.0.2.1 198.51.100.1 1 443\r\n",
            "PROXY UNKNOWNS\r\n",
            "PROXY \r\n",
        ] {
            assert_eq!(proxy(line.as_bytes()), Peeked::Broken, "{line}");
        }
    }

    #[test]
    fn a_line_of_107_bytes_is_the_longest() {
        let line =
            |bytes: usize| [&b"PROXY UNKNOWN "[..], &vec![b'x'; bytes - 16], b"\r\n"].concat();
        assert_eq!(read(&line(107)), None);
        assert_eq!(proxy(&line(108)), Peeked::Broken);
        assert_eq!(proxy(&line(108)[..106]), Peeked::Short);
        assert_eq!(proxy(&line(108)[..107]), Peeked::Broken);
    }

    #[test]
    fn a_health_check_and_an_unknown_family_keep_the_sockets_address() {
        let header = |command: u8, family: u8, body: usize| {
            let length = u16::try_from(body).unwrap().to_be_bytes();
            [PROXY_V2, &[command, family], &length, &vec![1; body]].concat()
        };
        assert_eq!(read(&header(0x20, 0x00, 0)), None, "LOCAL");
        assert_eq!(read(&header(0x20, 0x11, 3)), None, "LOCAL, whatever follows");
        assert_eq!(read(&header(0x21, 0x00, 9)), None, "UNSPEC");
        assert_eq!(read(&header(0x21, 0x31, 216)), None, "UNIX");
        assert_eq!(read(&header(0x21, 0x12, 12)), None, "UDP over this stream");
        for (command, family, body) in [
            (0x11, 0x11, 12),
            (0x22, 0x11, 12),
            (0x21, 0x13, 12),
            (0x21, 0x41, 12),
            (0x21, 0x11, 11),
        ] {
            assert_eq!(proxy(&header(command, family, body)), Peeked::Broken, "{command} {family}");
        }
        assert!(read(&header(0x21, 0x11, MOST_PROXY_BYTES - 16)).is_some());
        assert_eq!(proxy(&header(0x21, 0x11, MOST_PROXY_BYTES - 15)[..16]), Peeked::Broken);
    }

    #[test]
    fn addresses_of_two_families_are_written_as_ipv6() {
        let mut out = [0; WRITTEN_PROXY_BYTES];
        let (source, destination) = (address("192.0.2.1:9"), address("[2001:db8::1]:443"));
        let read = read(write_proxy(&mut out, source, destination));
        assert_eq!(read, Some((address("[::ffff:192.0.2.1]:9"), destination)));
    }

    fn addresses_of_one_family() -> impl Strategy<Value = (SocketAddr, SocketAddr)> {
        let v4 = any::<([u8; 4], u16, [u8; 4], u16)>()
            .prop_map(|(a, b, c, d)| (SocketAddr::from((a, b)), SocketAddr::from((c, d))));
        let v6 = any::<([u8; 16], u16, [u8; 16], u16)>()
            .prop_map(|(a, b, c, d)| (SocketAddr::from((a, b)), SocketAddr::from((c, d))));
        prop_oneof![v4, v6]
    }

    proptest! {
        #[test]
        fn a_header_of_either_version_is_read_as_the_oracle_writes_it(
            (source, destination) in addresses_of_one_family(),
            tlv in prop_oneof![Just(None), prop::collection::vec(any::<u8>(), 0..600).prop_map(Some)],
            is_v1: bool,
        ) {
            let addresses = ProxiedAddress { protocol: Protocol::Stream, source, destination };
            let mut header = Oracle::with_address(addresses);
            let mut stream = Vec::new();
            if is_v1 {
                header.encode_v1(&mut stream).unwrap();
            } else {
                let tlvs = tlv.iter().map(|value| Tlv::Custom(0xEA, value.into()));
                tlvs.for_each(|tlv| header.append_tlv(tlv));
                header.encode_v2(&mut stream).unwrap();
            }
            assert_eq!(read(&stream), Some((source, destination)));
            for end in 0..stream.len() {
                assert_eq!(proxy(&stream[..end]), Peeked::Short);
            }
            let bytes = stream.len();
            stream.extend_from_slice(b"\r\nmore");
            let client = Some((source, destination));
            assert_eq!(proxy(&stream), Peeked::Whole(ProxyHeader { bytes, client }));
        }

        #[test]
        fn what_is_written_is_read_by_the_oracle((source, destination) in addresses_of_one_family()) {
            let mut out = [0; WRITTEN_PROXY_BYTES];
            let written = write_proxy(&mut out, source, destination);
            let (header, bytes) = Oracle::parse(written, ParseConfig::default()).unwrap();
            let expected = ProxiedAddress { protocol: Protocol::Stream, source, destination };
            assert_eq!((header.proxied_address(), bytes), (Some(&expected), written.len()));
        }

        #[test]
        fn what_is_read_of_any_bytes_is_what_the_oracle_reads(
            bytes: Vec<u8>,
            command in 0x1F_u8..0x23,
            family in prop::sample::select(vec![0_u8, 0x11, 0x12, 0x21, 0x31, 0x32, 0x51]),
        ) {
            let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
            let stream = [PROXY_V2, &[command, family], &length, &bytes].concat();
            let verdict = proxy(&stream);
            for end in 0..stream.len() {
                let early = proxy(&stream[..end]);
                assert!(early == Peeked::Short || early == verdict);
            }
            let Peeked::Whole(header) = verdict else { return Ok(()) };
            let Ok((oracle, used)) = Oracle::parse(&stream, ParseConfig::default()) else {
                return Ok(());
            };
            assert_eq!(header.bytes, used);
            let oracle = oracle.proxied_address().filter(|it| it.protocol == Protocol::Stream);
            assert_eq!(header.client, oracle.map(|it| (it.source, it.destination)));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            let _ = proxy(&bytes);
            let _ = proxy(&[PROXY_V2, &bytes].concat());
            let _ = proxy(&[PROXY_V1, &bytes].concat());
        }
    }
}
