//! What is offered: the shape of the traffic, when each packet is due, and what it carries.

pub(crate) mod account;
pub(crate) mod address;
pub(crate) mod options;
pub(crate) mod packet;
mod refusals;
mod route;
pub(crate) mod schedule;
pub(crate) mod shape;
pub(crate) mod spec;
pub(crate) mod units;
pub(crate) mod window;
