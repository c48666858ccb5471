//! The client side of TURN: one allocation as a state machine, and what carries its messages.
//!
//! ```text
//! account.rs   who we are: a name, a password, and the key a realm makes of them
//! request.rs   what can be asked for, and what can become of it
//! session.rs   one allocation: requests out, answers in, refreshes when due. Pure: time is an argument
//! member.rs    a session and its socket
//! setup.rs     many members through the same requests, a bounded number at a time
//! ```

mod account;
mod member;
mod request;
mod session;
mod setup;

pub(crate) use account::Account;
pub(crate) use member::Member;
pub(crate) use request::{Answer, Pace, Rejection, Request};
pub(crate) use session::Session;
pub(crate) use setup::{Timings, drive};
