//! The control socket: what an operator asks a running server, and has it do.
//!
//! A Unix socket of mode 0600; whoever may open it may do everything. One line of JSON goes in,
//! lines of JSON come out, and the connection is over. `docs/control-protocol.md` has every request
//! and every answer; a test holds that page to `protocol.rs`.
//!
//! ```text
//! protocol.rs     requests and lines; the same types on both sides
//! places.rs       where the socket is when nobody says
//! socket.rs       the socket itself
//! serve.rs        a connection, from its line to its last
//! handler.rs      each request, answered
//! line_writer.rs  what answers are written with
//! ask.rs          questions for workers
//! commands.rs     what the handler has the supervisor do
//! figures.rs      what `uturn top` is sent
//! client/         the other side: `uturn status` and the others
//! ```

mod ask;
mod client;
pub(super) mod commands;
mod figures;
pub(super) mod handler;
mod line_writer;
pub(super) mod places;
mod protocol;
mod serve;
pub(super) mod socket;

pub use protocol::control_request;

pub(super) use client::cli::{AdminCommand, run};
