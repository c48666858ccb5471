//! The sockets of the machine that take packets or connections, and which of them are a running
//! server's own.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::tree::Tree;

/// Name of a server's process.
const SERVER: &str = "uturn";

/// What a socket takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::control) enum Takes {
    /// UDP packets.
    Packets,
    /// TCP connections.
    Connections,
}

/// Where the kernel lists them.
const TABLES: [(&str, Takes); 4] = [
    ("proc/net/udp", Takes::Packets),
    ("proc/net/udp6", Takes::Packets),
    ("proc/net/tcp", Takes::Connections),
    ("proc/net/tcp6", Takes::Connections),
];
/// A TCP socket that listens, in these lists.
const LISTENS: &str = "0A";

/// A UDP socket, or a TCP socket that listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::control) struct BoundSocket {
    pub(in crate::control) takes: Takes,
    /// Where it is bound.
    pub(in crate::control) address: SocketAddr,
    /// Whether a running server has it.
    pub(in crate::control) is_ours: bool,
}

/// Finds the processes of this name other than this one.
pub(in crate::control) fn servers(tree: &Tree) -> Vec<u32> {
    let pids = tree.names("proc").into_iter().filter_map(|name| name.parse().ok());
    let others = pids.filter(|pid| *pid != std::process::id());
    others.filter(|pid| tree.text(&format!("proc/{pid}/comm")).as_deref() == Some(SERVER)).collect()
}

/// Reads the sockets of both families; those of the servers are told apart by their inodes.
pub(in crate::control) fn bound(tree: &Tree, servers: &[u32]) -> Vec<BoundSocket> {
    let ours: HashSet<String> = servers.iter().flat_map(|pid| inodes(tree, *pid)).collect();
    let of_table = |(path, takes): (&str, Takes)| {
        let table = tree.text(path).unwrap_or_default();
        let sockets = table.lines().skip(1).filter_map(|line| socket(line, takes, &ours));
        sockets.collect::<Vec<_>>()
    };
    TABLES.into_iter().flat_map(of_table).collect()
}

fn inodes(tree: &Tree, pid: u32) -> Vec<String> {
    let folder = format!("proc/{pid}/fd");
    let links = tree.names(&folder).into_iter();
    let links = links.filter_map(|name| tree.link(&format!("{folder}/{name}")));
    links
        .filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect()
}

/// `sl local_address rem_address st … uid timeout inode …`; the address in hexadecimal, in words of
/// 32 bits as the machine has them in memory.
fn socket(line: &str, takes: Takes, ours: &HashSet<String>) -> Option<BoundSocket> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let address = address(fields.get(1)?)?;
    if takes == Takes::Connections && *fields.get(3)? != LISTENS {
        return None;
    }
    Some(BoundSocket { takes, address, is_ours: ours.contains(*fields.get(9)?) })
}

fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| u32::from_str_radix(ip.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    let ip = if ip.len() == 8 {
        IpAddr::V4(Ipv4Addr::from(word(0)?))
    } else {
        let words = [word(0)?, word(8)?, word(16)?, word(24)?];
        let octets: [u8; 16] = words.concat().try_into().ok()?;
        IpAddr::V6(Ipv6Addr::from(octets))
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn addresses_are_read_as_the_kernel_writes_them() {
        assert_eq!(address("0100007F:0D96"), Some("127.0.0.1:3478".parse().unwrap()));
        let loopback = "00000000000000000000000001000000:0D96";
        assert_eq!(address(loopback), Some("[::1]:3478".parse().unwrap()));
        assert_eq!(address("nonsense"), None);
    }
}
