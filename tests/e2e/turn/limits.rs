//! `max-bps` and `max-pps`: so much for each allocation each way, to the datagram, and in trains
//! too.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt::UdpGsoSegment};

use crate::client::{CHANNEL, Call, channel_data};
use crate::relay::Setup;

const DRIVERS: [&str; 2] = ["auto", "portable"];

/// The first byte of each datagram that comes, the channel's header left out, until none does.
fn arrivals(socket: &UdpSocket, header: usize) -> Vec<u8> {
    socket.set_read_timeout(Some(Duration::from_millis(500))).expect("a timeout");
    let mut buffer = [0; 2048];
    let mut heard = Vec::new();
    while socket.recv(&mut buffer).is_ok() {
        heard.push(buffer[header]);
    }
    heard
}

/// Has the kernel take one long send for a train of datagrams of `bytes` each.
fn in_trains(socket: &UdpSocket, bytes: i32) {
    setsockopt(socket, UdpGsoSegment, &bytes).expect("a kernel with UDP_SEGMENT");
}

#[test]
fn so_many_packets_a_second_each_way_and_for_each_allocation() {
    for driver in DRIVERS {
        let relay = Setup::new().with(&["--max-pps", "20", "--io", driver]).start();
        let calls = [Call::on(&relay), Call::on(&relay)];
        let begun = Instant::now();
        for call in &calls {
            for number in 0..50 {
                call.client.send_channel(CHANNEL, &[number; 100]);
                call.peer.send(call.relayed, &[number; 100]);
            }
        }
        // What a second is worth at once, and then no more than the rate.
        let most = 20 + begun.elapsed().as_millis() as usize * 20 / 1000 + 1;
        for call in &calls {
            for heard in [arrivals(&call.peer.socket, 0), arrivals(&call.client.socket, 4)] {
                assert!(heard.is_sorted() && heard.starts_with(&[0, 1, 2]), "{heard:?}");
                assert!((20..=most).contains(&heard.len()), "{driver}: {} passed", heard.len());
            }
        }
    }
}

// The first part of a train passes, in order and unharmed; with a rate that pays nothing off
// meanwhile its length is exact.
#[test]
fn a_train_is_cut_to_the_datagram() {
    for driver in DRIVERS {
        let relay = Setup::new().with(&["--max-pps", "3", "--io", driver]).start();
        let call = Call::on(&relay);
        let from_peer: Vec<u8> = (0..30).flat_map(|number| [number; 100]).collect();
        let frames: Vec<u8> =
            (0..30).flat_map(|number| channel_data(CHANNEL, &[number; 100])).collect();
        in_trains(&call.peer.socket, 100);
        in_trains(&call.client.socket, 104);
        call.peer.send(call.relayed, &from_peer);
        call.client.send(&frames);
        for heard in [arrivals(&call.peer.socket, 0), arrivals(&call.client.socket, 4)] {
            assert_eq!(heard, [0, 1, 2], "{driver}");
        }
    }
}

#[test]
fn so_many_bytes_a_second() {
    for driver in DRIVERS {
        let relay = Setup::new().with(&["--max-bps", "70000", "--io", driver]).start();
        let call = Call::on(&relay);
        let begun = Instant::now();
        for number in 0..200 {
            call.peer.send(call.relayed, &[number; 1000]);
        }
        let most = 70 + begun.elapsed().as_millis() as usize * 70 / 1000 + 1;
        let heard = arrivals(&call.client.socket, 4);
        assert!((70..=most).contains(&heard.len()), "{driver}: {} passed", heard.len());
    }
}
