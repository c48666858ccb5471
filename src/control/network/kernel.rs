//! Two questions to the kernel's routing subsystem.

use std::io;
use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressFlags, AddressMessage},
    route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteType},
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// The table that the kernel keeps of what is delivered to this machine, `RT_TABLE_LOCAL`.
const LOCAL_TABLE: u8 = 255;
/// `IFA_F_TEMPORARY`: a privacy address (RFC 8981). The same bit says of IPv4 that an address is
/// not the first of its network, which is no flaw.
const TEMPORARY: AddressFlags = AddressFlags::Secondary;
/// More than the kernel puts into one answer, 32 KiB.
const ANSWER_BYTES: usize = 64 * 1024;
/// How often a list is asked for that changes while it is read.
const TRIES: usize = 5;

/// An address of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::control) struct InterfaceAddress {
    pub(in crate::control) ip: IpAddr,
    /// Number of the interface it is on.
    pub(in crate::control) interface: u32,
    flags: AddressFlags,
}

impl InterfaceAddress {
    /// One as the kernel would describe it.
    #[cfg(test)]
    pub(in crate::control) fn fixed(ip: &str, interface: u32, flags: AddressFlags) -> Self {
        Self { ip: ip.parse().unwrap(), interface, flags }
    }

    /// True for an IPv6 address that still waits to know whether it is alone on its link, or that
    /// is not: it cannot be bound. On a bridge without a port it may wait for ever.
    pub(in crate::control) fn is_tentative(&self) -> bool {
        let waits = self.flags.contains(AddressFlags::Tentative)
            && !self.flags.contains(AddressFlags::Optimistic);
        waits || self.flags.contains(AddressFlags::Dadfailed)
    }

    /// True for an IPv6 address that is made up anew every day, to keep its user unknown.
    pub(in crate::control) fn is_temporary(&self) -> bool {
        self.ip.is_ipv6() && self.flags.contains(TEMPORARY)
    }

    /// True for an address nothing new should begin on (RFC 4862 §5.5.4).
    pub(in crate::control) fn is_deprecated(&self) -> bool {
        self.flags.contains(AddressFlags::Deprecated)
    }

    /// True for an address that goes by itself when its lifetime is over.
    pub(in crate::control) fn expires(&self) -> bool {
        !self.flags.contains(AddressFlags::Permanent)
    }
}

/// Lists every address of every interface.
///
/// # Errors
/// The kernel cannot be asked.
pub(in crate::control) fn addresses() -> io::Result<Vec<InterfaceAddress>> {
    let answers = ask(RouteNetlinkMessage::GetAddress(AddressMessage::default()))?;
    let address = |answer| match answer {
        RouteNetlinkMessage::NewAddress(message) => read_address(&message),
        _ => None,
    };
    Ok(answers.into_iter().filter_map(address).collect())
}

fn read_address(message: &AddressMessage) -> Option<InterfaceAddress> {
    let (mut here, mut there) = (None, None);
    // The header has room for eight of the flags.
    let mut flags = AddressFlags::from_bits_retain(message.header.flags.bits().into());
    for attribute in &message.attributes {
        match attribute {
            // On a link of two the address is that of the other end, and only this one is ours.
            AddressAttribute::Local(ip) => here = Some(*ip),
            AddressAttribute::Address(ip) => there = Some(*ip),
            AddressAttribute::Flags(all) => flags = *all,
            _ => {}
        }
    }
    Some(InterfaceAddress { ip: here.or(there)?, interface: message.header.index, flags })
}

/// Lists the networks whose packets are delivered to this machine: an address each for those of
/// interfaces, and whatever else has a local route (`ip route add local 192.0.2.0/24 dev lo`).
///
/// # Errors
/// The kernel cannot be asked.
pub(in crate::control) fn local_networks() -> io::Result<Vec<IpNet>> {
    let mut networks = Vec::new();
    for address_family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let header = RouteHeader { address_family, table: LOCAL_TABLE, ..RouteHeader::default() };
        let mut question = RouteMessage::default();
        question.header = header;
        for answer in ask(RouteNetlinkMessage::GetRoute(question))? {
            if let RouteNetlinkMessage::NewRoute(route) = answer {
                networks.extend(read_local(&route));
            }
        }
    }
    Ok(networks)
}

