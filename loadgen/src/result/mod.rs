//! What a measurement came to, as it is reported and written as JSON.

pub(crate) mod outcome;
pub(crate) mod verdict;
