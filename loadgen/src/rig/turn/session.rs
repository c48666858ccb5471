//! One allocation, seen from the client: which request is under way, what the answer means, and
//! when each thing must be refreshed.
//!
//! Nothing here reads a clock or touches a socket. One request is under way at a time; it is sent
//! again with the same transaction until it is answered or given up (RFC 8489 §6.2.1).

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use uturn::wire::{
    AttributeType, ChannelNumber, Class, Family, IntegrityKey, Message, MessageWriter,
    TRANSPORT_UDP, TransactionId,
};

use super::request::{Answer, Rejection, Request};
use crate::{
    clock::SECOND_NS,
    offer::{account::Account, packet::mix, spec::Pace},
};

/// Challenges in a row after which a server is not asked again.
const MAX_CHALLENGES: u32 = 4;

/// Longest realm and nonce (RFC 8489 §14.9, §14.10).
const MAX_TEXT_BYTES: usize = 763;

/// Longest request: a name, a realm and a nonce of the longest allowed length fit.
const REQUEST_BYTES: usize = 2_560;

struct Pending {
    request: Request,
    transaction: TransactionId,
    bytes: Vec<u8>,
    first_ns: u64,
    again_ns: u64,
    wait_ns: u64,
    challenges: u32,
}

struct Challenge {
    name: Arc<str>,
    realm: Vec<u8>,
    nonce: Vec<u8>,
    key: IntegrityKey,
}

/// When each refresh is due, ns; `u64::MAX` for what is not there.
#[derive(Debug, Clone, Copy)]
struct Due {
    allocation: u64,
    permission: u64,
    channel: u64,
}

const NEVER: Due = Due { allocation: u64::MAX, permission: u64::MAX, channel: u64::MAX };

/// One allocation.
pub(crate) struct Session {
    account: Option<Account>,
    pace: Pace,
    family: Family,
    chance: u64,
    challenge: Option<Challenge>,
    pending: Option<Pending>,
    due: Due,
    relayed: Option<SocketAddr>,
    lifetime_s: u32,
    peer: Option<SocketAddr>,
    software: Option<String>,
}

impl Session {
    /// `seed` must differ between sessions: transaction ids are made from it.
    pub(crate) fn new(account: Option<Account>, pace: Pace, peer_ip: IpAddr, seed: u64) -> Session {
        Session {
            account,
            pace,
            family: Family::of(peer_ip),
            chance: seed,
            challenge: None,
            pending: None,
            due: NEVER,
            relayed: None,
            lifetime_s: 0,
            peer: None,
            software: None,
        }
    }

    /// What the server calls itself, if it ever did.
    pub(crate) fn software(&self) -> Option<&str> {
        self.software.as_deref()
    }

    /// The channel every session uses: one peer needs no second.
    pub(crate) const CHANNEL: ChannelNumber = ChannelNumber::MIN;

    /// Where peers reach the client, once allocated.
    pub(crate) fn relayed(&self) -> Option<SocketAddr> {
        self.relayed
    }

    /// Whom permission and channel are for.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// Says whom permission and channel are for.
    pub(crate) fn talk_to(&mut self, peer: SocketAddr) {
        self.peer = Some(peer);
    }

    /// Forgets the challenge: nonces belong to an address.
    pub(crate) fn forget(&mut self) {
        self.challenge = None;
    }

    /// Begins a request; [`Session::pending`] is what to send.
    pub(crate) fn start(&mut self, request: Request, now_ns: u64) {
        self.issue(request, now_ns, now_ns, 0);
    }

    /// True when the server may hold an allocation: it has said so, or has yet to answer a request
    /// that it may grant.
    pub(crate) fn may_be_allocated(&self) -> bool {
        let asked = |pending: &Pending| pending.request == Request::Allocate;
        self.relayed.is_some() || self.pending.as_ref().is_some_and(asked)
    }

    /// The datagram under way.
    pub(crate) fn pending(&self) -> Option<&[u8]> {
        self.pending.as_ref().map(|pending| &pending.bytes[..])
    }

    /// When [`Session::tick`] has something to do.
    pub(crate) fn next_due(&self) -> u64 {
        match &self.pending {
            Some(pending) => pending.again_ns,
            None => self.due.allocation.min(self.due.permission).min(self.due.channel),
        }
    }