fn read_local(route: &RouteMessage) -> Option<IpNet> {
    let header = &route.header;
    let is_local = matches!(header.kind, RouteType::Local | RouteType::Anycast);
    if header.table != LOCAL_TABLE || !is_local {
        return None;
    }
    let destination = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet(ip)) => Some(IpAddr::V4(*ip)),
        RouteAttribute::Destination(RouteAddress::Inet6(ip)) => Some(IpAddr::V6(*ip)),
        _ => None,
    });
    IpNet::new(destination?, header.destination_prefix_length).ok()
}

/// Asks for a list, and again while it changes under the reader.
fn ask(question: RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    // Has the kernel filter, so that a router's whole table is not listed for the sake of one. What
    // it sends is looked at all the same.
    let _ = socket.set_netlink_get_strict_chk(true);
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(question));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    for _ in 0..TRIES {
        socket.send(&bytes, 0)?;
        let (answers, is_whole) = read_list(&socket)?;
        if is_whole {
            return Ok(answers);
        }
    }
    Err(io::Error::other("the kernel's list changes faster than it can be read"))
}

/// Reads a list to its end, and says whether it stayed the same meanwhile.
fn read_list(socket: &Socket) -> io::Result<(Vec<RouteNetlinkMessage>, bool)> {
    let (mut answers, mut is_whole) = (Vec::new(), true);
    let mut buffer = Vec::with_capacity(ANSWER_BYTES);
    loop {
        buffer.clear();
        socket.recv(&mut buffer, 0)?;
        let mut rest = &buffer[..];
        while !rest.is_empty() {
            let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest);
            let message = message.map_err(|error| io::Error::other(error.to_string()))?;
            is_whole &= message.header.flags & NLM_F_DUMP_INTR == 0;
            let bytes = (message.header.length as usize).next_multiple_of(4);
            rest = rest.get(bytes..).unwrap_or_default();
            match message.payload {
                NetlinkPayload::InnerMessage(answer) => answers.push(answer),
                NetlinkPayload::Done(_) => return Ok((answers, is_whole)),
                NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn loopback_is_an_address_of_this_machine_and_of_no_flaw() {
        let all = addresses().unwrap();
        let loopback = all.iter().find(|address| address.ip == Ipv4Addr::LOCALHOST).unwrap();
        assert!(!loopback.is_tentative() && !loopback.is_temporary());
        assert!(!loopback.is_deprecated() && !loopback.expires());
    }

    #[test]
    fn all_of_127_is_delivered_here_and_nothing_that_is_not() {
        let local = local_networks().unwrap();
        let is_local =
            |ip: &str| local.iter().any(|net| net.contains(&ip.parse::<IpAddr>().unwrap()));
        assert!(is_local("127.0.0.1") && is_local("127.99.0.1"));
        assert!(!is_local("203.0.113.9") && !is_local("2001:db8::9"));
        for address in addresses().unwrap().iter().filter(|it| !it.is_tentative()) {
            assert!(local.iter().any(|net| net.contains(&address.ip)), "{address:?}");
        }
    }

    #[test]
    fn each_flag_is_one_reason_not_to_take_an_address() {
        let address = |ip, flags| InterfaceAddress::fixed(ip, 1, flags);
        let (temporary, permanent) = (AddressFlags::Secondary, AddressFlags::Permanent);
        assert!(address("2001:db8::1", temporary).is_temporary());
        assert!(!address("192.0.2.1", temporary).is_temporary(), "a second address of a network");
        assert!(address("2001:db8::1", AddressFlags::Tentative).is_tentative());
        assert!(address("2001:db8::1", AddressFlags::Dadfailed).is_tentative());
        let optimistic = AddressFlags::Tentative | AddressFlags::Optimistic;
        assert!(!address("2001:db8::1", optimistic).is_tentative(), "RFC 4429");
        assert!(address("2001:db8::1", AddressFlags::Deprecated).is_deprecated());
        assert!(address("2001:db8::1", temporary).expires());
        assert!(!address("2001:db8::1", permanent).expires());
    }
}
