//! STUN as the tests know it: written from the RFCs alone, sharing nothing with `uturn::wire`, so
//! that a mistake there cannot hide itself here. It builds what a client may send, well formed or
//! not, and takes answers apart, panicking at whatever a client would have to reject.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use sha1::Sha1;

pub const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];

pub mod method {
    pub const BINDING: u16 = 0x001;
    pub const ALLOCATE: u16 = 0x003;
    pub const REFRESH: u16 = 0x004;
    pub const SEND: u16 = 0x006;
    pub const DATA: u16 = 0x007;
    pub const CREATE_PERMISSION: u16 = 0x008;
    pub const CHANNEL_BIND: u16 = 0x009;
    pub const CONNECT: u16 = 0x00A;
    pub const CONNECTION_BIND: u16 = 0x00B;
    pub const CONNECTION_ATTEMPT: u16 = 0x00C;
}

pub mod attribute {
    pub const USERNAME: u16 = 0x0006;
    pub const MESSAGE_INTEGRITY: u16 = 0x0008;
    pub const ERROR_CODE: u16 = 0x0009;
    pub const UNKNOWN_ATTRIBUTES: u16 = 0x000A;
    pub const CHANNEL_NUMBER: u16 = 0x000C;
    pub const LIFETIME: u16 = 0x000D;
    pub const XOR_PEER_ADDRESS: u16 = 0x0012;
    pub const DATA: u16 = 0x0013;
    pub const REALM: u16 = 0x0014;
    pub const NONCE: u16 = 0x0015;
    pub const XOR_RELAYED_ADDRESS: u16 = 0x0016;
    pub const REQUESTED_ADDRESS_FAMILY: u16 = 0x0017;
    pub const EVEN_PORT: u16 = 0x0018;
    pub const REQUESTED_TRANSPORT: u16 = 0x0019;
    pub const DONT_FRAGMENT: u16 = 0x001A;
    pub const XOR_MAPPED_ADDRESS: u16 = 0x0020;
    pub const RESERVATION_TOKEN: u16 = 0x0022;
    pub const CONNECTION_ID: u16 = 0x002A;
    pub const ADDITIONAL_ADDRESS_FAMILY: u16 = 0x8000;
    pub const ADDRESS_ERROR_CODE: u16 = 0x8001;
    pub const SOFTWARE: u16 = 0x8022;
    pub const FINGERPRINT: u16 = 0x8028;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Request,
    Indication,
    Success,
    Error,
}

pub type TransactionId = [u8; 12];

/// RFC 8489 §5: the class's two bits stand at 0x0010 and 0x0100, between those of the method.
fn message_type(method: u16, class: Class) -> u16 {
    let class_bits = match class {
        Class::Request => 0x0000,
        Class::Indication => 0x0010,
        Class::Success => 0x0100,
        Class::Error => 0x0110,
    };
    (method & 0x000F) | (method & 0x0070) << 1 | (method & 0x0F80) << 2 | class_bits
}

fn split_type(value: u16) -> (u16, Class) {
    let method = (value & 0x000F) | (value & 0x00E0) >> 1 | (value & 0x3E00) >> 2;
    let class = match value & 0x0110 {
        0x0000 => Class::Request,
        0x0010 => Class::Indication,
        0x0100 => Class::Success,
        _ => Class::Error,
    };
    (method, class)
}

/// MD5(user ":" realm ":" password): RFC 8489 §9.2.2.
pub fn long_term_key(user: &str, realm: &str, password: &str) -> [u8; 16] {
    Md5::digest(format!("{user}:{realm}:{password}")).into()
}

/// HMAC-SHA1, as MESSAGE-INTEGRITY and time-limited passwords have it.
pub fn hmac_sha1(key: &[u8], text: &[u8]) -> [u8; 20] {
    let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(text);
    mac.finalize().into_bytes().into()
}

/// A message being written. Attributes stand in the order of the calls.
#[derive(Clone)]
pub struct Builder {
    bytes: Vec<u8>,
}

