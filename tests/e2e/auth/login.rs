//! Long-term credentials as RFC 8489 §9.2 has them, and what an answer gives away to whom.

use crate::client::{Client, allocate};
use crate::relay::{REALM, Relay, Setup, USER};
use crate::stun::{Builder, Class, attribute, method};

// RFC 8489 §9.2.4: without MESSAGE-INTEGRITY, "the server MUST generate an error response with an
// error code of 401 […] MUST include a REALM value […] MUST include a NONCE"; it is not signed.
#[test]
fn a_stranger_gets_401_with_realm_and_nonce_and_no_integrity() {
    let relay = Relay::start();
    for method in
        [method::ALLOCATE, method::REFRESH, method::CREATE_PERMISSION, method::CHANNEL_BIND]
    {
        let mut client = Client::new(relay.v4());
        let answer = client.request(&Builder::request(method).udp_transport().bytes());
        assert_eq!((answer.method, answer.code()), (method, Some(401)));
        assert_eq!(answer.text(attribute::REALM), REALM);
        assert!(!answer.text(attribute::NONCE).is_empty());
        assert!(!answer.has(attribute::MESSAGE_INTEGRITY));
        assert!(!answer.has(attribute::USERNAME));
    }
}

// RFC 8489 §9.2: the nonce begins with "obMatJos2" and four characters of base64, the features.
#[test]
fn the_nonce_carries_the_security_feature_cookie() {
    let relay = Relay::start();
    let mut client = Client::new(relay.v4());
    client.challenge();
    assert!(client.nonce.starts_with("obMatJos2"), "{}", client.nonce);
    assert!(client.nonce.len() <= 127, "RFC 8489 §14.10: at most 128 characters");
}

#[test]
fn the_right_password_succeeds_and_the_answer_is_signed() {
    let relay = Relay::start();
    let mut client = Client::new(relay.v4());
    let answer = client.succeed(allocate());
    assert!(answer.is_signed_with(&client.key));
    assert_eq!(answer.address(attribute::XOR_MAPPED_ADDRESS), client.address());
}

// RFC 8489 §9.2.4: a wrong integrity is answered like none at all.
#[test]
fn a_wrong_password_gets_401_without_integrity() {
    let relay = Relay::start();
    let mut client = Client::login(relay.v4(), USER, "looking-glass");
    let answer = client.authenticated(allocate());
    assert_eq!(answer.code(), Some(401));
    assert!(!answer.has(attribute::MESSAGE_INTEGRITY));
    assert!(answer.has(attribute::REALM) && answer.has(attribute::NONCE));
}

// A stranger must not learn which users there are: both get the same answer, the nonce apart.
#[test]
fn an_unknown_user_looks_like_a_wrong_password() {
    let relay = Relay::start();
    let answer_to = |user| {
        let mut client = Client::login(relay.v4(), user, "looking-glass");
        let answer = client.authenticated(allocate());
        (answer.code(), answer.kinds(), answer.raw.len())
    };
    assert_eq!(answer_to("hatter"), answer_to(USER));
}

#[test]
fn a_wrong_realm_gets_401() {
    let relay = Relay::start();
    let mut client = Client::new(relay.v4());
    client.challenge();
    client.realm = "example.net".to_owned();
    assert_eq!(client.authenticated(allocate()).code(), Some(401));
}

// RFC 8489 §9.2.4: "If the message contains a MESSAGE-INTEGRITY […] but is missing the USERNAME,
// REALM, or NONCE attribute, the server MUST generate an error response with an error code of 400".
#[test]
fn integrity_without_user_realm_or_nonce_gets_400() {
    let relay = Relay::start();
    for left_out in [attribute::USERNAME, attribute::REALM, attribute::NONCE] {
        let mut client = Client::new(relay.v4());
        client.challenge();
        let values = [
            (attribute::USERNAME, client.user.clone()),
            (attribute::REALM, client.realm.clone()),
            (attribute::NONCE, client.nonce.clone()),
        ];
        let kept = values.iter().filter(|(kind, _)| *kind != left_out);
        let request =
            kept.fold(allocate(), |it, (kind, text)| it.attribute(*kind, text.as_bytes()));
        let answer = client.request(&request.integrity(&client.key).bytes());
        assert_eq!(answer.code(), Some(400), "without {left_out:#06x}");
    }
}

