//! Clients on TCP and TLS, what stands in front of the server and behind it, and TCP to peers.

mod clients;
mod pipes;
mod proxy;
mod tcp_relay;
mod tls;
mod web;
