//! The control socket: what an operator asks a running server, and has it do.
//!
//! A Unix socket of mode 0600; whoever may open it may do everything. One line of JSON goes in,
//! lines of JSON come out, and the connection is over. `docs/control-protocol.md` has every request
//! and every answer; a test holds that page to `protocol.rs`.
//!
//! ```text
//! socket.rs     the socket itself
//! protocol.rs   requests and lines
//! line_writer.rs   what answers are written with
//! serve.rs      a connection, from its line to its last
//! handler.rs    each request, answered
//! ask.rs        questions for workers
//! commands.rs   what the handler has the supervisor do
//! client.rs     the other side: connects and reads lines
//! cli.rs        `uturn status` and the others
//! print.rs      lines for people
//! progress.rs   a drain, watched
//! figures.rs    what `uturn top` is sent
//! top/          and what it shows
//! ```

pub(super) mod ask;
pub(super) mod cli;
pub(super) mod client;
pub(super) mod commands;
pub(super) mod figures;
pub(super) mod handler;
pub(super) mod line_writer;
pub(super) mod print;
pub(super) mod progress;
pub(super) mod protocol;
pub(super) mod serve;
pub(super) mod socket;
pub(super) mod top;

pub(super) use cli::{AdminCommand, run};