impl Builder {
    pub fn new(method: u16, class: Class, transaction: TransactionId) -> Self {
        let mut bytes = message_type(method, class).to_be_bytes().to_vec();
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&MAGIC_COOKIE);
        bytes.extend_from_slice(&transaction);
        Self { bytes }
    }

    pub fn request(method: u16) -> Self {
        Self::new(method, Class::Request, random_transaction())
    }

    pub fn indication(method: u16) -> Self {
        Self::new(method, Class::Indication, random_transaction())
    }

    pub fn transaction(&self) -> TransactionId {
        self.bytes[8..20].try_into().expect("twelve bytes")
    }

    pub fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        let length = u16::try_from(value.len()).expect("a value fits into a datagram");
        self.bytes.extend_from_slice(&kind.to_be_bytes());
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self.set_length(self.bytes.len() - 20);
        self
    }

    pub fn xor_address(self, kind: u16, address: SocketAddr) -> Self {
        let value = xor_address(address, &self.transaction());
        self.attribute(kind, &value)
    }

    pub fn peer(self, address: SocketAddr) -> Self {
        self.xor_address(attribute::XOR_PEER_ADDRESS, address)
    }

    pub fn lifetime(self, lifetime_s: u32) -> Self {
        self.attribute(attribute::LIFETIME, &lifetime_s.to_be_bytes())
    }

    pub fn udp_transport(self) -> Self {
        self.attribute(attribute::REQUESTED_TRANSPORT, &[17, 0, 0, 0])
    }

    pub fn channel_number(self, number: u16) -> Self {
        let [high, low] = number.to_be_bytes();
        self.attribute(attribute::CHANNEL_NUMBER, &[high, low, 0, 0])
    }

    /// RFC 8489 §14.5: the length field counts up to and including MESSAGE-INTEGRITY.
    pub fn integrity(mut self, key: &[u8]) -> Self {
        self.set_length(self.bytes.len() - 20 + 24);
        let mac = hmac_sha1(key, &self.bytes);
        self.attribute(attribute::MESSAGE_INTEGRITY, &mac)
    }

    /// RFC 8489 §14.7.
    pub fn fingerprint(mut self) -> Self {
        self.set_length(self.bytes.len() - 20 + 8);
        let crc = crc32fast::hash(&self.bytes) ^ 0x5354_554E;
        self.attribute(attribute::FINGERPRINT, &crc.to_be_bytes())
    }

    pub fn bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn set_length(&mut self, length: usize) {
        let length = u16::try_from(length).expect("a message fits into a datagram");
        self.bytes[2..4].copy_from_slice(&length.to_be_bytes());
    }
}

/// A message that was received, checked in full.
#[derive(Clone, Debug)]
pub struct Answer {
    pub method: u16,
    pub class: Class,
    pub transaction: TransactionId,
    pub attributes: Vec<(u16, Vec<u8>)>,
    pub raw: Vec<u8>,
}

impl Answer {
    /// Takes a message apart and panics if it is not one: the tests' relay may send no other.
    pub fn parse(raw: &[u8]) -> Self {
        assert!(raw.len() >= 20, "shorter than a header: {raw:02x?}");
        assert_eq!(raw[4..8], MAGIC_COOKIE, "without the cookie: {raw:02x?}");
        let length = usize::from(u16::from_be_bytes([raw[2], raw[3]]));
        assert_eq!(length, raw.len() - 20, "the length field lies: {raw:02x?}");
        let (method, class) = split_type(u16::from_be_bytes([raw[0], raw[1]]));
        let transaction = raw[8..20].try_into().expect("twelve bytes");
        let answer = Self {
            method,
            class,
            transaction,
            attributes: attributes(&raw[20..]),
            raw: raw.to_vec(),
        };
        answer.check_fingerprint();
        answer
    }

    pub fn get(&self, kind: u16) -> Option<&[u8]> {
        let found = self.attributes.iter().find(|(it, _)| *it == kind);
        found.map(|(_, value)| value.as_slice())
    }

    pub fn has(&self, kind: u16) -> bool {
        self.get(kind).is_some()
    }

    pub fn kinds(&self) -> Vec<u16> {
        self.attributes.iter().map(|(kind, _)| *kind).collect()
    }

