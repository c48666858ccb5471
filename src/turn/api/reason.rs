//! Why a datagram was dropped. Each reason is a counter.

macro_rules! reasons {
    ($($(#[$doc:meta])+ $variant:ident => $name:literal,)+) => {
        /// Why nothing was sent on or answered.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason {
            $($(#[$doc])+ $variant,)+
        }

        impl Reason {
            /// Every reason, in the order of its number: the index of a counter is its place here.
            pub const ALL: &[Reason] = &[$(Reason::$variant,)+];

            /// The name of the counter.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Reason::$variant => $name,)+
                }
            }
        }
    };
}

reasons! {
    /// Neither STUN nor ChannelData.
    NotStun => "not_stun",
    /// STUN without the magic cookie.
    NoCookie => "no_cookie",
    /// The STUN length is not the datagram's.
    BadLength => "bad_length",
    /// The attributes of an indication or answer do not add up.
    BadAttributes => "bad_attributes",
    /// A FINGERPRINT that does not match.
    WrongFingerprint => "wrong_fingerprint",
    /// Success and error answers: a server asks nothing.
    Response => "response",
    /// An indication other than Send.
    Indication => "indication",
    /// A method this server does not know.
    UnknownMethod => "unknown_method",
    /// A source port nobody can be answered at.
    SourcePortZero => "source_port_zero",
    /// The source is one of our own sockets.
    OwnSource => "own_source",
    /// The source's share of unauthenticated answers is used up.
    ReplyBudget => "reply_budget",
    /// The connection has had as many answers as one gets without credentials that are good: it may
    /// be closed.
    TooManyAnswers => "too_many_answers",
    /// The answer does not fit the buffer.
    NoRoom => "no_room",
    /// The same Allocate is already waiting for its socket.
    AlreadyPending => "already_pending",
    /// The client's connection ended while its request waited.
    Disconnected => "disconnected",
    /// A completion nobody waits for.
    NotPending => "not_pending",
    /// ChannelData whose number or length is not one.
    BadChannelData => "bad_channel_data",
    /// A Send indication without peer or data, or with an attribute that is not understood.
    BadSend => "bad_send",
    /// A Send indication or ChannelData on a five-tuple without an allocation.
    NoAllocation => "no_allocation",
    /// ChannelData on a channel that is not bound.
    NoChannel => "no_channel",
    /// The peer's address has no permission.
    NoPermission => "no_permission",
    /// The allocation has no relayed address of the peer's family.
    PeerFamily => "peer_family",
    /// The peer is an own address that may not be reached.
    OwnPeer => "own_peer",
    /// A peer's port is 0.
    PeerPortZero => "peer_port_zero",
    /// The allocation relays more than `max-bps` or `max-pps` allows.
    OverLimit => "over_limit",
    /// A Send indication on a TCP allocation, which relays connections and no datagrams.
    TcpAllocation => "tcp_allocation",
    /// A peer's connection to a TCP allocation that has as many as it may.
    TooManyConnections => "too_many_connections",
    /// A packet, or a connection, for a relay that is not live: reserved, closing or unknown.
    NoRelay => "no_relay",
    /// The hairpin's target port has no live allocation.
    HairpinNoAllocation => "hairpin_no_allocation",
    /// The hairpin's receiver has no permission for the sender.
    HairpinNoPermission => "hairpin_no_permission",
}

impl Reason {
    /// True for what only befalls the payload of an allocation, on its way in or out.
    pub(in crate::turn) const fn is_about_an_allocation(self) -> bool {
        matches!(
            self,
            Reason::NoChannel
                | Reason::NoPermission
                | Reason::PeerFamily
                | Reason::OwnPeer
                | Reason::PeerPortZero
                | Reason::OverLimit
                | Reason::TcpAllocation
                | Reason::HairpinNoAllocation
                | Reason::HairpinNoPermission
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_reason_has_its_own_place_and_name() {
        for (place, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, place);
        }
        let names: HashSet<_> = Reason::ALL.iter().map(|reason| reason.name()).collect();
        assert_eq!(names.len(), Reason::ALL.len());
    }
}
