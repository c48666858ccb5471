//! A look at a TLS ClientHello, before anything is decrypted: which name it asks for, which
//! protocols it offers (RFC 8446 §4.1.2, RFC 6066 §3, RFC 7301 §3.1, RFC 7443).
//!
//! ```text
//! records     | 22 | version, 2 | length, 2 | a piece of the handshake … |
//! handshake   | 1 | length, 3 | version, 2 | random, 32 | session id | suites | compression |
//! extensions  | length, 2 | { kind, 2 | length, 2 | … } … |
//! ```
//!
//! A post-quantum hello comes in two segments, and a client may spread it over as many records as
//! it likes, so the reader crosses records. Nothing is copied but the name. Work is linear in the
//! bytes, and more than [`MOST_HELLO_BYTES`] are refused.

use super::peeked::{Peeked, Stop};

/// The most bytes of a stream that its ClientHello may end behind, record headers included.
pub const MOST_HELLO_BYTES: usize = 16_384;

/// Longest DNS name in its text form (RFC 1035 §2.3.4).
const MOST_NAME_BYTES: usize = 253;

const RECORD_HEADER_BYTES: usize = 5;
const MOST_RECORD_BYTES: usize = 16_384;
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const HOST_NAME: u8 = 0;
const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;

/// What a ClientHello asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hello {
    /// The host name, if one is asked for that could be one.
    pub server_name: Option<ServerName>,
    /// The application protocols it offers.
    pub alpn: AlpnOffers,
}

/// A host name in lower case; 1 to 253 bytes, which may be any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerName {
    bytes: [u8; MOST_NAME_BYTES],
    length: u8,
}

impl ServerName {
    /// The name as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

/// An application protocol as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppProtocol {
    /// `stun.turn` (RFC 7443 §3).
    StunTurn = 1,
    /// `stun.nat-discovery` (RFC 7443 §3).
    NatDiscovery = 2,
    /// `h2`, `http/1.1` or `http/1.0`.
    Http = 4,
    /// `acme-tls/1` (RFC 8737 §6.1).
    Acme = 8,
    /// Any other.
    Other = 16,
}

impl AppProtocol {
    const fn of(name: &[u8]) -> AppProtocol {
        match name {
            b"stun.turn" => AppProtocol::StunTurn,
            b"stun.nat-discovery" => AppProtocol::NatDiscovery,
            b"h2" | b"http/1.1" | b"http/1.0" => AppProtocol::Http,
            b"acme-tls/1" => AppProtocol::Acme,
            _ => AppProtocol::Other,
        }
    }
}

/// A set of application protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AlpnOffers(u8);

impl AlpnOffers {
    /// True when the protocol is offered.
    pub const fn has(self, protocol: AppProtocol) -> bool {
        self.0 & protocol as u8 != 0
    }

    /// True when one of STUN's protocols is offered.
    pub const fn has_stun(self) -> bool {
        self.has(AppProtocol::StunTurn) || self.has(AppProtocol::NatDiscovery)
    }

    fn add(&mut self, protocol: AppProtocol) {
        self.0 |= protocol as u8;
    }
}

/// Looks at the ClientHello that a stream begins with.
pub fn hello(stream: &[u8]) -> Peeked<Hello> {
    Reader { stream, at: 0, record_end: 0, left: usize::MAX }.client_hello().into()
}

/// Reads the handshake across the records that carry it.
struct Reader<'a> {
    stream: &'a [u8],
    at: usize,
    /// Where the record that `at` stands in ends; at least `at`.
    record_end: usize,
    /// Bytes left of the innermost vector.
    left: usize,
}

