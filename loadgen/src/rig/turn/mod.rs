//! The client side of TURN: one allocation as a state machine, and what carries its messages.
//!
//! ```text
//! request.rs   what can be asked for, and what can become of it
//! refusal.rs   what came to nothing, as a line an operator can act on
//! session.rs   one allocation: requests out, answers in, refreshes when due. Pure: time is an
//!              argument
//! member.rs    a session and its socket
//! setup.rs     many members through the same requests, a bounded number at a time
//! ```

mod member;
mod refusal;
mod request;
mod session;
mod setup;

pub(crate) use member::Member;
pub(crate) use request::{Answer, Request};
pub(crate) use session::Session;
pub(crate) use setup::{Timings, drive};