    /// The code of an error answer, `None` for a success.
    pub fn code(&self) -> Option<u16> {
        let value = self.get(attribute::ERROR_CODE)?;
        assert_eq!(self.class, Class::Error, "ERROR-CODE in a success");
        Some(u16::from(value[2] & 7) * 100 + u16::from(value[3]))
    }

    pub fn lifetime_s(&self) -> u32 {
        let value = self.get(attribute::LIFETIME).expect("LIFETIME is there");
        u32::from_be_bytes(value.try_into().expect("LIFETIME has four bytes"))
    }

    pub fn text(&self, kind: u16) -> String {
        let value = self.get(kind).expect("the attribute is there");
        String::from_utf8(value.to_vec()).expect("UTF-8")
    }

    pub fn addresses(&self, kind: u16) -> Vec<SocketAddr> {
        let of_kind = self.attributes.iter().filter(|(it, _)| *it == kind);
        of_kind.map(|(_, value)| unxor_address(value, &self.transaction)).collect()
    }

    pub fn address(&self, kind: u16) -> SocketAddr {
        self.addresses(kind).first().copied().expect("the address is there")
    }

    /// True when MESSAGE-INTEGRITY is there and was made with `key`.
    pub fn is_signed_with(&self, key: &[u8]) -> bool {
        let mut offset = 20;
        for (kind, value) in &self.attributes {
            if *kind == attribute::MESSAGE_INTEGRITY {
                let mut text = self.raw[..offset].to_vec();
                let length = u16::try_from(offset - 20 + 24).expect("short");
                text[2..4].copy_from_slice(&length.to_be_bytes());
                return hmac_sha1(key, &text) == value.as_slice();
            }
            offset += 4 + value.len().next_multiple_of(4);
        }
        false
    }

    fn check_fingerprint(&self) {
        let Some(value) = self.get(attribute::FINGERPRINT) else { return };
        let crc = crc32fast::hash(&self.raw[..self.raw.len() - 8]) ^ 0x5354_554E;
        assert_eq!(value, crc.to_be_bytes(), "the fingerprint is wrong");
    }
}

fn attributes(mut rest: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let mut found = Vec::new();
    while !rest.is_empty() {
        assert!(rest.len() >= 4, "half an attribute: {rest:02x?}");
        let kind = u16::from_be_bytes([rest[0], rest[1]]);
        let length = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        let end = 4 + length.next_multiple_of(4);
        assert!(rest.len() >= end, "attribute {kind:#06x} runs out of the message");
        found.push((kind, rest[4..4 + length].to_vec()));
        rest = &rest[end..];
    }
    found
}

/// RFC 8489 §14.2: the port is masked with the cookie's first half, an IPv4 address with the
/// cookie, an IPv6 address with cookie and transaction.
pub fn xor_address(address: SocketAddr, transaction: &TransactionId) -> Vec<u8> {
    let mut value = vec![0, if address.is_ipv4() { 1 } else { 2 }];
    value.extend_from_slice(&(address.port() ^ 0x2112).to_be_bytes());
    let octets = match address.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    value.extend(octets.iter().zip(mask(transaction)).map(|(octet, mask)| octet ^ mask));
    value
}

fn unxor_address(value: &[u8], transaction: &TransactionId) -> SocketAddr {
    let port = u16::from_be_bytes([value[2], value[3]]) ^ 0x2112;
    let octets: Vec<u8> =
        value[4..].iter().zip(mask(transaction)).map(|(octet, mask)| octet ^ mask).collect();
    let ip = match value[1] {
        1 => IpAddr::from(<[u8; 4]>::try_from(octets).map(Ipv4Addr::from).expect("four bytes")),
        2 => IpAddr::from(<[u8; 16]>::try_from(octets).map(Ipv6Addr::from).expect("sixteen bytes")),
        other => panic!("address family {other}"),
    };
    SocketAddr::new(ip, port)
}

fn mask(transaction: &TransactionId) -> impl Iterator<Item = u8> {
    MAGIC_COOKIE.into_iter().chain(*transaction)
}

pub fn random_transaction() -> TransactionId {
    let mut transaction = [0; 12];
    getrandom::fill(&mut transaction).expect("the kernel has random bytes");
    transaction
}
