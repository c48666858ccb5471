//! Who speaks in the scenes, and what they hear.

use std::net::SocketAddr;

use crate::turn::api::{
    names::{
        identity::{FiveTuple, ListenerId},
        path::{Path, Transport},
    },
    reason::Reason,
    verdict::Verdict,
};
use crate::wire::{
    AttributeType, Class, ErrorCode, Fingerprint, IntegrityKey, Message, time_limited_password,
};

pub(in crate::turn) const REALM: &str = "realm";

/// Vouches for time-limited names.
pub(in crate::turn) const SECRET: &[u8] = b"shared secret";

/// Somebody with an address and credentials, whom the kernel steered to a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::turn) struct Client {
    pub(in crate::turn) address: &'static str,
    pub(in crate::turn) user: &'static str,
    pub(in crate::turn) worker: u8,
    pub(in crate::turn) transport: Transport,
}

impl Client {
    pub(in crate::turn) const ANN: Client =
        Client { address: "198.51.100.1:5000", user: "ann", worker: 0, transport: Transport::Udp };
    pub(in crate::turn) const BOB: Client =
        Client { address: "198.51.100.2:5000", user: "bob", ..Client::ANN };

    pub(in crate::turn) fn on(self, worker: u8) -> Client {
        Client { worker, ..self }
    }

    pub(in crate::turn) fn at(self, address: &'static str) -> Client {
        Client { address, ..self }
    }

    pub(in crate::turn) fn over(self, transport: Transport) -> Client {
        Client { transport, ..self }
    }

    /// TCP and TLS share a listener.
    pub(in crate::turn) fn path(&self) -> Path {
        let listener = ListenerId(u16::from(self.transport.is_stream()));
        let flow = FiveTuple { listener, client: self.address.parse().unwrap() };
        Path { flow, transport: self.transport }
    }

    pub(in crate::turn) fn key(&self) -> IntegrityKey {
        let timed = self.user.starts_with(|first: char| first.is_ascii_digit());
        let timed = timed.then(|| time_limited_password(SECRET, self.user.as_bytes()));
        let password = timed.as_ref().map_or("secret", |password| password.as_str());
        IntegrityKey::long_term(self.user.as_bytes(), REALM.as_bytes(), password.as_bytes())
    }
}

/// What came of a datagram.
#[derive(Debug, Clone)]
pub(in crate::turn) struct Heard {
    pub(in crate::turn) verdict: Verdict,
    pub(in crate::turn) bytes: Vec<u8>,
}

impl Heard {
    /// An answer, which must fit the request it is to: same transaction, FINGERPRINT if it had one.
    pub(in crate::turn) fn answer(verdict: Verdict, reply: &[u8], datagram: &[u8]) -> Heard {
        let Verdict::Reply(bytes) = verdict else { panic!("no answer: {verdict:?}") };
        let bytes = reply[..bytes].to_vec();
        let message = Message::parse(&bytes).expect("every answer is a message");
        assert_ne!(message.fingerprint(), Fingerprint::Wrong);
        if let Ok(request) = Message::parse(datagram) {
            assert_eq!(message.transaction(), request.transaction());
            assert_eq!(message.fingerprint(), request.fingerprint());
        }
        Heard { verdict, bytes }
    }

    pub(in crate::turn) fn message(&self) -> Message<'_> {
        Message::parse(&self.bytes).unwrap_or_else(|_| panic!("no answer: {:?}", self.verdict))
    }

    pub(in crate::turn) fn code(&self) -> u16 {
        self.message().error_code().unwrap().unwrap_or(200)
    }

    pub(in crate::turn) fn relayed(&self) -> SocketAddr {
        self.message().xor_address(AttributeType::XOR_RELAYED_ADDRESS).unwrap().expect("a relay")
    }

    pub(in crate::turn) fn token(&self) -> [u8; 8] {
        self.message().reservation_token().unwrap().expect("a token")
    }

    #[track_caller]
    pub(in crate::turn) fn expect_success(self) -> Heard {
        assert_eq!(self.code(), 200);
        assert_eq!(self.message().class(), Class::Success);
        self
    }

    #[track_caller]
    pub(in crate::turn) fn expect_error(&self, code: ErrorCode) {
        assert_eq!(self.message().class(), Class::Error);
        assert_eq!(self.code(), code.number());
    }

    #[track_caller]
    pub(in crate::turn) fn expect_drop(&self, reason: Reason) {
        assert_eq!(self.verdict, Verdict::Drop(reason));
    }

    #[track_caller]
    pub(in crate::turn) fn expect_to_peer(&self, peer: &str, payload: &[u8]) {
        let Verdict::ToPeer { peer: to, payload: range, .. } = &self.verdict else {
            panic!("not to a peer: {:?}", self.verdict)
        };
        assert_eq!((*to, &self.bytes[range.clone()]), (peer.parse().unwrap(), payload));
    }
}
