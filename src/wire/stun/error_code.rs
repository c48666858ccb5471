//! The error codes a relay answers with (RFC 8489 §14.8, RFC 8656 §19, RFC 6062 §6.3).

/// A code of ERROR-CODE or ADDRESS-ERROR-CODE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorCode {
    /// 300: try the server named in ALTERNATE-SERVER.
    TryAlternate,
    /// 400: the request is malformed.
    BadRequest,
    /// 401: credentials are missing or wrong.
    Unauthenticated,
    /// 403: the peer may not be reached, or the request is not allowed.
    Forbidden,
    /// 420: a comprehension-required attribute is not known.
    UnknownAttribute,
    /// 437: no allocation where one is needed, or one where none may be.
    AllocationMismatch,
    /// 438: the nonce is no longer good.
    StaleNonce,
    /// 440: no relayed address of this family.
    AddressFamilyNotSupported,
    /// 441: the allocation belongs to other credentials.
    WrongCredentials,
    /// 442: this protocol is not relayed.
    UnsupportedTransport,
    /// 443: the peer's family is not one of the allocation's.
    PeerAddressFamilyMismatch,
    /// 446: there is a connection to this peer.
    ConnectionAlreadyExists,
    /// 447: the peer refused the connection, or did not answer in time.
    ConnectionFailed,
    /// 486: this user holds as many allocations as it may.
    AllocationQuotaReached,
    /// 500: the server failed.
    ServerError,
    /// 508: no port, no socket or no room left.
    InsufficientCapacity,
}

impl ErrorCode {
    /// Every code, in ascending order: the index of a per-code counter is its place here.
    pub const ALL: [ErrorCode; 16] = [
        ErrorCode::TryAlternate,
        ErrorCode::BadRequest,
        ErrorCode::Unauthenticated,
        ErrorCode::Forbidden,
        ErrorCode::UnknownAttribute,
        ErrorCode::AllocationMismatch,
        ErrorCode::StaleNonce,
        ErrorCode::AddressFamilyNotSupported,
        ErrorCode::WrongCredentials,
        ErrorCode::UnsupportedTransport,
        ErrorCode::PeerAddressFamilyMismatch,
        ErrorCode::ConnectionAlreadyExists,
        ErrorCode::ConnectionFailed,
        ErrorCode::AllocationQuotaReached,
        ErrorCode::ServerError,
        ErrorCode::InsufficientCapacity,
    ];

    /// The code of a number, if it is one of these.
    pub fn from_number(number: u16) -> Option<ErrorCode> {
        ErrorCode::ALL.into_iter().find(|code| code.number() == number)
    }

    /// The number on the wire, 300..=699.
    pub const fn number(self) -> u16 {
        self.parts().0
    }

    /// The reason phrase, for people who read what their client got.
    pub const fn reason(self) -> &'static str {
        self.parts().1
    }

    const fn parts(self) -> (u16, &'static str) {
        match self {
            ErrorCode::TryAlternate => (300, "Try Alternate"),
            ErrorCode::BadRequest => (400, "Bad Request"),
            ErrorCode::Unauthenticated => (401, "Unauthenticated"),
            ErrorCode::Forbidden => (403, "Forbidden"),
            ErrorCode::UnknownAttribute => (420, "Unknown Attribute"),
            ErrorCode::AllocationMismatch => (437, "Allocation Mismatch"),
            ErrorCode::StaleNonce => (438, "Stale Nonce"),
            ErrorCode::AddressFamilyNotSupported => (440, "Address Family not Supported"),
            ErrorCode::WrongCredentials => (441, "Wrong Credentials"),
            ErrorCode::UnsupportedTransport => (442, "Unsupported Transport Protocol"),
            ErrorCode::PeerAddressFamilyMismatch => (443, "Peer Address Family Mismatch"),
            ErrorCode::ConnectionAlreadyExists => (446, "Connection Already Exists"),
            ErrorCode::ConnectionFailed => (447, "Connection Timeout or Failure"),
            ErrorCode::AllocationQuotaReached => (486, "Allocation Quota Reached"),
            ErrorCode::ServerError => (500, "Server Error"),
            ErrorCode::InsufficientCapacity => (508, "Insufficient Capacity"),
        }
    }
}
