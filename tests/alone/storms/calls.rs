//! Calls that run beside an attack, and what they lose of it; and what the attack leaves behind.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use socket2::{Domain, Socket, Type};

use crate::client::{Call, Client};
use crate::fairness::{TICKS, arrived};
use crate::link::Link;
use crate::machine::Folder;
use crate::relay::{Relay, patience};

pub const HOST: &str = "turn.example.org";

/// How long nothing must come before all has come.
const QUIET: Duration = Duration::from_millis(500);

/// A certificate on the disk, and what a client trusts by it.
pub struct Pair {
    pub trusted: Vec<u8>,
    pub certificate: String,
    pub key: String,
}

impl Pair {
    pub fn new(folder: &Folder, file: &str) -> Self {
        let key = KeyPair::generate().expect("a key can be made");
        let mut params = CertificateParams::new(vec![HOST.to_owned()]).expect("it is a name");
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2100, 1, 1);
        let certificate = params.self_signed(&key).expect("the key can sign");
        Self {
            trusted: certificate.der().to_vec(),
            certificate: folder.write(&format!("{file}.pem"), &certificate.pem()),
            key: folder.write(&format!("{file}.key"), &key.serialize_pem()),
        }
    }

    /// A client over TLS that trusts it; an error where the server does not show it.
    pub fn client(&self, server: SocketAddr) -> std::io::Result<Client> {
        Ok(Client::over(Link::over_tls(server, HOST, &self.trusted)?, server))
    }
}

/// So many calls over UDP, and as many over TCP.
pub fn calls(relay: &Relay, count: usize) -> Vec<Call> {
    let udp = (0..count).map(|_| Call::on(relay));
    let tcp = (0..count).map(|_| Call::of(Client::over_tcp(relay.v4())));
    udp.chain(tcp).collect()
}

/// What calls have lost that have had [`talk`](crate::fairness::talk): on the way to their peers
/// and to their clients.
pub fn lost(calls: &mut [Call]) -> [usize; 2] {
    let sent = calls.len() * TICKS;
    let up: usize = calls.iter().map(|call| arrived(&call.peer.socket)).sum();
    let down: usize = calls.iter_mut().map(|call| came(&mut call.client)).sum();
    [sent - up, sent - down]
}

fn came(client: &mut Client) -> usize {
    if client.link.is_none() {
        return arrived(&client.socket);
    }
    std::iter::from_fn(|| client.link().receive(QUIET)).take(TICKS).count()
}

/// Connects from an address of the loopback network.
pub fn connect_from(ip: Ipv4Addr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    // As many ports as there are, for each address.
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((ip, 0)).into())?;
    socket.connect(&to.into())?;
    Ok(socket.into())
}

/// One of some thousand sources that has no call.
pub fn source(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 80, (number / 250 % 250) as u8, (number % 250 + 1) as u8)
}

pub fn descriptors(relay: &Relay) -> usize {
    let folder = format!("/proc/{}/fd", relay.process.pid);
    std::fs::read_dir(folder).expect("it lives").count()
}

/// Waits until no more descriptors are open than there were.
pub fn expect_descriptors(relay: &Relay, before: usize, within: Duration) {
    let deadline = Instant::now() + within + patience();
    while descriptors(relay) > before {
        let open = descriptors(relay);
        assert!(Instant::now() < deadline, "{open} descriptors, and {before} before");
        std::thread::sleep(Duration::from_millis(50));
    }
}
