//! Reserved ports: EVEN-PORT with its R bit, and the tokens that redeem them (RFC 8656 §7.2).

use std::net::SocketAddr;

use super::RelayId;

/// A reserved port on its way to another worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Redeemed {
    /// The socket's name in the worker that gives it away.
    pub relay: RelayId,
    /// What it is bound to.
    pub local: SocketAddr,
}

/// No reservation of this user goes by that token, or it is over (508).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotReserved;
