//! Socket addresses as the kernel lays them out.
//!
//! ```text
//! IPv4   family 2 │ port 2 │ address 4 │ zero 8                           16 bytes
//! IPv6   family 2 │ port 2 │ flow 4 │ address 16 │ scope 4                28 bytes
//! ```
//!
//! Family, flow and scope are in host order, the rest in network order. Written and read as bytes:
//! the kernel copies them, so no alignment is asked for.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

const V4_BYTES: usize = size_of::<libc::sockaddr_in>();
const V6_BYTES: usize = size_of::<libc::sockaddr_in6>();

/// A destination, ready for the kernel.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::io) struct Name {
    bytes: [u8; V6_BYTES],
    used: usize,
}

impl Name {
    pub(in crate::io) const EMPTY: Self = Self { bytes: [0; V6_BYTES], used: 0 };

    pub(in crate::io) fn new(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V4(v4) => Self::v4(v4),
            SocketAddr::V6(v6) => Self::v6(v6),
        }
    }

    fn v4(address: SocketAddrV4) -> Self {
        let mut bytes = Self::headed(libc::AF_INET, address.port());
        bytes[4..8].copy_from_slice(&address.ip().octets());
        Self { bytes, used: V4_BYTES }
    }

    fn v6(address: SocketAddrV6) -> Self {
        let mut bytes = Self::headed(libc::AF_INET6, address.port());
        bytes[4..8].copy_from_slice(&address.flowinfo().to_ne_bytes());
        bytes[8..24].copy_from_slice(&address.ip().octets());
        bytes[24..28].copy_from_slice(&address.scope_id().to_ne_bytes());
        Self { bytes, used: V6_BYTES }
    }

    fn headed(family: libc::c_int, port: u16) -> [u8; V6_BYTES] {
        let mut bytes = [0; V6_BYTES];
        bytes[0..2].copy_from_slice(&(family as libc::sa_family_t).to_ne_bytes());
        bytes[2..4].copy_from_slice(&port.to_be_bytes());
        bytes
    }

    pub(in crate::io) fn as_ptr(&self) -> *const libc::sockaddr {
        self.bytes.as_ptr().cast()
    }

    pub(in crate::io) fn len(&self) -> libc::socklen_t {
        self.used as libc::socklen_t
    }
}

/// Reads a source address. `None` when the family is neither IPv4 nor IPv6 or bytes are missing.
///
/// The flow label is left out: it does not tell one peer from another.
pub(in crate::io) fn decode(name: &[u8]) -> Option<SocketAddr> {
    let family = u16::from_ne_bytes(*name.first_chunk()?);
    let port = u16::from_be_bytes(*name.get(2..)?.first_chunk()?);
    match libc::c_int::from(family) {
        libc::AF_INET => {
            let octets: [u8; 4] = *name.get(4..)?.first_chunk()?;
            Some(SocketAddrV4::new(Ipv4Addr::from(octets), port).into())
        }
        libc::AF_INET6 => {
            let octets: [u8; 16] = *name.get(8..)?.first_chunk()?;
            let scope = u32::from_ne_bytes(*name.get(24..)?.first_chunk()?);
            Some(SocketAddrV6::new(Ipv6Addr::from(octets), port, 0, scope).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_kernel_layout() {
        for text in ["192.0.2.7:3478", "[2001:db8::9]:65535", "0.0.0.0:0"] {
            let address: SocketAddr = text.parse().expect("an address");
            let name = Name::new(address);
            assert_eq!(decode(&name.bytes[..name.used]), Some(address), "{text}");
        }
        let scoped = SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::LOCALHOST, 9, 0, 3));
        assert_eq!(decode(&Name::new(scoped).bytes), Some(scoped));
    }

    #[test]
    fn short_or_foreign_names_are_refused() {
        let name = Name::new("192.0.2.7:3478".parse().expect("an address"));
        assert_eq!(decode(&name.bytes[..7]), None);
        assert_eq!(decode(&[0; 28]), None);
        assert_eq!(decode(&[]), None);
    }
}
