//! Who is refused, and why: [`refusals`] of requests, [`streams`] that are refused or closed for a
//! fault, [`strangers`] that are not answered; [`recent`] keeps the last of the first two.

pub(in crate::control) mod recent;
pub(in crate::control::log) mod refusals;
pub(in crate::control::log) mod strangers;
pub(in crate::control::log) mod streams;
