//! Who sent a request, and how much a stranger is answered.
//!
//! [`first_look`] decides whether a request is worth the check. [`authenticator`] checks
//! MESSAGE-INTEGRITY against [`credentials`], of which [`user_table`] has the users; a [`nonce`]
//! proves that the client can be reached at its address; [`reply_budget`] bounds what is sent to
//! addresses that have proved nothing, and [`stream_strangers`] how often a connection is answered.

pub(super) mod authenticator;
pub(super) mod credentials;
mod first_look;
pub(super) mod nonce;
pub(super) mod refusal_reports;
mod refusals;
pub(super) mod reply_budget;
pub(super) mod stream_strangers;
mod user_table;
