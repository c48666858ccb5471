//! What a measurement came to, as it is reported and written as JSON.

pub(crate) mod about;
pub(crate) mod comparison;
pub(crate) mod generator;
pub(crate) mod offered;
pub(crate) mod outcome;
pub(crate) mod overload;
pub(crate) mod plan;
mod ratio;
pub(crate) mod secrets;
pub(crate) mod server;
pub(crate) mod sweep;
pub(crate) mod trust;
pub(crate) mod verdict;
pub(crate) mod way;
