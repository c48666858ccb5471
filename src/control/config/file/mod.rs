//! The files a configuration is read from: the one with options and the one of further users.

pub(super) mod exposure;
pub(super) mod source;
mod text;
pub(super) mod users;
