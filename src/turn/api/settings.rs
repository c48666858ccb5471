//! What the operator decides, settled, and the same for every worker.

use std::net::SocketAddr;

use ipnet::IpNet;

use crate::turn::{
    allocation::meter::RateLimits, auth::authenticator::Authenticator, policy::PeerPolicy,
};
use crate::wire::ChannelRange;

/// Rules and limits of one server.
#[derive(Debug)]
pub struct Settings {
    /// SOFTWARE in authenticated Allocate and Refresh answers; `None` leaves it out. Never a
    /// version (RFC 8489 §16.1.2).
    pub software: Option<Box<str>>,
    /// Lifetime of an allocation that asked for none, or for less: seconds.
    pub default_lifetime_s: u32,
    /// The longest lifetime granted, seconds; at least the default.
    pub max_lifetime_s: u32,
    /// Peer addresses one allocation may have permissions for at a time.
    pub permissions_per_allocation: u16,
    /// Channels one allocation may have bound at a time, those in their guard time included.
    pub channels_per_allocation: u16,
    /// Which channel numbers may be bound.
    pub channel_numbers: ChannelRange,
    /// How much one allocation may relay each way.
    pub limits: RateLimits,
    /// Whether channels are said that somebody else may forward, with
    /// [`Effect::Forward`](crate::turn::Effect::Forward).
    pub forwarding: bool,
    /// Whether clients on streams may have TCP relayed addresses (RFC 6062). Connections then leave
    /// from this machine to whatever the peer policy allows, so it is off unless asked for. Once
    /// off, allocations there are live on without new connections.
    pub tcp_relay: bool,
    /// What a new Allocate on a five-tuple in use does.
    pub on_reallocate: OnReallocate,
    /// The listening sockets of this process, wildcards spelt out and under every name the machine
    /// has. Nothing that comes from one of them is answered.
    pub own_sockets: Vec<SocketAddr>,
    /// What else this process serves on TCP, such as metrics: networks and ports. Nobody connects
    /// to them, nor to [`Settings::own_sockets`], from a relayed address.
    pub own_services: Vec<(IpNet, u16)>,
    /// Who may come in.
    pub authenticator: Authenticator,
    /// Which peers may be reached.
    pub policy: PeerPolicy,
    /// Whether every request that is refused is told of, and not a few each second.
    pub tells_every_refusal: bool,
    /// Bytes a second that one worker sends to the strangers of one network; 0 for no limit.
    pub stranger_bytes_per_s: u32,
}

impl Settings {
    /// The longest lifetime where nobody says another one.
    pub const MAX_LIFETIME_S: u32 = 3600;
    /// Permissions of an allocation where nobody says another number.
    pub const PERMISSIONS: u16 = 128;
    /// Channels of an allocation where nobody says another number.
    pub const CHANNELS: u16 = 128;
    /// What strangers of one network are answered with where nobody says another number.
    pub const STRANGER_BYTES_PER_S: u32 = 1_000_000;

    /// The defaults, with who may come in and what may be reached.
    pub fn new(authenticator: Authenticator, policy: PeerPolicy) -> Settings {
        Settings {
            software: Some("uturn".into()),
            default_lifetime_s: 600,
            max_lifetime_s: Self::MAX_LIFETIME_S,
            permissions_per_allocation: Self::PERMISSIONS,
            channels_per_allocation: Self::CHANNELS,
            channel_numbers: ChannelRange::Rfc8656,
            limits: RateLimits::default(),
            forwarding: false,
            tcp_relay: false,
            on_reallocate: OnReallocate::Refuse,
            own_sockets: Vec::new(),
            own_services: Vec::new(),
            authenticator,
            policy,
            stranger_bytes_per_s: Self::STRANGER_BYTES_PER_S,
            tells_every_refusal: false,
        }
    }

    /// Whether this process serves something at an address.
    pub(in crate::turn) fn is_own_service(&self, peer: SocketAddr) -> bool {
        let is_there =
            |(net, port): &(IpNet, u16)| *port == peer.port() && net.contains(&peer.ip());
        self.own_sockets.contains(&peer) || self.own_services.iter().any(is_there)
    }

    /// The lifetime granted for one asked for, seconds: more than the maximum becomes the maximum,
    /// less than the default, or nothing, the default (RFC 8656 §7.2).
    pub(in crate::turn) fn lifetime_s(&self, asked_s: Option<u32>) -> u32 {
        let longest_s = self.max_lifetime_s.max(self.default_lifetime_s);
        asked_s.unwrap_or(0).clamp(self.default_lifetime_s, longest_s)
    }
}

/// What becomes of an allocation whose client allocates again on the same five-tuple, with the
/// same user name and a new transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnReallocate {
    /// It stays and the request gets 437, as RFC 8656 §7.2 says.
    Refuse,
    /// It ends and a new one takes its place: a client that restarted is not locked out.
    Replace,
}
