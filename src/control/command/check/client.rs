//! The client side of TURN, one request at a time: asks, waits, answers a challenge, asks again.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::link::Link;
use super::trouble::Trouble;
use crate::control::command::account;
use crate::control::config::User;
use crate::wire::{
    AttributeType, Class, HEADER_BYTES, IntegrityKey, Message, MessageWriter, Method, TransactionId,
};

/// First wait for an answer; doubled each time (RFC 8489 §6.2.1).
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Challenges in a row after which a server is not asked again.
const CHALLENGES_MAX: usize = 3;
/// Name, realm and nonce of the longest allowed length fit (RFC 8489 §14.3, §14.9, §14.10).
const REQUEST_BYTES: usize = 2_560;

/// What a server wants signed, and the key to sign with.
struct Challenge {
    realm: Vec<u8>,
    nonce: Vec<u8>,
    key: IntegrityKey,
}

/// A client with a socket of its own.
pub(super) struct Client<'a> {
    link: Link,
    server: SocketAddr,
    user: Option<&'a User>,
    challenge: Option<Challenge>,
    patience: Duration,
}

impl<'a> Client<'a> {
    /// A client that is nobody until the server asks who it is.
    pub(super) fn new(
        link: Link,
        server: SocketAddr,
        user: Option<&'a User>,
        patience: Duration,
    ) -> Client<'a> {
        Client { link, server, user, challenge: None, patience }
    }

    /// Hears from the server alone from now on, and of a port that is closed.
    pub(super) fn connect(&self) -> Result<(), Trouble> {
        self.link.connect(self.server)
    }

    /// The realm of the server's last challenge.
    pub(super) fn realm(&self) -> String {
        let realm = self.challenge.as_ref().map(|challenge| &challenge.realm[..]);
        String::from_utf8_lossy(realm.unwrap_or_default()).into_owned()
    }

    /// Makes a request and gives its success, answering challenges on the way.
    pub(super) fn ask(
        &mut self,
        method: Method,
        write: impl Fn(&mut MessageWriter<'_>),
    ) -> Result<Vec<u8>, Trouble> {
        for _ in 0..=CHALLENGES_MAX {
            let request = self.request(method, &write)?;
            let answer = self.exchange(&request)?;
            let message = Message::parse(&answer).map_err(|_| Trouble::Nonsense)?;
            if message.class() == Class::Success {
                return if self.is_genuine(&message) { Ok(answer) } else { Err(Trouble::Nonsense) };
            }
            let code = message.error_code().ok().flatten().unwrap_or_default();
            let may_answer = code == 438 || (code == 401 && self.challenge.is_none());
            if !may_answer || !self.take_challenge(&message) {
                let instead = alternate(&message);
                return Err(Trouble::Refused { code, instead });
            }
        }
        Err(Trouble::Refused { code: 438, instead: None })
    }

    /// Sends a payload to a peer in a Send indication.
    pub(super) fn send_to_peer(&self, peer: SocketAddr, payload: &[u8]) -> Result<(), Trouble> {
        let mut bytes = [0; 256];
        let mut writer =
            MessageWriter::new(&mut bytes, Method::Send, Class::Indication, transaction()?);
        writer.xor_peer_address(peer).attribute(AttributeType::DATA, payload);
        let length = writer.finish().expect("256 bytes hold a small payload");
        self.link.send(self.server, &bytes[..length])
    }

    /// Sends a bare datagram to anybody.
    pub(super) fn send_bare(&self, to: SocketAddr, payload: &[u8]) -> Result<(), Trouble> {
        self.link.send(to, payload)
    }

    /// Waits for a Data indication with this payload, and says which peer sent it.
    pub(super) fn data(&self, payload: &[u8], wait: Duration) -> Result<SocketAddr, Trouble> {
        self.wait_for(wait, |_, datagram| {
            let message = Message::parse(datagram).ok()?;
            let is_data = message.class() == Class::Indication && message.method() == Method::Data;
            let is_ours = is_data && message.data() == Some(payload);
            is_ours.then(|| message.peer().ok().flatten())?
        })
    }

    /// Waits for a bare datagram with this payload, and says where it came from.
    pub(super) fn bare(&self, payload: &[u8], wait: Duration) -> Result<SocketAddr, Trouble> {
        self.wait_for(wait, |from, datagram| (datagram == payload).then_some(from))
    }

    fn request(
        &self,
        method: Method,
        write: impl Fn(&mut MessageWriter<'_>),
    ) -> Result<Vec<u8>, Trouble> {
        let mut bytes = vec![0; REQUEST_BYTES];
        let mut writer = MessageWriter::new(&mut bytes, method, Class::Request, transaction()?);
        write(&mut writer);
        if let (Some(Challenge { realm, nonce, key }), Some(user)) = (&self.challenge, self.user) {
            writer
                .attribute(AttributeType::USERNAME, user.name.as_bytes())
                .attribute(AttributeType::REALM, realm)
                .attribute(AttributeType::NONCE, nonce)
                .integrity(key);
        }
        let length = writer.fingerprint().finish().map_err(|_| Trouble::Nonsense)?;
        bytes.truncate(length);
        Ok(bytes)
    }

    /// Sends a request until it is answered or the patience ends (RFC 8489 §6.2.1); over a
    /// connection once (§6.2.2).
    fn exchange(&self, request: &[u8]) -> Result<Vec<u8>, Trouble> {
        let (deadline, mut wait) = (Instant::now() + self.patience, FIRST_WAIT);
        if self.link.is_reliable() {
            wait = self.patience;
        }
        let transaction = &request[8..HEADER_BYTES];
        loop {
            self.link.send(self.server, request)?;
            let left = deadline.saturating_duration_since(Instant::now());
            let answer = self.wait_for(wait.min(left), |from, datagram| {
                let is_ours = from == self.server
                    && Message::parse(datagram).is_ok_and(|it| it.class() != Class::Indication)
                    && datagram.get(8..HEADER_BYTES) == Some(transaction);
                is_ours.then(|| datagram.to_vec())
            });
            match answer {
                Err(Trouble::Silence) if self.link.is_reliable() => return Err(Trouble::Mute),
                Err(Trouble::Silence) if Instant::now() < deadline => wait *= 2,
                answer => return answer,
            }
        }
    }

    fn wait_for<T>(
        &self,
        wait: Duration,
        mut take: impl FnMut(SocketAddr, &[u8]) -> Option<T>,
    ) -> Result<T, Trouble> {
        let deadline = Instant::now() + wait;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Trouble::Silence);
            }
            if let Some((from, message)) = self.link.receive(left)?
                && let Some(taken) = take(from, &message)
            {
                return Ok(taken);
            }
        }
    }

    /// A success to a signed request must be signed with the same key.
    fn is_genuine(&self, message: &Message<'_>) -> bool {
        self.challenge.as_ref().is_none_or(|challenge| message.is_signed_with(&challenge.key))
    }

    /// Takes over realm and nonce; false when there is nothing to go on with, or nobody to be.
    fn take_challenge(&mut self, message: &Message<'_>) -> bool {
        let known = self.challenge.take().map(|challenge| challenge.realm);
        let realm = message.realm().map(<[u8]>::to_vec).or(known);
        let (Some(realm), Some(nonce), Some(user)) = (realm, message.nonce(), self.user) else {
            return false;
        };
        let key = account::key(user, &realm);
        self.challenge = Some(Challenge { realm, nonce: nonce.to_vec(), key });
        true
    }
}

fn transaction() -> Result<TransactionId, Trouble> {
    let mut id = [0; 12];
    getrandom::fill(&mut id).map_err(|error| Trouble::Broken(error.into()))?;
    Ok(TransactionId(id))
}

/// ALTERNATE-SERVER, which is not xor-ed (RFC 8489 §14.15).
fn alternate(message: &Message<'_>) -> Option<SocketAddr> {
    let value = message.first(AttributeType::ALTERNATE_SERVER)?;
    let port = u16::from_be_bytes(*value.get(2..)?.first_chunk()?);
    let address = value.get(4..)?;
    let ip = match (value.get(1)?, address.len()) {
        (1, 4) => IpAddr::from(*address.first_chunk::<4>()?),
        (2, 16) => IpAddr::from(*address.first_chunk::<16>()?),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}
