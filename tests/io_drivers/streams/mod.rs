//! How streams begin, carry bytes and end.

pub(super) mod begin;
pub(super) mod carry;
pub(super) mod crowd;
pub(super) mod end;
pub(super) mod leave;
mod talk;
pub(super) mod torture;
