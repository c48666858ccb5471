//! What a worker tells: a [`report`] by itself, a [`snapshot`] when asked, and answers to
//! [`questions`] about sessions.

mod answers;
pub(super) mod questions;
pub(super) mod report;
pub(super) mod snapshot;
