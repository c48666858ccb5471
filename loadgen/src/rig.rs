//! Sockets, allocations and flows of one server, set up once and measured as often as wanted.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::Arc,
};

use socket2::{SockAddr, SockRef};

use crate::{
    clock::Clock,
    fault::Fault,
    framing::{Framing, IndicationFront},
    lane::Lane,
    packet::mix,
    sender::{OutFlow, Sender},
    sink::{Client, Sink},
    socket,
    spec::{End, Route, Spec},
    turn::{Member, Request, Session, Timings, drive},
};

/// Receive buffer of the peer, which hears all flows, and of each client, which hears one.
const PEER_BUFFER_BYTES: usize = 32 << 20;
const CLIENT_BUFFER_BYTES: usize = 4 << 20;

/// Files the program has open beside the sockets of clients.
const OTHER_FILES: u64 = 32;

/// How the set-up went.
#[derive(Debug)]
pub(crate) struct SetUp {
    pub(crate) took_ns: u64,
    pub(crate) timings: Vec<Timings>,
}

/// Everything that is set up for one server.
pub(crate) struct Rig {
    pub(crate) spec: Spec,
    pub(crate) clock: Clock,
    pub(crate) lanes: Vec<Lane>,
    pub(crate) set_up: SetUp,
    /// Measurements so far; goes into every packet.
    pub(crate) run: u16,
    server: Option<SocketAddr>,
}

impl Rig {
    /// Opens the sockets, makes the allocations and everything they need.
    pub(crate) fn build(
        spec: &Spec,
        server: Option<SocketAddr>,
        clock: Clock,
    ) -> Result<Rig, Fault> {
        let begin_ns = clock.now();
        allow_sockets(spec.allocations as u64)?;
        let peers = peers(spec, server)?;
        let mut timings = Vec::new();
        let clients = clients(spec, server, &peers, clock, &mut timings)?;
        let lanes = lanes(spec, clients, peers, clock)?;
        let set_up = SetUp { took_ns: clock.now() - begin_ns, timings };
        Ok(Rig { spec: spec.clone(), clock, lanes, set_up, run: 0, server })
    }

    /// Gives the allocations back.
    pub(crate) fn close(self) -> Result<(), Fault> {
        let Some(server) = self.server else { return Ok(()) };
        let clients = self.lanes.into_iter().flat_map(|lane| lane.sink.clients);
        let members = clients.filter_map(|client| match client {
            Client::Turn(member) => Some(member),
            Client::Bare(_) => None,
        });
        let mut members: Vec<Member> = members.collect();
        drive(&mut members, &[Request::Close], self.spec.window, server, self.clock).map(drop)
    }

    /// Lets the sessions refresh what is due while nothing is measured.
    pub(crate) fn tend(&mut self) -> Result<(), Fault> {
        self.lanes.iter_mut().try_for_each(|lane| lane.sink.poll(0))
    }
}

/// Raises the limit on open files and refuses what still does not fit.
pub(crate) fn allow_sockets(sockets: u64) -> Result<(), Fault> {
    let (needed, limit) = (sockets + OTHER_FILES, socket::raise_open_files());
    if needed > limit { Err(Fault::OpenFiles { needed, limit }) } else { Ok(()) }
}

/// One peer for each thread, if the route has any.
fn peers(spec: &Spec, server: Option<SocketAddr>) -> Result<Vec<Option<Arc<UdpSocket>>>, Fault> {
    let ip = peer_ip(spec, server)?;
    let open = |_| spec.route.has_peer().then(|| open_peer(ip, spec.gro)).transpose();
    spec.shares().into_iter().map(open).collect()
}

/// The address peers have: as asked for, or the one this machine reaches the server from.
pub(crate) fn peer_ip(spec: &Spec, server: Option<SocketAddr>) -> Result<IpAddr, Fault> {
    match (spec.peer_ip, server) {
        (Some(ip), _) => Ok(ip),
        (None, None) => Ok(Ipv4Addr::LOCALHOST.into()),
        (None, Some(server)) => {
            let probe = open_client(server, false)?;
            let local =
                probe.local_addr().map_err(|error| Fault::io("find the peer's address", error))?;
            Ok(local.ip())
        }
    }
}

