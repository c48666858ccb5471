//! Long-term credentials: who sent a request (RFC 8489 §9.2.4).
//!
//! ```text
//! no MESSAGE-INTEGRITY                  401 with REALM and NONCE
//! USERNAME, REALM or NONCE missing      400
//! nonce too old, not ours, not theirs   438 with REALM and NONCE
//! name, realm or password wrong         401 with REALM and NONCE
//! ```
//!
//! The nonce comes before the password, so that whoever makes the server compute one has shown a
//! return path first.
//!
//! Law: an [`Authenticated`] can only come from here, and only from a message whose
//! MESSAGE-INTEGRITY matched.

use std::net::SocketAddr;

use crate::turn::{
    api::now::Now,
    auth::{
        credentials::{Credentials, MAX_USERNAME_BYTES},
        nonce::{NonceState, Nonces},
    },
};
use crate::wire::{AttributeType, ErrorCode, IntegrityKey, Message, MessageWriter};

/// Why a request was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It bore no credentials: the first request of every client.
    NoCredentials,
    /// It bore some of USERNAME, REALM and NONCE, or a USERNAME longer than there are.
    Incomplete,
    /// The nonce was given to this address, and is too old.
    StaleNonce,
    /// The nonce was given to another address, or not by this server.
    ForeignNonce,
    /// The name is not known or the password wrong: which of them, nobody is told.
    WrongCredentials,
}

impl Refusal {
    /// All of them, in the order of the counters.
    pub const ALL: [Refusal; 5] = [
        Refusal::NoCredentials,
        Refusal::Incomplete,
        Refusal::StaleNonce,
        Refusal::ForeignNonce,
        Refusal::WrongCredentials,
    ];

    /// One word for it, in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Refusal::NoCredentials => "no_credentials",
            Refusal::Incomplete => "incomplete",
            Refusal::StaleNonce => "stale_nonce",
            Refusal::ForeignNonce => "foreign_nonce",
            Refusal::WrongCredentials => "wrong_credentials",
        }
    }

    /// The code of the answer.
    pub const fn code(self) -> ErrorCode {
        match self {
            Refusal::NoCredentials | Refusal::WrongCredentials => ErrorCode::Unauthenticated,
            Refusal::Incomplete => ErrorCode::BadRequest,
            Refusal::StaleNonce | Refusal::ForeignNonce => ErrorCode::StaleNonce,
        }
    }

    /// True when the answer carries what the client needs to try again:
    /// [`Authenticator::challenge`].
    pub const fn is_challenge(self) -> bool {
        match self {
            Refusal::NoCredentials
            | Refusal::StaleNonce
            | Refusal::ForeignNonce
            | Refusal::WrongCredentials => true,
            Refusal::Incomplete => false,
        }
    }

    /// True when the sender has been reached at the address he writes from: a nonce that was sent
    /// there came back.
    pub const fn shows_return_path(self) -> bool {
        match self {
            Refusal::StaleNonce | Refusal::WrongCredentials => true,
            Refusal::NoCredentials | Refusal::Incomplete | Refusal::ForeignNonce => false,
        }
    }
}

/// Proof that a message was signed by a user. Borrows the name from the message.
#[derive(Debug, Clone)]
pub struct Authenticated<'m> {
    user: &'m str,
    account: &'m str,
    key: IntegrityKey,
}

impl<'m> Authenticated<'m> {
    /// USERNAME as sent.
    pub fn user(&self) -> &'m str {
        self.user
    }

    /// Whose quota the user counts against: the id of a time-limited name, empty for all that have
    /// none, else the name.
    pub fn account(&self) -> &'m str {
        self.account
    }

    /// Signs the answer, and is kept with an allocation for
    /// [`Authenticator::authenticate_known`].
    pub fn key(&self) -> &IntegrityKey {
        &self.key
    }
}

/// What a request claims, before it is believed.
struct Claim<'m> {
    user: &'m [u8],
    realm: &'m [u8],
    nonce: &'m [u8],
}

/// Knows who may come in and what they were challenged with. The same in every worker.
#[derive(Debug, Clone)]
pub struct Authenticator {
    credentials: Credentials,
    /// As in `credentials`, under realms that held before.
    former: Vec<Credentials>,
    nonces: Nonces,
}

impl Authenticator {
    /// Joins names with nonces.
    pub fn new(credentials: Credentials, nonces: Nonces) -> Authenticator {
        Authenticator { credentials, former: Vec::new(), nonces }
    }

    /// Lets clients with a live allocation sign under other realms, too: those that held when they
    /// allocated. Whoever allocates anew is challenged with the realm that holds.
    #[must_use]
    pub fn with_former(self, former: Vec<Credentials>) -> Authenticator {
        Authenticator { former, ..self }
    }

