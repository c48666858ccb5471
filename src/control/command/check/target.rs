//! Whom to try, and how.

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::transport::CheckTransport;
use crate::control::config::User;

/// Whom to try.
pub(super) struct Target<'a> {
    pub(super) server: SocketAddr,
    pub(super) transport: CheckTransport,
    /// Host that a certificate has to be of, and what it has to lead to (DER).
    pub(super) name: String,
    pub(super) roots: &'a [Vec<u8>],
    /// Whether others are tried as well, or the transport was asked for.
    pub(super) is_chosen: bool,
    /// What of the server's proxy-from this machine is in: it has to send a PROXY header then,
    /// which is not done here.
    pub(super) proxy: Option<IpNet>,
    pub(super) user: Option<&'a User>,
    pub(super) patience: Duration,
}
