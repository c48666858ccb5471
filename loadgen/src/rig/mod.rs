//! Sockets, allocations and flows of one server, set up once and measured as often as wanted.

mod endpoint;
mod framing;
pub(crate) mod gauge;
pub(crate) mod lane;
pub(crate) mod link;
mod pipes;
pub(crate) mod sender;
pub(crate) mod sink;
mod slow;
pub(crate) mod turn;

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    sync::Arc,
};

use crate::{
    clock::Clock,
    count::ledger::Ledger,
    fault::Fault,
    offer::{
        packet::mix,
        spec::{End, Route, Spec},
    },
    rig::{
        framing::{Framing, IndicationFront},
        lane::Lane,
        link::{Access, Link},
        sender::{OutFlow, Outlet, Sender},
        sink::{Client, Sink},
        slow::Slow,
        turn::{Member, Request, Session, Timings, drive},
    },
    socket,
};

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
    /// Goes up with every measurement, and into every packet. It begins anywhere: what a server
    /// still has for a generator that has ended must not be counted by one that got its port.
    run: u16,
    server: Option<SocketAddr>,
}

/// Why allocations were not given back.
#[derive(Debug)]
pub(crate) struct Left(Fault);

impl Left {
    /// True when nobody answers any more who could take them.
    pub(crate) fn is_servers_end(&self) -> bool {
        !self.0.leaves_a_server()
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "allocations were not given back: {}", self.0)
    }
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
        Ok(Rig { spec: spec.clone(), clock, lanes, set_up, run: seed() as u16, server })
    }

    /// Every socket it receives datagrams on.
    pub(crate) fn sockets(&self) -> impl Iterator<Item = &Arc<UdpSocket>> {
        self.lanes.iter().flat_map(|lane| lane.sink.sockets())
    }

    /// What the server calls itself, where it did.
    pub(crate) fn software(&self) -> Option<String> {
        let mut clients = self.lanes.iter().flat_map(|lane| &lane.sink.clients);
        clients.find_map(|client| match client {
            Client::Turn(member) => member.session.software().map(str::to_owned),
            Client::Bare(_) => None,
        })
    }

    /// What TLS connections agreed on, as far as there are any: of the first.
    pub(crate) fn secured(&self) -> Option<String> {
        let mut clients = self.lanes.iter().flat_map(|lane| &lane.sink.clients);
        let agreed = clients.find_map(|client| client.link().stream()?.agreed())?;
        Some(link::secured(&agreed, self.spec.tls.as_ref()?))
    }

    /// The number of the measurement that begins.
    pub(crate) fn next_run(&mut self) -> u16 {
        self.run = self.run.wrapping_add(1);
        self.run
    }

    /// Gives the allocations back; says what was in the way.
    pub(crate) fn close(self) -> Option<Left> {
        let server = self.server?;
        let clients = self.lanes.into_iter().flat_map(|lane| lane.sink.clients);
        let members = clients.filter_map(|client| match client {
            Client::Turn(member) => Some(*member),
            Client::Bare(_) => None,
        });
        let mut members: Vec<Member> = members.collect();
        let closed = drive(&mut members, &[Request::Close], self.spec.window, server, self.clock);
        members.iter().filter_map(|member| member.link.stream()).for_each(|stream| stream.close());
        closed.err().map(Left)
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
    let open = |_| spec.route.has_peer().then(|| endpoint::open_peer(ip, spec.gro)).transpose();
    spec.shares().into_iter().map(open).collect()
}

/// The address peers have: as asked for, or the one this machine reaches the server from.
pub(crate) fn peer_ip(spec: &Spec, server: Option<SocketAddr>) -> Result<IpAddr, Fault> {
    match (spec.peer_ip, server) {
        (Some(ip), _) => Ok(ip),
        (None, None) => Ok(Ipv4Addr::LOCALHOST.into()),
        (None, Some(server)) => {
            let probe = endpoint::open_client(server, false)?;
            let local =
                probe.local_addr().map_err(|error| Fault::io("find the peer's address", error))?;
            Ok(local.ip())
        }
    }
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
    match (spec.route, server) {
        (Route::Direct, _) => bare_clients(spec, peers, None),
        (_, None) => Err(Fault::usage("give --server HOST[:PORT], or --direct")),
        (Route::Binding, Some(server)) => bare_clients(spec, peers, Some(server)),
        (Route::Relay | Route::Pair, Some(server)) => {
            let mut members = members(spec, server)?;
            match prepare(&mut members, spec, server, peers, clock) {
                Ok(both) => timings.extend(both),
                Err(fault) => {
                    give_back(members, spec, server, clock, &fault);
                    return Err(fault);
                }
            }
            Ok(members.into_iter().map(|member| Client::Turn(Box::new(member))).collect())
        }
    }
}

/// Makes the allocations and what packets need to pass through them.
fn prepare(
    members: &mut [Member],
    spec: &Spec,
    server: SocketAddr,
    peers: &Peers,
    clock: Clock,
) -> Result<[Timings; 2], Fault> {
    let allocated = drive(members, &[Request::Allocate], spec.window, server, clock)?;
    introduce(members, spec, peers)?;
    let requests = [Request::Permit, Request::Bind];
    let requests = if spec.indications { &requests[..1] } else { &requests };
    Ok([allocated, drive(members, requests, spec.window, server, clock)?])
}

/// Gives back what a set-up that failed had got already, or may yet get: the next attempt must not
/// find the server's ports taken by this one. A server that is silent is not asked.
fn give_back(members: Vec<Member>, spec: &Spec, server: SocketAddr, clock: Clock, fault: &Fault) {
    if fault.leaves_a_server() {
        let held = members.into_iter().filter(|member| member.session.may_be_allocated());
        // The fault that led here is the one to report.
        let _ = drive(&mut held.collect::<Vec<_>>(), &[Request::Close], spec.window, server, clock);
    }
}

