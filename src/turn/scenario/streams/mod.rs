//! Clients on TCP and TLS connections.

mod connections;