// RFC 8489 §9.2.4: a nonce that is no longer valid gets 438 with a new nonce and the realm.
#[test]
fn a_stale_nonce_gets_438_with_what_is_needed_to_try_again() {
    let relay = Relay::start();
    let mut client = Client::new(relay.v4());
    client.challenge();
    let genuine = client.nonce.clone();
    for forged in
        [genuine[..genuine.len() - 1].to_owned() + "~", "obMatJos2AAAA".to_owned(), "x".to_owned()]
    {
        client.nonce = forged;
        let answer = client.authenticated(allocate());
        assert_eq!(answer.code(), Some(438));
        assert_eq!(answer.text(attribute::REALM), REALM);
        client.nonce = answer.text(attribute::NONCE);
        client.succeed(allocate());
        client.refresh(0);
    }
}

// A nonce is worth something to the address it was given to, and to nobody else.
#[test]
fn a_nonce_of_another_client_gets_438() {
    let relay = Setup::new().with(&["--workers", "1"]).start();
    let mut owner = Client::new(relay.v6());
    owner.challenge();
    let mut thief = Client::new(relay.v4());
    thief.nonce = owner.nonce.clone();
    assert_eq!(thief.authenticated(allocate()).code(), Some(438));
}

// RFC 8489 §14.5: attributes after MESSAGE-INTEGRITY, other than FINGERPRINT, are ignored: nobody
// has vouched for them.
#[test]
fn attributes_after_the_integrity_are_ignored() {
    let relay = Relay::start();
    let mut client = Client::new(relay.v4());
    client.allocate();
    let refresh = client.sign(Builder::request(method::REFRESH).lifetime(600));
    let answer = client.request(&with_attribute(refresh, attribute::LIFETIME, &[0; 4]));
    assert_eq!((answer.class, answer.lifetime_s()), (Class::Success, 600));
    let refresh = client.sign(Builder::request(method::REFRESH));
    let answer = client.request(&with_attribute(refresh, 0x7F01, b"abcd"));
    assert_eq!(answer.class, Class::Success, "not 420 for what nobody vouched for");
}

fn with_attribute(mut message: Vec<u8>, kind: u16, value: &[u8; 4]) -> Vec<u8> {
    message.extend_from_slice(&kind.to_be_bytes());
    message.extend_from_slice(&[0, 4]);
    message.extend_from_slice(value);
    let length = u16::try_from(message.len() - 20).expect("short");
    message[2..4].copy_from_slice(&length.to_be_bytes());
    message
}

#[test]
fn a_fingerprint_after_the_integrity_is_read_and_answered() {
    let relay = Relay::start();
    let mut client = Client::new(relay.v4());
    client.challenge();
    let mut request = client.sign(allocate());
    let length = u16::try_from(request.len() - 20 + 8).expect("short");
    request[2..4].copy_from_slice(&length.to_be_bytes());
    let crc = crc32fast::hash(&request) ^ 0x5354_554E;
    request.extend_from_slice(b"\x80\x28\x00\x04");
    request.extend_from_slice(&crc.to_be_bytes());
    assert_eq!(client.request(&request).class, Class::Success);
}

// SOFTWARE stands where only an authenticated client reads it, and never says which version.
#[test]
fn software_is_named_in_authenticated_allocate_and_refresh_only() {
    let relay = Relay::start();
    let mut client = Client::new(relay.v4());
    for answer in [client.succeed(allocate()), client.refresh(600)] {
        let software = answer.text(attribute::SOFTWARE);
        assert!(!software.contains(|c: char| c.is_ascii_digit()), "a version: {software}");
    }
    let peer = "127.0.0.1:40000".parse().expect("an address");
    let permission = client.succeed(crate::client::create_permission(peer));
    assert!(!permission.has(attribute::SOFTWARE));
    let channel = client.succeed(crate::client::channel_bind(0x4000, peer));
    assert!(!channel.has(attribute::SOFTWARE));
}

#[test]
fn software_can_be_switched_off() {
    let relay = Setup::new().with(&["--software", "off"]).start();
    let mut client = Client::new(relay.v4());
    assert!(!client.succeed(allocate()).has(attribute::SOFTWARE));
    assert!(!client.refresh(600).has(attribute::SOFTWARE));
}

// RFC 8489 §9.2.4 and §6.3.1.1: the request is fine but cannot be served: the refusal is signed,
// because a forged 437 would end the client's session.
#[test]
fn refusals_after_verified_credentials_are_signed() {
    let relay = Relay::start();
    let mut client = Client::new(relay.v4());
    let answer = client.authenticated(Builder::request(method::REFRESH));
    assert_eq!(answer.code(), Some(437));
    assert!(answer.is_signed_with(&client.key));
    let answer = client.authenticated(allocate().attribute(0x7F01, &[]));
    assert_eq!(answer.code(), Some(420));
    assert!(answer.is_signed_with(&client.key));
    let answer = client.authenticated(Builder::request(method::ALLOCATE));
    assert_eq!(answer.code(), Some(400));
    assert!(answer.is_signed_with(&client.key));
}