impl Reader<'_> {
    fn client_hello(&mut self) -> Result<Hello, Stop> {
        if self.u8()? != CLIENT_HELLO {
            return Err(Stop::Broken);
        }
        let length = usize::from(self.u8()?) << 16 | usize::from(self.u16()?);
        if length > MOST_HELLO_BYTES {
            return Err(Stop::Broken);
        }
        // What begins behind the hello is not looked at: there is no outer vector to go back to.
        self.enter(length)?;
        self.skip(2 + 32)?;
        let session = self.u8()?;
        self.skip(usize::from(session))?;
        let suites = self.u16()?;
        self.skip(usize::from(suites))?;
        let compression = self.u8()?;
        self.skip(usize::from(compression))?;
        let mut hello = Hello::default();
        if self.left > 0 {
            self.extensions(&mut hello)?;
        }
        self.is_used_up()?;
        Ok(hello)
    }

    fn extensions(&mut self, hello: &mut Hello) -> Result<(), Stop> {
        let length = self.u16()?;
        let outer = self.enter(length.into())?;
        let (mut has_name, mut has_alpn) = (false, false);
        while self.left > 0 {
            let kind = self.u16()?;
            let length = self.u16()?;
            let extensions = self.enter(length.into())?;
            match kind {
                SERVER_NAME if has_name => return Err(Stop::Broken),
                ALPN if has_alpn => return Err(Stop::Broken),
                SERVER_NAME => {
                    has_name = true;
                    hello.server_name = self.server_names()?;
                }
                ALPN => {
                    has_alpn = true;
                    hello.alpn = self.protocols()?;
                }
                _ => self.skip(self.left)?,
            }
            self.leave(extensions)?;
        }
        self.leave(outer)
    }

    /// The first host name of the list.
    fn server_names(&mut self) -> Result<Option<ServerName>, Stop> {
        let length = self.u16()?;
        let outer = self.enter(length.into())?;
        let mut found = None;
        while self.left > 0 {
            let kind = self.u8()?;
            let length = usize::from(self.u16()?);
            let list = self.enter(length)?;
            if kind == HOST_NAME && found.is_none() && (1..=MOST_NAME_BYTES).contains(&length) {
                let mut name = ServerName { bytes: [0; MOST_NAME_BYTES], length: length as u8 };
                self.read(&mut name.bytes[..length])?;
                name.bytes.make_ascii_lowercase();
                found = Some(name);
            } else {
                self.skip(length)?;
            }
            self.leave(list)?;
        }
        self.leave(outer)?;
        Ok(found)
    }

    fn protocols(&mut self) -> Result<AlpnOffers, Stop> {
        let length = self.u16()?;
        let outer = self.enter(length.into())?;
        let mut offers = AlpnOffers::default();
        while self.left > 0 {
            let length = usize::from(self.u8()?);
            // An empty name is none (RFC 7301 §3.1).
            if length == 0 {
                return Err(Stop::Broken);
            }
            // As many bytes as the longest known name: a longer one is another.
            let mut name = [0; 18];
            let shown = length.min(name.len());
            self.read(&mut name[..shown])?;
            self.skip(length - shown)?;
            let known =
                if length == shown { AppProtocol::of(&name[..shown]) } else { AppProtocol::Other };
            offers.add(known);
        }
        self.leave(outer)?;
        Ok(offers)
    }

    /// Begins a vector of `length` bytes and returns what is left of the outer one behind it.
    fn enter(&mut self, length: usize) -> Result<usize, Stop> {
        let outer = self.left.checked_sub(length).ok_or(Stop::Broken)?;
        self.left = length;
        Ok(outer)
    }

    fn leave(&mut self, outer: usize) -> Result<(), Stop> {
        self.is_used_up()?;
        self.left = outer;
        Ok(())
    }

    fn is_used_up(&self) -> Result<(), Stop> {
        if self.left == 0 { Ok(()) } else { Err(Stop::Broken) }
    }

    fn u8(&mut self) -> Result<u8, Stop> {
        let mut byte = [0];
        self.read(&mut byte)?;
        Ok(byte[0])
    }

    fn u16(&mut self) -> Result<u16, Stop> {
        let mut bytes = [0; 2];
        self.read(&mut bytes)?;
        Ok(u16::from_be_bytes(bytes))
    }

    fn read(&mut self, out: &mut [u8]) -> Result<(), Stop> {
        let mut done = 0;
        self.pieces(out.len(), |piece| {
            out[done..done + piece.len()].copy_from_slice(piece);
            done += piece.len();
        })
    }

    fn skip(&mut self, bytes: usize) -> Result<(), Stop> {
        self.pieces(bytes, |_| {})
    }

    /// Hands on the next `bytes` of the handshake, a piece for each record they stand in.
    fn pieces(&mut self, bytes: usize, mut each: impl FnMut(&[u8])) -> Result<(), Stop> {
        self.left = self.left.checked_sub(bytes).ok_or(Stop::Broken)?;
        let mut wanted = bytes;
        while wanted > 0 {
            while self.at == self.record_end {
                self.record()?;
            }
            let end = self.record_end.min(self.at + wanted);
            if end > MOST_HELLO_BYTES {
                return Err(Stop::Broken);
            }
            let piece = self.stream.get(self.at..end).ok_or(Stop::Short)?;
            each(piece);
            wanted -= piece.len();
            self.at = end;
        }
        Ok(())
    }

    /// Steps into the next record.
    fn record(&mut self) -> Result<(), Stop> {
        let header = self.stream.get(self.at..).unwrap_or_default();
        let is_handshake = header.first().is_none_or(|kind| *kind == HANDSHAKE);
        let is_tls = header.get(1).is_none_or(|major| *major == 3);
        if !is_handshake || !is_tls {
            return Err(Stop::Broken);
        }
        let header: &[u8; RECORD_HEADER_BYTES] = header.first_chunk().ok_or(Stop::Short)?;
        let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
        // An empty piece of a handshake is refused (RFC 8446 §5.1).
        if length == 0 || length > MOST_RECORD_BYTES {
            return Err(Stop::Broken);
        }
        self.at += RECORD_HEADER_BYTES;
        self.record_end = self.at + length;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};

    use super::*;

    /// A hello whose handshake is cut into records of `piece` bytes.
    fn records(handshake: &[u8], piece: usize) -> Vec<u8> {
        let record = |piece: &[u8]| {
            let length = u16::try_from(piece.len()).unwrap().to_be_bytes();
            [&[HANDSHAKE, 3, 1], &length[..], piece].concat()
        };
        handshake.chunks(piece.max(1)).flat_map(record).collect()
    }

    fn vector(bytes: &[u8]) -> Vec<u8> {
        [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
    }

    fn handshake(extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let extension =
            |(kind, body): &(u16, Vec<u8>)| [&kind.to_be_bytes()[..], &vector(body)].concat();
        let extensions: Vec<u8> = extensions.iter().flat_map(extension).collect();
        let head = [&[3, 3][..], &[7; 32], &[4, 1, 2, 3, 4], &vector(&[0x13, 1, 0x13, 2]), &[1, 0]];
        let body = [&head.concat()[..], &vector(&extensions)].concat();
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        [&[CLIENT_HELLO], &length[1..], &body].concat()
    }

    fn server_name(name: &[u8]) -> (u16, Vec<u8>) {
        (SERVER_NAME, vector(&[&[HOST_NAME], &vector(name)[..]].concat()))
    }

    fn alpn(names: &[&[u8]]) -> (u16, Vec<u8>) {
        let name = |name: &&[u8]| [&[u8::try_from(name.len()).unwrap()], *name].concat();
        (ALPN, vector(&names.iter().flat_map(name).collect::<Vec<u8>>()))
    }

    fn whole(stream: &[u8]) -> Hello {
        let Peeked::Whole(hello) = hello(stream) else { panic!("no hello: {:?}", hello(stream)) };
        hello
    }

    #[test]
    fn name_and_protocols_are_found_however_the_hello_is_cut_into_records() {
        let names: [&[u8]; 3] = [b"http/1.1", b"stun.turn", b"stun.nat-discovery"];
        let plain = handshake(&[(43, vec![2, 3, 4]), server_name(b"Turn.Example"), alpn(&names)]);
        for piece in 1..=plain.len() {
            let hello = whole(&records(&plain, piece));
            assert_eq!(hello.server_name.unwrap().as_bytes(), b"turn.example");
            assert!(hello.alpn.has_stun() && hello.alpn.has(AppProtocol::Http));
            assert!(!hello.alpn.has(AppProtocol::Other));
        }
    }

    #[test]
    fn a_hello_without_extensions_asks_for_nothing() {
        assert_eq!(whole(&records(&handshake(&[]), 4_096)), Hello::default());
        let body = [&[3, 3][..], &[7; 32], &[0], &vector(&[0x13, 1]), &[1, 0]].concat();
        let bare = [&[CLIENT_HELLO, 0, 0, u8::try_from(body.len()).unwrap()], &body[..]].concat();
        assert_eq!(whole(&records(&bare, 4_096)), Hello::default());
    }

    #[test]
    fn protocols_are_told_apart_by_their_whole_name() {
        let names: [&[u8]; 3] = [b"stun.nat-discovery2", b"stun.tur", b"h3"];
        let hello = whole(&records(&handshake(&[alpn(&names)]), 99));
        assert_eq!(hello.alpn, AlpnOffers(AppProtocol::Other as u8));
        let hello = whole(&records(&handshake(&[alpn(&[b"acme-tls/1"])]), 99));
        assert_eq!(hello.alpn, AlpnOffers(AppProtocol::Acme as u8));
    }

    #[test]
    fn a_name_that_is_too_long_for_one_is_no_name() {
        assert_eq!(
            whole(&records(&handshake(&[server_name(&[b'a'; 254])]), 999)).server_name,
            None
        );
        let longest = whole(&records(&handshake(&[server_name(&[b'a'; 253])]), 999));
        assert_eq!(longest.server_name.unwrap().as_bytes(), [b'a'; 253]);
    }

    #[test]
    fn lengths_that_do_not_add_up_are_broken() {
        let good = handshake(&[server_name(b"a"), alpn(&[b"h2"])]);
        let is_broken = |handshake: &[u8]| hello(&records(handshake, 4_096)) == Peeked::Broken;
        assert!(!is_broken(&good));
        for (at, value) in [(0, 2), (1, 1), (3, good[3] - 1), (38, 200), (52, good[52] - 1)] {
            let mut bad = good.clone();
            bad[at] = value;
            assert!(is_broken(&bad), "byte {at}");
        }
        assert!(is_broken(&handshake(&[server_name(b"a"), server_name(b"a")])), "twice");
        assert!(is_broken(&handshake(&[alpn(&[b""])])), "an empty protocol");
    }

    #[test]
    fn a_record_of_another_kind_is_broken() {
        let good = records(&handshake(&[server_name(b"a")]), 20);
        for (at, value) in [(0, 21), (1, 2), (4, 0), (25, 23)] {
            let mut bad = good.clone();
            bad[at] = value;
            assert_eq!(hello(&bad), Peeked::Broken, "byte {at}");
        }
    }

    #[test]
    fn a_hello_longer_than_the_limit_is_broken() {
        let fits = handshake(&[(21, vec![0; 16_000])]);
        assert_eq!(whole(&records(&fits, 16_384)), Hello::default());
        assert_eq!(hello(&records(&fits, 8)), Peeked::Broken, "with its record headers");
        assert_eq!(hello(&records(&handshake(&[(21, vec![0; 17_000])]), 9_999)), Peeked::Broken);
    }

    proptest! {
        #[test]
        fn a_prefix_is_short_or_says_what_the_whole_says(
            name in prop::collection::vec(any::<u8>(), 0..40),
            piece in 1..90_usize,
            damage in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
        ) {
            let mut stream = records(&handshake(&[server_name(&name), alpn(&[b"h2"])]), piece);
            if let Some((at, value)) = &damage {
                let at = at.index(stream.len());
                stream[at] = *value;
            }
            let verdict = hello(&stream);
            assert!(damage.is_some() || matches!(verdict, Peeked::Whole(_)));
            for end in 0..stream.len() {
                let early = hello(&stream[..end]);
                assert!(early == Peeked::Short || early == verdict, "{end}");
                assert!(damage.is_some() || early == Peeked::Short, "{end}");
            }
            stream.extend_from_slice(&[9; 30]);
            assert!(verdict == Peeked::Short || hello(&stream) == verdict, "what follows is nothing");
        }

        #[test]
        fn any_bytes_are_looked_at_without_panic(stream: Vec<u8>, piece in 1..300_usize) {
            let _ = hello(&stream);
            let _ = hello(&records(&[&[CLIENT_HELLO, 0, 0, 99, 3, 3], &stream[..]].concat(), piece));
        }
    }
}