    /// Does what is due: the pending request once more, or a refresh. `Again` when
    /// [`Session::pending`] is to be sent.
    pub(crate) fn tick(&mut self, now_ns: u64) -> Answer {
        if now_ns < self.next_due() {
            return Answer::Ignored;
        }
        match &mut self.pending {
            Some(pending) if now_ns - pending.first_ns >= self.pace.patience_ns => {
                let request = pending.request;
                self.pending = None;
                Answer::Failed(request, Rejection::Silence)
            }
            Some(pending) => {
                pending.wait_ns *= 2;
                let give_up = pending.first_ns + self.pace.patience_ns;
                pending.again_ns = (now_ns + pending.wait_ns).min(give_up);
                Answer::Again
            }
            None => {
                self.start(self.refresh_due(), now_ns);
                Answer::Again
            }
        }
    }

    /// Takes a datagram from the server.
    pub(crate) fn answer(&mut self, datagram: &[u8], now_ns: u64) -> Answer {
        let Ok(message) = Message::parse(datagram) else { return Answer::Ignored };
        let Some(pending) = self.pending.take_if(|p| p.transaction == message.transaction()) else {
            return Answer::Ignored;
        };
        match message.class() {
            Class::Success => self.succeeded(&message, pending, now_ns),
            Class::Error => self.refused(&message, &pending, now_ns),
            Class::Request | Class::Indication => Answer::Ignored,
        }
    }

    fn succeeded(&mut self, message: &Message<'_>, pending: Pending, now_ns: u64) -> Answer {
        let forged = self.challenge.as_ref().is_some_and(|c| !message.is_signed_with(&c.key));
        if forged {
            self.pending = Some(pending);
            return Answer::Ignored;
        }
        match self.settle(message, pending.request, now_ns) {
            Some(()) => Answer::Done(pending.request, now_ns - pending.first_ns),
            None => Answer::Failed(pending.request, Rejection::Nonsense),
        }
    }

    /// Takes over what a success brought.
    fn settle(&mut self, message: &Message<'_>, request: Request, now_ns: u64) -> Option<()> {
        match request {
            Request::Binding => {
                message.xor_address(AttributeType::XOR_MAPPED_ADDRESS).ok()??;
            }
            Request::Allocate => {
                let software = message.first(AttributeType::SOFTWARE);
                self.software = software.map(|text| String::from_utf8_lossy(text).into_owned());
                let kind = AttributeType::XOR_RELAYED_ADDRESS;
                self.relayed = Some(message.xor_address(kind).ok()??);
                self.extend(message.lifetime_s().ok()??, now_ns);
            }
            Request::Permit => self.due.permission = now_ns + self.pace.permission_ns,
            Request::Bind => self.due.channel = now_ns + self.pace.channel_ns,
            Request::Refresh => self.extend(message.lifetime_s().ok()??, now_ns),
            Request::Close => self.due = NEVER,
        }
        Some(())
    }

    fn extend(&mut self, lifetime_s: u32, now_ns: u64) {
        self.lifetime_s = lifetime_s;
        let half_ns = u64::from(lifetime_s) * SECOND_NS / 2;
        self.due.allocation = now_ns + self.pace.allocation_ns.unwrap_or(half_ns).min(half_ns);
    }

    fn refused(&mut self, message: &Message<'_>, pending: &Pending, now_ns: u64) -> Answer {
        let code = message.error_code().ok().flatten().unwrap_or_default();
        // Another realm is another login: the server has been told of a new one since.
        let same_realm = |c: &Challenge| message.realm().is_none_or(|realm| realm == c.realm);
        let tried = self.challenge.as_ref().is_some_and(same_realm);
        match code {
            401 if tried => Answer::Failed(pending.request, Rejection::Credentials),
            401 | 438 if pending.challenges < MAX_CHALLENGES && self.challenged(message) => {
                self.issue(pending.request, pending.first_ns, now_ns, pending.challenges + 1);
                Answer::Again
            }
            _ => Answer::Failed(pending.request, Rejection::Code(code)),
        }
    }

    /// Takes over realm and nonce; false when the server sent none to go on with, or there is no
    /// account to answer with.
    fn challenged(&mut self, message: &Message<'_>) -> bool {
        let known = self.challenge.take().map(|challenge| challenge.realm);
        let realm = message.realm().map(<[u8]>::to_vec).or(known);
        let (Some(realm), Some(nonce)) = (realm, message.nonce()) else { return false };
        if realm.len().max(nonce.len()) > MAX_TEXT_BYTES {
            return false;
        }
        let Some(account) = &self.account else { return false };
        let (key, name) = (account.key(&realm), account.name());
        self.challenge = Some(Challenge { name, realm, nonce: nonce.to_vec(), key });
        true
    }

