//! The files that the server reads: certificates, and those with passwords and secrets.

pub(super) mod certificates;
pub(super) mod secrets;