/// Clients that talk to the server, or else each to the peer of its thread.
fn bare_clients(
    spec: &Spec,
    peers: &Peers,
    server: Option<SocketAddr>,
) -> Result<Vec<Client>, Fault> {
    let mut clients = Vec::with_capacity(spec.allocations);
    let slow = spec.slow.map_or(0, |slow| slow.clients);
    for (share, peer) in spec.shares().into_iter().zip(peers) {
        let peer = peer.as_deref().map(local).transpose()?;
        let to = server.or(peer).expect("a route without a server has peers");
        for _ in 0..share {
            let access = Access::of(spec).slow(clients.len() < slow);
            clients.push(Client::Bare(Link::open(&access, to)?));
        }
    }
    link::establish(clients.iter().filter_map(|client| client.link().stream()), spec, server)?;
    Ok(clients)
}

fn members(spec: &Spec, server: SocketAddr) -> Result<Vec<Member>, Fault> {
    let peer_ip = peer_ip(spec, Some(server))?;
    let seed = seed();
    let (access, slow) = (Access::of(spec), spec.slow.map_or(0, |slow| slow.clients as u64));
    let member = |at| {
        let seed = mix(seed ^ mix(at));
        let session = Session::new(spec.account.clone(), spec.pace, peer_ip, seed);
        Member::open(access.clone().slow(at < slow), server, session)
    };
    (0..spec.allocations as u64).map(member).collect()
}

/// A different number in every process: two generators must not share transaction ids.
pub(crate) fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}

/// Tells every member who its peer is.
fn introduce(members: &mut [Member], spec: &Spec, peers: &Peers) -> Result<(), Fault> {
    let relayed: Vec<_> = members.iter().map(|member| member.session.relayed()).collect();
    let mut members = members.iter_mut().enumerate();
    for (share, peer) in spec.shares().into_iter().zip(peers) {
        let peer = peer.as_deref().map(local).transpose()?;
        for (at, member) in members.by_ref().take(share) {
            let partner = relayed.get(at ^ 1).copied().flatten();
            let peer = peer.or(partner).expect("set-up allocated every member");
            member.session.talk_to(peer);
        }
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
    for ((share, slow), peer) in spec.shares().into_iter().zip(spec.slow_shares()).zip(peers) {
        let clients: Vec<Client> = clients.by_ref().take(share).collect();
        let flows = flows(spec, &clients, peer.as_ref(), (first_flow, slow))?;
        let next_flow = first_flow + flows.len() as u32;
        let sender = Sender::new(flows, spec.trains, clock)?;
        let slow = Slow { clients: slow, bytes_per_s: spec.slow.map_or(0.0, |s| s.bytes_per_s) };
        let ledger = Ledger::new(spec.route, first_flow, slow.clients);
        let sink = Sink::new(clients, peer, ledger, slow, clock);
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
    (first_flow, slow): (u32, usize),
) -> Result<Vec<OutFlow>, Fault> {
    let flow = |flow| {
        let (outlet, framing) = match (spec.route.sender(flow), peer) {
            (End::Client(at), _) => outward(spec, &clients[at]),
            (End::Peer, Some(peer)) => inward(&clients[flow / 2], peer)?,
            (End::Peer, None) => unreachable!("a route with a peer as sender opened one"),
        };
        let id = first_flow + flow as u32;
        let way = spec.route.way(flow, slow);
        Ok(OutFlow { id, outlet, framing, way, sequence: 0 })
    };
    (0..spec.route.flows(clients.len())).map(flow).collect()
}

/// How a client sends.
fn outward(spec: &Spec, client: &Client) -> (Outlet, Framing) {
    let framing = match client {
        Client::Bare(_) if spec.route == Route::Binding => Framing::Binding,
        Client::Bare(_) => Framing::Raw,
        Client::Turn(_) if !spec.indications && spec.transport.is_stream() => {
            Framing::PaddedChannel(Session::CHANNEL)
        }
        Client::Turn(_) if !spec.indications => Framing::Channel(Session::CHANNEL),
        Client::Turn(member) => {
            let peer = member.session.peer().expect("set-up introduced every member");
            Framing::Indication(IndicationFront::new(peer))
        }
    };
    let outlet = match client.link() {
        Link::Datagrams(socket) => Outlet::Datagrams(socket.clone(), None),
        Link::Stream(connection) => Outlet::Stream(connection.clone()),
    };
    (outlet, framing)
}

/// How the peer sends to a client: to its relayed address, or to itself.
fn inward(client: &Client, peer: &Arc<UdpSocket>) -> Result<(Outlet, Framing), Fault> {
    let to = match client {
        Client::Bare(Link::Datagrams(socket)) => local(socket)?,
        Client::Bare(Link::Stream(_)) => unreachable!("what has no relay has no connections"),
        Client::Turn(member) => member.session.relayed().expect("set-up allocated every member"),
    };
    Ok((Outlet::Datagrams(peer.clone(), Some(to.into())), Framing::Raw))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offer::{options::parse, spec::Times};

    #[test]
    fn generators_beside_each_other_number_their_measurements_differently() {
        let args = parse("voice -n 1 --direct").unwrap();
        let spec = Spec::settle(&args, Times { duration_s: 1.0, warmup_s: 0.0 }).unwrap();
        let number = |_| Rig::build(&spec, None, Clock::start()).unwrap().next_run();
        let numbers: Vec<u16> = (0..4).map(number).collect();
        assert!(numbers.iter().any(|number| *number != numbers[0]), "{numbers:?}");
    }
}
