//! The control socket: what an operator asks a running server, and has it do.
//!
//! A Unix socket of mode 0600; whoever may open it may do everything. One line of JSON goes in,
//! lines of JSON come out, and the connection is over:
//!
//! ```text
//! $ echo '{"command":"kill","id":"0-17"}' | nc -U /run/uturn/control
//! {"killed":"0-17"}
//! {"done":{}}
//! ```
//!
//! | request | lines of the answer |
//! |---|---|
//! | `{"command":"status"}` | one `{"status":{…}}` |
//! | `{"command":"sessions","user":"ann"}` (`user` may be left out) | a `{"session":{…}}` each |
//! | `{"command":"session","id":"0-17"}` | one `{"detail":{…}}` |
//! | `{"command":"kill","id":"0-17"}` | one `{"killed":"0-17"}` |
//! | `{"command":"reload"}` | one `{"reloaded":{"applied":[…],"restart":[…]}}` |
//!
//! | `{"command":"drain","deadline_s":60,"alternate":["192.0.2.1:3478"]}` (both may be left out) | a `{"draining":{…}}` each second, then one `{"drained":{"left":0}}` |
//! | `{"command":"top"}` | a `{"top":{…}}` each second |
//! | `{"command":"cancel"}` | one `{"serving":{}}` |
//!
//! The last line is `{"done":{}}`, or `{"error":"…"}` with what was wrong; an answer without either
//! was cut off. Fields may be added to answers; an unknown field in a request is an error.
//!
//! ```text
//! socket.rs     the socket itself
//! protocol.rs   requests and lines
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

mod ask;
mod cli;
mod client;
mod commands;
mod figures;
mod handler;
mod print;
mod progress;
mod protocol;
mod serve;
mod socket;
mod top;

pub(super) use cli::{AdminCommand, run};
pub(super) use commands::{Command, DrainRequest, Progress, ServerStatus, State, command_channel};
pub(super) use handler::{FixedStatus, Handler};
pub(super) use socket::ControlSocket;
