//! Cold work: command line, configuration, operators' wishes, logging, signals.
//!
//! Everything here happens once, or a few times a second at most; it may allocate and it may log.
//! Nothing here is called for a packet.
//!
//! ```text
//! command/   the command line, and the commands that need no server
//! config/    options, read raw and settled once
//! server/    a server's life: start, serve, reload, drain, stop
//! admin/     the control socket, and the commands that use it
//! log/       what the log says
//! network/   what the kernel says of this machine's addresses
//! metrics/   numbers for Prometheus, and whether the server is ready, over HTTP
//! tls/       certificates: read, checked, watched
//! usage/     records of allocations, one JSON line each
//! escape.rs  characters that others chose, made fit to be shown
//! numbers.rs counts and seconds, for people
//! terminal.rs whether what is shown may be coloured
//! ```

mod admin;
#[cfg(test)]
mod any_text;
mod command;
pub mod config;
mod escape;
mod log;
mod metrics;
mod network;
mod numbers;
mod server;
mod terminal;
mod tls;
mod usage;

pub use admin::control_request;
pub use command::cli::command_line;
pub use command::credential::Credential;
pub use command::credentials::CredentialsArgs;
pub use command::import::import_coturn;
pub use command::manual::ManualPage;
pub use server::serve::serve;