fn open_peer(ip: IpAddr, gro: bool) -> Result<Arc<UdpSocket>, Fault> {
    let socket = UdpSocket::bind(SocketAddr::new(ip, 0))
        .map_err(|error| Fault::io("open a socket at the peer's address", error))?;
    prepare(&socket, PEER_BUFFER_BYTES, gro)?;
    Ok(Arc::new(socket))
}

/// A socket that talks to one address only.
pub(crate) fn open_client(to: SocketAddr, gro: bool) -> Result<Arc<UdpSocket>, Fault> {
    let any: IpAddr = match to.ip() {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0));
    let socket = socket.map_err(|error| Fault::io("open a client's socket", error))?;
    socket.connect(to).map_err(|error| Fault::io("find a way to the server", error))?;
    prepare(&socket, CLIENT_BUFFER_BYTES, gro)?;
    Ok(Arc::new(socket))
}

/// Never blocking, a large receive buffer (beyond the system's limit where that is allowed), and
/// trains received whole.
fn prepare(socket: &UdpSocket, buffer_bytes: usize, gro: bool) -> Result<(), Fault> {
    socket.set_nonblocking(true).map_err(|error| Fault::io("prepare a socket", error))?;
    let forced =
        socket::set_option(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, buffer_bytes as i32);
    if forced.is_err() {
        // The kernel takes as much of this as its limit allows; drops are counted and said.
        let _ = SockRef::from(socket).set_recv_buffer_size(buffer_bytes);
    }
    if gro {
        // Without GRO (Linux 5.0) packets come one by one.
        let _ = socket::set_option(socket, libc::SOL_UDP, libc::UDP_GRO, 1);
    }
    Ok(())
}

type Peers = [Option<Arc<UdpSocket>>];

fn local(socket: &UdpSocket) -> Result<SocketAddr, Fault> {
    socket.local_addr().map_err(|error| Fault::io("read a socket's address", error))
}

fn clients(
    spec: &Spec,
    server: Option<SocketAddr>,
    peers: &Peers,
    clock: Clock,
    timings: &mut Vec<Timings>,
) -> Result<Vec<Client>, Fault> {
    let sockets = client_sockets(spec, server, peers)?;
    match (spec.route, server) {
        (Route::Relay | Route::Pair, Some(server)) => {
            let mut members = members(spec, server, sockets)?;
            timings.push(drive(&mut members, &[Request::Allocate], spec.window, server, clock)?);
            introduce(&mut members, spec, peers)?;
            let requests: &[Request] = if spec.indications {
                &[Request::Permit]
            } else {
                &[Request::Permit, Request::Bind]
            };
            timings.push(drive(&mut members, requests, spec.window, server, clock)?);
            Ok(members.into_iter().map(Client::Turn).collect())
        }
        _ => Ok(sockets.into_iter().map(Client::Bare).collect()),
    }
}

fn client_sockets(
    spec: &Spec,
    server: Option<SocketAddr>,
    peers: &Peers,
) -> Result<Vec<Arc<UdpSocket>>, Fault> {
    let mut sockets = Vec::with_capacity(spec.allocations);
    for (share, peer) in spec.shares().into_iter().zip(peers) {
        let to = match (spec.route, server, peer) {
            (Route::Direct, _, Some(peer)) => local(peer)?,
            (_, Some(server), _) => server,
            (_, None, _) => return Err(Fault::usage("give --server ADDR:PORT, or --direct")),
        };
        for _ in 0..share {
            sockets.push(open_client(to, spec.gro)?);
        }
    }
    Ok(sockets)
}

