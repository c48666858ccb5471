//! A listening socket that breaks under a server: the kernel destroys it, as it does when an
//! administrator or a VPN says `ss -K`.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::client::{Call, Client};
use crate::http::{ask, showing};
use crate::machine;
use crate::relay::Setup;

/// Destroys the UDP sockets of an address; false where the kernel or the rights do not allow it.
fn destroy(address: SocketAddr) -> bool {
    let filter = format!("src {address}");
    let output = Command::new("ss").args(["-K", "-u", "-a", "-H", "-n", &filter]).output();
    output.is_ok_and(|output| output.status.success() && !output.stdout.is_empty())
}

#[test]
fn a_broken_listener_is_not_ready_by_its_address_until_it_is_opened_again() {
    for io in ["auto", "portable"] {
        let (relay, metrics) = showing(Setup::new().with(&["--io", io, "--workers", "2"]));
        let address = relay.v4();
        Call::of(Client::new(address)).talk();
        if !destroy(address) {
            return machine::skip(
                "a listener that breaks",
                "ss -K (CAP_NET_ADMIN, INET_DIAG_DESTROY)",
            );
        }
        let log = relay.process.wait_until_it_logs("not ready", 1);
        let line = log.lines().find(|line| line.contains("of no more use")).expect("why");
        assert!(line.contains(&address.to_string()), "{io}: by its address: {line}");
        let told = ask(metrics, "GET", "/ready");
        if told.status == 503 {
            assert!(told.body.contains(":"), "{io}: {}", told.body);
        }
        let lacks = log.lines().find(|line| line.contains("not ready")).expect("it was waited for");
        assert!(lacks.contains(&address.to_string()), "{io}: {lacks}");
        relay.process.wait_until_it_serves(address);
        let deadline = Instant::now() + Duration::from_secs(10);
        while ask(metrics, "GET", "/ready").status != 200 {
            assert!(Instant::now() < deadline, "{io}: never ready again");
            std::thread::sleep(Duration::from_millis(20));
        }
        Call::of(Client::new(address)).talk();
    }
}
