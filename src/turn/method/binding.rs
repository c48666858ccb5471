//! Binding: tells a client where it is seen (RFC 8489 §3). Unauthenticated, so as short as can be.

use crate::turn::{
    method::request::{answer::Answer, attributes::Unknown},
    server::Server,
};
use crate::wire::Message;

impl Server {
    /// Answers a Binding request.
    pub(in crate::turn) fn binding(&self, message: &Message<'_>) -> Answer {
        Unknown::of(message).map_or(Answer::Mapped, Answer::Unknown)
    }
}
