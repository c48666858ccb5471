//! Who speaks in the scenes, and what they hear.

use std::net::SocketAddr;

use crate::turn::api::{
    identity::{FiveTuple, ListenerId},
    path::Path,
    reason::Reason,
    verdict::Verdict,
};
use crate::wire::{
    AttributeType, Class, ErrorCode, Fingerprint, IntegrityKey, Message, time_limited_password,
};

pub(super) const REALM: &str = "realm";

/// Vouches for time-limited names.
pub(super) const SECRET: &[u8] = b"shared secret";

/// Somebody with an address and credentials, whom the kernel steered to a worker.
#[derive(Debug, Clone, Copy)]
pub(super) struct Client {
    pub(super) address: &'static str,
    pub(super) user: &'static str,
    pub(super) worker: u8,
}

impl Client {
    pub(super) const ANN: Client = Client { address: "198.51.100.1:5000", user: "ann", worker: 0 };
    pub(super) const BOB: Client = Client { address: "198.51.100.2:5000", user: "bob", worker: 0 };

    pub(super) fn on(self, worker: u8) -> Client {
        Client { worker, ..self }
    }

    pub(super) fn at(self, address: &'static str) -> Client {
        Client { address, ..self }
    }

    pub(super) fn path(&self) -> Path {
        Path::udp(FiveTuple { listener: ListenerId(0), client: self.address.parse().unwrap() })
    }

    pub(super) fn key(&self) -> IntegrityKey {
        let timed = self.user.starts_with(|first: char| first.is_ascii_digit());
        let timed = timed.then(|| time_limited_password(SECRET, self.user.as_bytes()));
        let password = timed.as_ref().map_or("secret", |password| password.as_str());
        IntegrityKey::long_term(self.user.as_bytes(), REALM.as_bytes(), password.as_bytes())
    }
}

/// What came of a datagram.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    pub(super) verdict: Verdict,
    pub(super) bytes: Vec<u8>,
}

impl Heard {
    /// An answer, which must fit the request it is to: same transaction, FINGERPRINT if it had one.
    pub(super) fn answer(verdict: Verdict, reply: &[u8], datagram: &[u8]) -> Heard {
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

    pub(super) fn message(&self) -> Message<'_> {
        Message::parse(&self.bytes).unwrap_or_else(|_| panic!("no answer: {:?}", self.verdict))
    }

    pub(super) fn code(&self) -> u16 {
        self.message().error_code().unwrap().unwrap_or(200)
    }

    pub(super) fn relayed(&self) -> SocketAddr {
        self.message().xor_address(AttributeType::XOR_RELAYED_ADDRESS).unwrap().expect("a relay")
    }

    pub(super) fn token(&self) -> [u8; 8] {
        self.message().reservation_token().unwrap().expect("a token")
    }

    #[track_caller]
    pub(super) fn expect_success(self) -> Heard {
        assert_eq!(self.code(), 200);
        assert_eq!(self.message().class(), Class::Success);
        self
    }

    #[track_caller]
    pub(super) fn expect_error(&self, code: ErrorCode) {
        assert_eq!(self.message().class(), Class::Error);
        assert_eq!(self.code(), code.number());
    }

    #[track_caller]
    pub(super) fn expect_drop(&self, reason: Reason) {
        assert_eq!(self.verdict, Verdict::Drop(reason));
    }

    #[track_caller]
    pub(super) fn expect_to_peer(&self, peer: &str, payload: &[u8]) {
        let Verdict::ToPeer { peer: to, payload: range, .. } = &self.verdict else {
            panic!("not to a peer: {:?}", self.verdict)
        };
        assert_eq!((*to, &self.bytes[range.clone()]), (peer.parse().unwrap(), payload));
    }
}
