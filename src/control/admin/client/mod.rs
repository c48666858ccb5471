//! The commands that ask a running server, and have it do something.
//!
//! ```text
//! cli.rs           `uturn status` and the others
//! conversation.rs  connects, asks, and reads lines
//! print.rs         lines for people
//! progress.rs      a drain, watched
//! top/             `uturn top`
//! ```

pub(super) mod cli;
mod conversation;
mod print;
mod progress;
mod top;
