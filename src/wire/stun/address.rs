//! Transport addresses, xor-ed with cookie and transaction id (RFC 8489 §14.2).
//!
//! ```text
//! | 0 | family | port ^ cookie[0..2] | address ^ (cookie ‖ transaction id) |
//!   1      1             2             4 (IPv4) or 16 (IPv6)
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::header::{MAGIC_COOKIE, TransactionId};
use crate::wire::bytes::{array_at, u16_at};

/// Address family on the wire (RFC 8489 §14.1, RFC 8656 §18.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// 0x01
    V4,
    /// 0x02
    V6,
}

impl Family {
    /// Both.
    pub const ALL: [Family; 2] = [Family::V4, Family::V6];

    /// The byte on the wire.
    pub const fn number(self) -> u8 {
        match self {
            Family::V4 => 1,
            Family::V6 => 2,
        }
    }

    /// The family a byte names, if it names one.
    pub const fn from_number(number: u8) -> Option<Family> {
        match number {
            1 => Some(Family::V4),
            2 => Some(Family::V6),
            _ => None,
        }
    }

    /// The family of an address.
    pub const fn of(address: IpAddr) -> Family {
        match address {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }
}

/// Longest value: family, port and an IPv6 address.
pub(super) const MAX_BYTES: usize = 20;

const PORT_MASK: u16 = (MAGIC_COOKIE >> 16) as u16;

fn mask(transaction: &TransactionId) -> u128 {
    let mut key = [0_u8; 16];
    let (cookie, rest) = key.split_at_mut(4);
    cookie.copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
    rest.copy_from_slice(&transaction.0);
    u128::from_be_bytes(key)
}

/// Reads a xor-ed address; `None` when family and length do not match each other.
pub(super) fn read(value: &[u8], transaction: &TransactionId) -> Option<SocketAddr> {
    let family = Family::from_number(*value.get(1)?)?;
    let port = u16_at(value, 2)? ^ PORT_MASK;
    let ip = match (family, value.len()) {
        (Family::V4, 8) => {
            let bits = u32::from_be_bytes(array_at(value, 4)?) ^ MAGIC_COOKIE;
            IpAddr::V4(Ipv4Addr::from_bits(bits))
        }
        (Family::V6, 20) => {
            let bits = u128::from_be_bytes(array_at(value, 4)?) ^ mask(transaction);
            IpAddr::V6(Ipv6Addr::from_bits(bits))
        }
        (Family::V4 | Family::V6, _) => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// Encodes a xor-ed address; the second value is how many of the bytes count (8 or 20).
pub(in crate::wire) fn encode(
    address: SocketAddr,
    transaction: &TransactionId,
) -> ([u8; MAX_BYTES], usize) {
    let mut value = [0_u8; MAX_BYTES];
    value[1] = Family::of(address.ip()).number();
    value[2..4].copy_from_slice(&(address.port() ^ PORT_MASK).to_be_bytes());
    match address.ip() {
        IpAddr::V4(ip) => {
            value[4..8].copy_from_slice(&(ip.to_bits() ^ MAGIC_COOKIE).to_be_bytes());
            (value, 8)
        }
        IpAddr::V6(ip) => {
            value[4..20].copy_from_slice(&(ip.to_bits() ^ mask(transaction)).to_be_bytes());
            (value, 20)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    proptest! {
        #[test]
        fn what_is_encoded_is_read_back(ip: IpAddr, port: u16, id in any::<[u8; 12]>()) {
            let address = SocketAddr::new(ip, port);
            let (value, bytes) = encode(address, &TransactionId(id));
            assert_eq!(read(&value[..bytes], &TransactionId(id)), Some(address));
        }

        #[test]
        fn any_bytes_are_read_without_panic(value: Vec<u8>, id in any::<[u8; 12]>()) {
            let _ = read(&value, &TransactionId(id));
        }
    }

    #[test]
    fn family_and_length_must_match() {
        let id = TransactionId([0; 12]);
        assert_eq!(read(&[0, 1, 0, 0, 1, 2, 3, 4, 5], &id), None);
        assert_eq!(read(&[0, 2, 0, 0, 1, 2, 3, 4], &id), None);
        assert_eq!(read(&[0, 3, 0, 0, 1, 2, 3, 4], &id), None);
    }
}
