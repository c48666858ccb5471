//! What people read that is made from the schema, so that none of it can be out of date.

pub(super) mod example;
mod summary;
pub(super) mod table;
