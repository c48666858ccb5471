//! The public address behind 1:1 NAT, as a STUN server sees it.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::client::Client;
use crate::machine::slowed;
use crate::namespace::{in_own_network, ip};
use crate::relay::{LOOPBACK4, PASSWORD, Process, Relay, Setup, USER, command};
use crate::stun::MAGIC_COOKIE;

const BINDING: [u8; 2] = [0, 1];
const SUCCESS: [u8; 2] = [1, 1];

/// Tells everybody who asks the address that `told` holds at the moment; gives its port.
fn stun_server(told: Arc<Mutex<Ipv4Addr>>) -> u16 {
    let socket = UdpSocket::bind((LOOPBACK4, 0)).expect("a socket");
    let port = socket.local_addr().expect("a port").port();
    thread::spawn(move || {
        let mut bytes = [0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut bytes) {
            assert!(length >= 20 && bytes[..2] == BINDING, "a Binding request");
            let ip = told.lock().expect("nobody panics with it").octets();
            let mut answer = [&SUCCESS[..], &[0, 12], &bytes[4..20]].concat();
            answer.extend([0, 0x20, 0, 8, 0, 1, 0, 7]);
            answer.extend(ip.iter().zip(MAGIC_COOKIE).map(|(byte, mask)| byte ^ mask));
            socket.send_to(&answer, client).expect("an answer");
        }
    });
    port
}

fn start(port: u16) -> Relay {
    let external = format!("stun:127.0.0.1:{port}");
    let setup = Setup::new().listen(&[LOOPBACK4]).relay_ips(&[LOOPBACK4]);
    setup.with(&["--external-ip", &external]).start()
}

fn relayed(relay: &Relay) -> IpAddr {
    Client::login(relay.v4(), USER, PASSWORD).allocate().ip()
}

#[test]
fn clients_are_told_what_a_stun_server_sees_and_what_it_sees_later() {
    in_own_network("a stun server", || {
        let (first, second) = (Ipv4Addr::new(198, 51, 100, 7), Ipv4Addr::new(198, 51, 100, 8));
        let told = Arc::new(Mutex::new(first));
        let relay = start(stun_server(Arc::clone(&told)));
        assert_eq!(relayed(&relay), first);
        *told.lock().expect("nobody panics with it") = second;
        // Has the server look at its addresses before its minute is over.
        ip("address add 10.9.9.9/32 dev lo");
        relay.process.wait_until_it_logs("relays are opened here from now on", 1);
        let is_told = || relayed(&relay) == second;
        assert!((0..50).any(|_| is_told() || {
            thread::sleep(slowed(Duration::from_millis(20)));
            false
        }));
    });
}

#[test]
fn another_relay_is_a_stun_server_too() {
    let other = Setup::new().start();
    let relay = start(other.v4().port());
    assert_eq!(relayed(&relay), LOOPBACK4);
}

#[test]
fn a_stun_server_that_cannot_be_asked_is_one_line_and_is_waited_for() {
    let closed = UdpSocket::bind((LOOPBACK4, 0)).expect("a socket");
    let port = closed.local_addr().expect("a port").port();
    drop(closed);
    let mut command = command();
    command.args(["--listen", "127.0.0.1:3478", "--relay-ip", "127.0.0.1"]);
    command.args(["--external-ip", &format!("stun:127.0.0.1:{port}")]);
    let mut process = Process::spawn(command);
    let text = process.wait_until_it_logs("waiting for it", 1);
    let problem = format!("external-ip: stun:127.0.0.1:{port}: 127.0.0.1:{port} cannot be asked");
    assert!(text.contains(&problem), "{text}");
    process.signal(libc::SIGTERM);
    assert!(!process.wait().success(), "there was nothing to stop in order");
}