    fn refresh_due(&self) -> Request {
        let Due { allocation, permission, channel } = self.due;
        if allocation <= permission.min(channel) {
            Request::Refresh
        } else if permission <= channel {
            Request::Permit
        } else {
            Request::Bind
        }
    }

    fn issue(&mut self, request: Request, first_ns: u64, now_ns: u64, challenges: u32) {
        let transaction = self.transaction();
        self.pending = Some(Pending {
            request,
            transaction,
            bytes: self.write(request, transaction),
            first_ns,
            again_ns: now_ns + self.pace.first_wait_ns,
            wait_ns: self.pace.first_wait_ns,
            challenges,
        });
    }

    fn transaction(&mut self) -> TransactionId {
        self.chance = self.chance.wrapping_add(1);
        let (high, low) = (mix(self.chance), mix(!self.chance));
        let mut id = [0_u8; 12];
        id[..8].copy_from_slice(&high.to_be_bytes());
        id[8..].copy_from_slice(&(low as u32).to_be_bytes());
        TransactionId(id)
    }

    fn write(&self, request: Request, transaction: TransactionId) -> Vec<u8> {
        let mut bytes = vec![0; REQUEST_BYTES];
        let mut writer =
            MessageWriter::new(&mut bytes, request.method(), Class::Request, transaction);
        self.write_subject(&mut writer, request);
        if let Some(challenge) = &self.challenge {
            writer
                .attribute(AttributeType::USERNAME, challenge.name.as_bytes())
                .attribute(AttributeType::REALM, &challenge.realm)
                .attribute(AttributeType::NONCE, &challenge.nonce)
                .integrity(&challenge.key);
        }
        let length = writer.finish().expect("2,560 bytes hold the longest name, realm and nonce");
        bytes.truncate(length);
        bytes.shrink_to_fit();
        bytes
    }

    fn write_subject(&self, writer: &mut MessageWriter<'_>, request: Request) {
        match request {
            Request::Binding => {}
            Request::Allocate => {
                writer.requested_transport(TRANSPORT_UDP);
                if self.family == Family::V6 {
                    writer.requested_family(Family::V6);
                }
            }
            Request::Permit => {
                self.peer.map(|peer| writer.xor_peer_address(peer));
            }
            Request::Bind => {
                writer.channel_number(Session::CHANNEL.number());
                self.peer.map(|peer| writer.xor_peer_address(peer));
            }
            Request::Refresh => {
                writer.lifetime_s(self.lifetime_s);
            }
            Request::Close => {
                writer.lifetime_s(0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uturn::wire::ErrorCode;

    use super::*;

    fn session() -> Session {
        let pace = Pace {
            patience_ns: SECOND_NS,
            first_wait_ns: SECOND_NS,
            permission_ns: SECOND_NS,
            channel_ns: SECOND_NS,
            allocation_ns: None,
        };
        let account = Account::new("user", "pass");
        Session::new(Some(account), pace, [127, 0, 0, 1].into(), 7)
    }

    /// Answers what is under way with 401.
    fn challenge(session: &mut Session, realm: &str) -> Answer {
        let pending = session.pending().unwrap().to_vec();
        let asked = Message::parse(&pending).unwrap();
        let mut bytes = [0; 200];
        let mut writer =
            MessageWriter::new(&mut bytes, asked.method(), Class::Error, asked.transaction());
        writer.error_code(ErrorCode::Unauthenticated);
        writer.attribute(AttributeType::REALM, realm.as_bytes());
        let length = writer.attribute(AttributeType::NONCE, b"nonce").finish().unwrap();
        session.answer(&bytes[..length], 0)
    }

    #[test]
    fn another_realm_is_another_login_and_not_a_wrong_password() {
        let mut session = session();
        session.start(Request::Refresh, 0);
        assert_eq!(challenge(&mut session, "old"), Answer::Again);
        assert_eq!(challenge(&mut session, "new"), Answer::Again);
        let pending = session.pending().unwrap();
        assert_eq!(Message::parse(pending).unwrap().realm(), Some(&b"new"[..]));
        let refused = Answer::Failed(Request::Refresh, Rejection::Credentials);
        assert_eq!(challenge(&mut session, "new"), refused);
    }

    #[test]
    fn realms_that_change_each_time_are_given_up() {
        let mut session = session();
        session.start(Request::Refresh, 0);
        let realms = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let refused = Answer::Failed(Request::Refresh, Rejection::Code(401));
        assert!(realms.iter().any(|realm| challenge(&mut session, realm) == refused));
    }
}
