//! Who sent a request, and how much a stranger is answered.
//!
//! [`authenticator`] checks MESSAGE-INTEGRITY against [`credentials`]; a [`nonce`] proves that the
//! client can be reached at its address; [`reply_budget`] bounds what is sent to addresses that have
//! proved nothing.

pub(super) mod authenticator;
pub(super) mod credentials;
pub(super) mod nonce;
pub(super) mod reply_budget;
