//! What all methods have in common: the request they are given and the answer it gets.
//!
//! ```text
//! verified.rs    a request whose credentials were verified
//! attributes.rs  which attributes a request may carry
//! ownership.rs   the allocation that a request is about
//! answer.rs      what a request is answered, and the one place where answers are written
//! ```

pub(in crate::turn) mod answer;
pub(in crate::turn) mod attributes;
mod ownership;
pub(in crate::turn) mod verified;