    /// Finds out who signed a request that came from this client address.
    pub fn authenticate<'m>(
        &self,
        now: Now,
        client: SocketAddr,
        message: &Message<'m>,
    ) -> Result<Authenticated<'m>, Refusal> {
        let user = self.user(now, client, message)?;
        if message.realm() != Some(self.credentials.realm().as_bytes()) {
            return Err(Refusal::WrongCredentials);
        }
        let key = self.credentials.verify(now, user, message);
        key.map(|key| self.authenticated(user, key)).ok_or(Refusal::WrongCredentials)
    }

    /// As [`Authenticator::authenticate`], for a five-tuple with an allocation: its user's key is
    /// taken as it is, which spares deriving it and lets an allocation outlive its time-limited
    /// username for as long as it is refreshed. Another user is authenticated in full, and is then
    /// to be told 441 (RFC 8656 §5).
    pub fn authenticate_known<'m>(
        &self,
        now: Now,
        client: SocketAddr,
        message: &Message<'m>,
        known_user: &str,
        known_key: &IntegrityKey,
    ) -> Result<Authenticated<'m>, Refusal> {
        if message.username() != Some(known_user.as_bytes()) {
            return self.authenticate(now, client, message);
        }
        let user = self.user(now, client, message)?;
        if message.is_signed_with(known_key) {
            return Ok(self.authenticated(user, known_key.clone()));
        }
        // A client that was challenged with a realm that holds by now has another key under it.
        if self.former.is_empty() {
            return Err(Refusal::WrongCredentials);
        }
        self.authenticate_again(now, client, message, known_user)
    }

    /// As [`Authenticator::authenticate_known`], for a user whose key was found good under other
    /// rules: it has to be vouched for by these. A new password is as good as the old one was.
    pub fn authenticate_again<'m>(
        &self,
        now: Now,
        client: SocketAddr,
        message: &Message<'m>,
        known_user: &str,
    ) -> Result<Authenticated<'m>, Refusal> {
        if message.username() != Some(known_user.as_bytes()) {
            return self.authenticate(now, client, message);
        }
        let user = self.user(now, client, message)?;
        let credentials = message.realm().and_then(|realm| self.under(realm));
        let key = credentials.and_then(|credentials| credentials.verify_known(user, message));
        key.map(|key| self.authenticated(user, key)).ok_or(Refusal::WrongCredentials)
    }

    /// Says what a nonce is worth that came from this client address.
    pub(in crate::turn) fn judge_nonce(
        &self,
        now: Now,
        client: SocketAddr,
        nonce: &[u8],
    ) -> NonceState {
        self.nonces.judge(now, client, nonce)
    }

    /// Writes REALM and NONCE: what a client needs to try again (RFC 8489 §9.2.4).
    pub fn challenge(&self, now: Now, client: SocketAddr, writer: &mut MessageWriter<'_>) {
        let nonce = self.nonces.issue(now, client);
        writer.attribute(AttributeType::REALM, self.credentials.realm().as_bytes());
        writer.attribute(AttributeType::NONCE, &nonce);
    }

    fn authenticated<'m>(&self, user: &'m str, key: IntegrityKey) -> Authenticated<'m> {
        Authenticated { user, account: self.credentials.account(user), key }
    }

    /// Who is let in under a realm.
    fn under(&self, realm: &[u8]) -> Option<&Credentials> {
        let mut all = std::iter::once(&self.credentials).chain(&self.former);
        all.find(|credentials| credentials.realm().as_bytes() == realm)
    }

    /// The user a request claims to be from, once everything but the password has been looked at.
    fn user<'m>(
        &self,
        now: Now,
        client: SocketAddr,
        message: &Message<'m>,
    ) -> Result<&'m str, Refusal> {
        let claim = claim(message)?;
        match self.nonces.judge(now, client, claim.nonce) {
            NonceState::Good => {}
            NonceState::Expired => return Err(Refusal::StaleNonce),
            NonceState::Foreign => return Err(Refusal::ForeignNonce),
        }
        if self.under(claim.realm).is_none() {
            return Err(Refusal::WrongCredentials);
        }
        std::str::from_utf8(claim.user).map_err(|_| Refusal::WrongCredentials)
    }
}