fn members(
    spec: &Spec,
    server: SocketAddr,
    sockets: Vec<Arc<UdpSocket>>,
) -> Result<Vec<Member>, Fault> {
    let peer_ip = peer_ip(spec, Some(server))?;
    let seed = seed();
    let member = |(at, socket)| Member {
        socket,
        session: Session::new(spec.account.clone(), spec.pace, peer_ip, mix(seed ^ mix(at))),
    };
    Ok((0..).zip(sockets).map(member).collect())
}

/// A different number in every process: two generators must not share transaction ids.
pub(crate) fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}

/// Tells every member who its peer is.
fn introduce(members: &mut [Member], spec: &Spec, peers: &Peers) -> Result<(), Fault> {
    let relayed: Vec<_> = members.iter().map(|member| member.session.relayed()).collect();
    let mut first = 0;
    for (share, peer) in spec.shares().into_iter().zip(peers) {
        for at in first..first + share {
            let partner = relayed.get(at ^ 1).copied().flatten();
            let peer = peer.as_deref().map(local).transpose()?.or(partner);
            peer.into_iter().for_each(|peer| members[at].session.talk_to(peer));
        }
        first += share;
    }
    Ok(())
}

/// Deals clients and peers out to the threads.
fn lanes(
    spec: &Spec,
    clients: Vec<Client>,
    peers: Vec<Option<Arc<UdpSocket>>>,
    clock: Clock,
) -> Result<Vec<Lane>, Fault> {
    let mut clients = clients.into_iter();
    let mut first_flow = 0;
    let mut lanes = Vec::with_capacity(peers.len());
    for (share, peer) in spec.shares().into_iter().zip(peers) {
        let clients: Vec<Client> = clients.by_ref().take(share).collect();
        let flows = flows(spec, &clients, peer.as_ref(), first_flow)?;
        let next_flow = first_flow + flows.len() as u32;
        let sender = Sender::new(flows, spec.trains, clock);
        let sink = Sink::new(clients, peer, spec.route, first_flow, clock);
        let sink = sink.map_err(|error| Fault::io("watch the sockets", error))?;
        lanes.push(Lane { sender, sink, gauge: Arc::default() });
        first_flow = next_flow;
    }
    Ok(lanes)
}

fn flows(
    spec: &Spec,
    clients: &[Client],
    peer: Option<&Arc<UdpSocket>>,
    first_flow: u32,
) -> Result<Vec<OutFlow>, Fault> {
    let flow = |flow| {
        let (socket, to, framing) = match (spec.route.sender(flow), peer) {
            (End::Client(at), _) => outward(spec, &clients[at]),
            (End::Peer, Some(peer)) => inward(&clients[flow / 2], peer)?,
            (End::Peer, None) => unreachable!("a route with a peer as sender opened one"),
        };
        let id = first_flow + flow as u32;
        Ok(OutFlow { id, socket, to, framing, sequence: 0 })
    };
    (0..spec.route.flows(clients.len())).map(flow).collect()
}

type Outlet = (Arc<UdpSocket>, Option<SockAddr>, Framing);

/// How a client sends.
fn outward(spec: &Spec, client: &Client) -> Outlet {
    let framing = match client {
        Client::Bare(_) if spec.route == Route::Binding => Framing::Binding,
        Client::Bare(_) => Framing::Raw,
        Client::Turn(_) if !spec.indications => Framing::Channel(Session::CHANNEL),
        Client::Turn(member) => {
            let peer = member.session.peer().expect("set-up introduced every member");
            Framing::Indication(IndicationFront::new(peer))
        }
    };
    (client.socket().clone(), None, framing)
}

/// How the peer sends to a client: to its relayed address, or to itself.
fn inward(client: &Client, peer: &Arc<UdpSocket>) -> Result<Outlet, Fault> {
    let to = match client {
        Client::Bare(socket) => local(socket)?,
        Client::Turn(member) => member.session.relayed().expect("set-up allocated every member"),
    };
    Ok((peer.clone(), Some(to.into()), Framing::Raw))
}
