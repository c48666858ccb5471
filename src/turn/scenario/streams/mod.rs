//! Clients on TCP and TLS connections, and TCP allocations (RFC 6062).

mod binding;
mod books;
mod connecting;
mod connections;
mod moving;
mod tcp_allocations;

use super::{Client, World};
use crate::turn::api::names::path::Transport;

/// Ann on a TCP connection.
const ANN: Client = Client { transport: Transport::Tcp, ..Client::ANN };

/// Bob on a TCP connection.
const BOB: Client = Client { transport: Transport::Tcp, ..Client::BOB };

/// Another connection of Ann's.
const DATA: Client = Client { address: "198.51.100.1:5001", ..ANN };

/// A process of so many workers that relays TCP.
fn tcp_world(workers: u8) -> World {
    World::with(workers, 100, |settings| settings.tcp_relay = true)
}
