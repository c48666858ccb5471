//! The control socket: what an operator asks a running server, and has it do.
//!
//! A Unix socket of mode 0600; whoever may open it may do everything. One line of JSON goes in,
//! lines of JSON come out, and the connection is over. `docs/control-protocol.md` has every request
//! and every answer; a test holds that page to `protocol.rs`.
//!
//! ```text
//! socket.rs     the socket itself
//! protocol.rs   requests and lines
//! serve.rs      a connection, from its line to its last
//! handler.rs    each request, answered
//! line_writer.rs  what answers are written with
//! ask.rs        questions for workers
//! commands.rs   what the handler has the supervisor do
//! places.rs     where the socket is when nobody says
//! client.rs     the other side: connects and reads lines
//! cli.rs        `uturn status` and the others
//! print.rs      lines for people
//! progress.rs   a drain, watched
//! figures.rs    what `uturn top` is sent
//! top/          and what it shows
//! ```

mod ask;
mod cli;
mod client;
pub(super) mod commands;
mod figures;
pub(super) mod handler;
mod line_writer;
pub(super) mod places;
mod print;
mod progress;
mod protocol;
mod serve;
pub(super) mod socket;
mod top;

pub use protocol::control_request;

pub(super) use cli::{AdminCommand, run};
