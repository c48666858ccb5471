//! What a client asks of a server, and what can become of it.

use std::fmt;

use uturn::wire::{ErrorCode, Method};

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// How its address looks from there (RFC 8489 §2).
    Binding,
    /// A relayed address (RFC 8656 §7).
    Allocate,
    /// That the peer may send (RFC 8656 §10).
    Permit,
    /// A channel to the peer (RFC 8656 §12).
    Bind,
    /// More time (RFC 8656 §8).
    Refresh,
    /// The end: a refresh with lifetime 0.
    Close,
}

impl Request {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Request::Binding => "Binding",
            Request::Allocate => "Allocate",
            Request::Permit => "CreatePermission",
            Request::Bind => "ChannelBind",
            Request::Refresh => "Refresh",
            Request::Close => "Refresh with lifetime 0",
        }
    }

    pub(super) fn method(self) -> Method {
        match self {
            Request::Binding => Method::Binding,
            Request::Allocate => Method::Allocate,
            Request::Permit => Method::CreatePermission,
            Request::Bind => Method::ChannelBind,
            Request::Refresh | Request::Close => Method::Refresh,
        }
    }
}

/// Why a request came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// The server answered with this code.
    Code(u16),
    /// The credentials were used and refused.
    Credentials,
    /// No answer within the patience.
    Silence,
    /// A success without what it must carry.
    Nonsense,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rejection::Code(code) => {
                let reason = ErrorCode::from_number(*code).map_or("", ErrorCode::reason);
                write!(f, "{code} {reason}")
            }
            Rejection::Credentials => f.write_str("401, with the credentials"),
            Rejection::Silence => f.write_str("no answer"),
            Rejection::Nonsense => f.write_str("success without what it must carry"),
        }
    }
}

impl Rejection {
    /// 437 to an Allocate: the server still holds an allocation for this address and port.
    pub(crate) fn is_old_port(self, request: Request) -> bool {
        request == Request::Allocate && self == Rejection::Code(437)
    }
}

/// What a datagram meant to the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Nothing: not an answer to what is under way.
    Ignored,
    /// The request must be sent once more, with the new challenge: `Session::pending`.
    Again,
    /// Done, this long after it was first sent.
    Done(Request, u64),
    /// Refused.
    Failed(Request, Rejection),
}