fn claim<'m>(message: &Message<'m>) -> Result<Claim<'m>, Refusal> {
    if !message.has_integrity() {
        return Err(Refusal::NoCredentials);
    }
    let user = message.username().filter(|user| user.len() <= MAX_USERNAME_BYTES);
    match (user, message.realm(), message.nonce()) {
        (Some(user), Some(realm), Some(nonce)) => Ok(Claim { user, realm, nonce }),
        _ => Err(Refusal::Incomplete),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        turn::auth::nonce::{DEFAULT_NONCE_LIFETIME_S, NONCE_BYTES},
        wire::{Class, Method, TransactionId, time_limited_password},
    };

    const NOW: Now = Now { mono_ms: 0, unix_s: 1_800_000_000 };
    const LATER: Now = Now { mono_ms: 0, unix_s: NOW.unix_s + DEFAULT_NONCE_LIFETIME_S + 1 };
    const TIMED: &str = "1800000060:bob";

    fn client() -> SocketAddr {
        "192.0.2.1:5000".parse().unwrap()
    }

    fn nonces() -> Nonces {
        Nonces::new([7; 32], DEFAULT_NONCE_LIFETIME_S)
    }

    fn authenticator() -> Authenticator {
        let credentials = Credentials::new("realm").with_user("ann", "secret");
        Authenticator::new(credentials.with_secret(b"shared").unwrap(), nonces())
    }

    /// A request, some of whose parts may be left out.
    #[derive(Clone, Copy)]
    struct Request<'a> {
        user: Option<&'a [u8]>,
        realm: Option<&'a str>,
        nonce: Option<[u8; NONCE_BYTES]>,
        password: Option<&'a str>,
    }

    impl<'a> Request<'a> {
        fn of(user: &'a str, password: &'a str) -> Request<'a> {
            Request {
                user: Some(user.as_bytes()),
                realm: Some("realm"),
                nonce: Some(nonces().issue(NOW, client())),
                password: Some(password),
            }
        }

        fn bytes(&self) -> Vec<u8> {
            let mut out = [0; 1024];
            let id = TransactionId([1; 12]);
            let mut writer = MessageWriter::new(&mut out, Method::Refresh, Class::Request, id);
            self.user.map(|user| writer.attribute(AttributeType::USERNAME, user).finish());
            self.realm
                .map(|realm| writer.attribute(AttributeType::REALM, realm.as_bytes()).finish());
            self.nonce.map(|nonce| writer.attribute(AttributeType::NONCE, &nonce).finish());
            let key = |password: &str| {
                let user = self.user.unwrap_or_default();
                let realm = self.realm.unwrap_or("realm").as_bytes();
                IntegrityKey::long_term(user, realm, password.as_bytes())
            };
            self.password.map(|password| writer.integrity(&key(password)).finish());
            let end = writer.finish().unwrap();
            out[..end].to_vec()
        }

        fn judge(&self, now: Now) -> Result<String, Refusal> {
            let bytes = self.bytes();
            let message = Message::parse(&bytes).unwrap();
            let proof = authenticator().authenticate(now, client(), &message)?;
            assert!(message.is_signed_with(proof.key()));
            Ok(proof.user().to_owned())
        }
    }

    #[test]
    fn a_request_with_everything_right() {
        assert_eq!(Request::of("ann", "secret").judge(NOW), Ok("ann".to_owned()));
        let password = time_limited_password(b"shared", TIMED.as_bytes());
        assert_eq!(Request::of(TIMED, password.as_str()).judge(NOW), Ok(TIMED.to_owned()));
    }

    // RFC 8489 §9.2.4: "If the message does not contain a MESSAGE-INTEGRITY […] 401".
    #[test]
    fn without_integrity_401_whatever_else_is_there() {
        let request = Request { password: None, ..Request::of("ann", "secret") };
        assert_eq!(request.judge(NOW), Err(Refusal::NoCredentials));
        let request = Request { user: None, realm: None, nonce: None, password: None };
        assert_eq!(request.judge(NOW), Err(Refusal::NoCredentials));
    }

    // RFC 8489 §9.2.4: "[…] but is missing either the USERNAME […], REALM, or NONCE […] 400".
    #[test]
    fn with_a_part_missing_400_even_when_the_others_are_wrong() {
        let whole = Request::of("ann", "wrong");
        let endless = [b'x'; MAX_USERNAME_BYTES + 1];
        for request in [
            Request { user: None, ..whole },
            Request { realm: None, ..whole },
            Request { nonce: None, ..whole },
            Request { user: Some(&endless), ..whole },
        ] {
            assert_eq!(request.judge(LATER), Err(Refusal::Incomplete));
        }
    }

    // RFC 8489 §9.2.4: "If the NONCE is no longer valid […] 438".
    #[test]
    fn with_an_old_nonce_438_before_the_password_is_looked_at() {
        for password in ["secret", "wrong"] {
            assert_eq!(Request::of("ann", password).judge(LATER), Err(Refusal::StaleNonce));
        }
        let elsewhere = nonces().issue(NOW, "192.0.2.1:5001".parse().unwrap());
        let request = Request { nonce: Some(elsewhere), ..Request::of("ann", "secret") };
        assert_eq!(request.judge(NOW), Err(Refusal::ForeignNonce));
    }

    #[test]
    fn wrong_user_and_wrong_password_are_one_refusal() {
        let whole = Request::of("ann", "wrong");
        for request in [
            whole,
            Request::of("nobody", "secret"),
            Request::of(TIMED, "secret"),
            Request::of("1700000000:bob", "secret"),
            Request { user: Some(b"\xFF\xFE"), ..whole },
            Request { realm: Some("elsewhere"), ..Request::of("ann", "secret") },
        ] {
            assert_eq!(request.judge(NOW), Err(Refusal::WrongCredentials));
        }
    }

    #[test]
    fn the_key_of_an_allocation_outlives_its_username_and_not_its_nonce() {
        let password = time_limited_password(b"shared", TIMED.as_bytes());
        let key = IntegrityKey::long_term(TIMED.as_bytes(), b"realm", password.as_str().as_bytes());
        let over = Now { unix_s: NOW.unix_s + 60, ..NOW };
        let known = |request: &Request<'_>, now| {
            let bytes = request.bytes();
            let message = Message::parse(&bytes).unwrap();
            let proof = authenticator().authenticate_known(now, client(), &message, TIMED, &key)?;
            Ok(proof.user().to_owned())
        };
        let request = Request::of(TIMED, password.as_str());
        assert_eq!(request.judge(over), Err(Refusal::WrongCredentials));
        assert_eq!(known(&request, over), Ok(TIMED.to_owned()));
        assert_eq!(known(&request, LATER), Err(Refusal::StaleNonce));
        assert_eq!(known(&Request::of(TIMED, "x"), NOW), Err(Refusal::WrongCredentials));
        assert_eq!(known(&Request::of("ann", "secret"), NOW), Ok("ann".to_owned()));
        assert_eq!(known(&Request::of("ann", "x"), NOW), Err(Refusal::WrongCredentials));
    }

    #[test]
    fn a_challenge_can_be_met() {
        let mut out = [0; 256];
        let id = TransactionId([1; 12]);
        let mut writer = MessageWriter::new(&mut out, Method::Refresh, Class::Error, id);
        authenticator().challenge(NOW, client(), &mut writer);
        let end = writer.finish().unwrap();
        let answer = Message::parse(&out[..end]).unwrap();
        assert_eq!(answer.realm(), Some(&b"realm"[..]));
        let nonce = Some(answer.nonce().unwrap().try_into().unwrap());
        let request = Request { nonce, ..Request::of("ann", "secret") };
        assert_eq!(request.judge(NOW), Ok("ann".to_owned()));
    }

    #[test]
    fn codes_and_challenges_and_who_is_a_stranger() {
        let of = |refusal: Refusal| {
            (refusal.code().number(), refusal.is_challenge(), refusal.shows_return_path())
        };
        assert_eq!(of(Refusal::NoCredentials), (401, true, false));
        assert_eq!(of(Refusal::WrongCredentials), (401, true, true));
        assert_eq!(of(Refusal::Incomplete), (400, false, false));
        assert_eq!(of(Refusal::StaleNonce), (438, true, true));
        assert_eq!(of(Refusal::ForeignNonce), (438, true, false));
    }

    // A client that hears 438 with another realm may go on with either.
    #[test]
    fn an_allocation_goes_on_under_its_own_realm_and_under_the_one_that_holds() {
        let under = |realm| Credentials::new(realm).with_user("ann", "secret");
        let moved = Authenticator::new(under("moved"), nonces()).with_former(vec![under("realm")]);
        let known = IntegrityKey::long_term(b"ann", b"realm", b"secret");
        let judge = |realm, password| {
            let bytes = Request { realm: Some(realm), ..Request::of("ann", password) }.bytes();
            let message = Message::parse(&bytes).unwrap();
            let goes_on = moved.authenticate_known(NOW, client(), &message, "ann", &known);
            let again = moved.authenticate_again(NOW, client(), &message, "ann");
            let comes = moved.authenticate(NOW, client(), &message);
            [goes_on.is_ok(), again.is_ok(), comes.is_ok()]
        };
        assert_eq!(judge("realm", "secret"), [true, true, false]);
        assert_eq!(judge("moved", "secret"), [true, true, true]);
        assert_eq!(judge("moved", "other"), [false, false, false]);
        assert_eq!(judge("other", "secret"), [false, false, false]);
    }
}
