//! Why a stream was closed. Each reason is a counter.

macro_rules! reasons {
    ($($(#[$doc:meta])+ $variant:ident => $name:literal,)+) => {
        /// Why a stream was closed, or refused at its accept.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum HangUp {
            $($(#[$doc])+ $variant,)+
        }

        impl HangUp {
            /// Every reason, in the order of its number: the index of a counter is its place here.
            pub const ALL: &[HangUp] = &[$(HangUp::$variant,)+];

            /// The name of the counter.
            pub const fn name(self) -> &'static str {
                match self {
                    $(HangUp::$variant => $name,)+
                }
            }

            /// Whether somebody did what he should not: what operators look for when clients
            /// complain. Ends, displaced strangers and silence are none.
            pub const fn is_fault(self) -> bool {
                !matches!(
                    self,
                    HangUp::Left
                        | HangUp::Broke
                        | HangUp::ServerEnds
                        | HangUp::AllocationEnded
                        | HangUp::Displaced
                        | HangUp::Http
                        | HangUp::FirstTimeout
                        | HangUp::NoAllocation
                        | HangUp::WebBackend
                        | HangUp::PeerLeft
                        | HangUp::Idle
                )
            }
        }
    };
}

reasons! {
    /// The client closed it.
    Left => "left",
    /// It broke: a reset, or another error of the socket.
    Broke => "broke",
    /// The server drains or ends.
    ServerEnds => "server_ends",
    /// Its allocation was ended by an operator or a policy.
    AllocationEnded => "allocation_ended",
    /// The worker has as many streams as it may.
    TooManyStreams => "too_many_streams",
    /// The source has as many streams as it may.
    SourceStreams => "source_streams",
    /// The source opens streams faster than it may.
    SourceRate => "source_rate",
    /// A newer stream took the place of the oldest that had not authenticated.
    Displaced => "displaced",
    /// No PROXY header, from a network that must send one.
    NoProxyHeader => "no_proxy_header",
    /// A PROXY header from a network that may not send one.
    UnexpectedProxyHeader => "unexpected_proxy_header",
    /// A PROXY header that does not add up or is too long.
    BadProxyHeader => "bad_proxy_header",
    /// The PROXY header was not there in time.
    ProxyTimeout => "proxy_timeout",
    /// The first bytes are nothing this server speaks.
    UnknownProtocol => "unknown_protocol",
    /// A request of HTTP, answered with 400.
    Http => "http",
    /// Nothing was sent in time.
    FirstTimeout => "first_timeout",
    /// TLS, where the listener has no certificate.
    NoTls => "no_tls",
    /// Not TLS, where the listener takes nothing else.
    OnlyTls => "only_tls",
    /// A ClientHello that does not add up or is too long.
    BadHello => "bad_hello",
    /// The ClientHello was not there in time.
    HelloTimeout => "hello_timeout",
    /// The client offers application protocols of which this server speaks none.
    NoSharedProtocol => "no_shared_protocol",
    /// The client ended the handshake with an alert, as for a certificate it does not trust.
    HandshakeRefused => "handshake_refused",
    /// The handshake failed for another reason.
    HandshakeFailed => "handshake_failed",
    /// The handshake was not over in time.
    HandshakeTimeout => "handshake_timeout",
    /// A TLS record that does not open, or one out of place.
    BadRecord => "bad_record",
    /// Neither STUN nor ChannelData where a frame begins.
    BadFrame => "bad_frame",
    /// A frame longer than a client without an allocation may send.
    FrameTooLong => "frame_too_long",
    /// The rest of a frame or record was not there in time.
    FrameTimeout => "frame_timeout",
    /// More was sent behind a ConnectionBind request than waits for its answer.
    TooMuchHeld => "too_much_held",
    /// It was to go to the worker that has what it asks for, which had no room.
    MoveFailed => "move_failed",
    /// No allocation was made in time, or none after the last one ended.
    NoAllocation => "no_allocation",
    /// More answers wait than a client that reads would let wait.
    TooManyAnswers => "too_many_answers",
    /// It was answered as often as a client that has not logged in is.
    AnswersUsedUp => "answers_used_up",
    /// A write did not end in time: the client reads nothing.
    WriteTimeout => "write_timeout",
    /// The web backend could not be reached, or broke.
    WebBackend => "web_backend",
    /// The peer connection of a data connection ended.
    PeerLeft => "peer_left",
    /// Nothing was sent either way for too long.
    Idle => "idle",
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_reason_has_its_own_place_and_name() {
        for (place, reason) in HangUp::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, place);
        }
        let names: HashSet<_> = HangUp::ALL.iter().map(|reason| reason.name()).collect();
        assert_eq!(names.len(), HangUp::ALL.len());
    }
}
