//! The subcommands: each settles its options, has something measured, and reports what it found.

pub(crate) mod args;
pub(crate) mod compare;
pub(crate) mod manual;
mod outputs;
pub(crate) mod overload;
pub(crate) mod plan;
pub(crate) mod run;
mod server;
pub(crate) mod sweep;
