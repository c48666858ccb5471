//! The files a configuration is read from: the one with options, the one of further users, and what
//! they name.

pub(super) mod exposure;
pub(super) mod nearest;
pub(super) mod source;
pub(super) mod text;
pub(super) mod users;
