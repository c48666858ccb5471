//! The client side of TURN: one allocation as a state machine, and what carries its messages.
//!
//! ```text
//! account.rs   who we are: a name, a password, and the key a realm makes of them
//! session.rs   one allocation: requests out, answers in, refreshes when due. Pure: time is an argument
//! member.rs    a session and its socket
//! setup.rs     many members through the same requests, a bounded number at a time
//! ```

mod account;
mod member;
mod session;
mod setup;

pub(crate) use account::Account;
pub(crate) use member::Member;
pub(crate) use session::{Answer, Pace, Rejection, Request, Session};
pub(crate) use setup::{Timings, drive};
