//! Time-limited credentials: `username = expiry:id`, `password = base64(HMAC-SHA1(secret,
//! username))`, computed here by hand, and once by the program itself.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::client::{Client, Peer, allocate};
use crate::relay::{Process, Relay, Setup, command};
use crate::stun::{Class, hmac_sha1};

const OLD: &str = "the-secret-of-last-month";
pub const NEW: &str = "the-secret-of-this-month";

/// A user name that is over in so many seconds, and its password.
pub fn credential(secret: &str, seconds_left: i64) -> (String, String) {
    credential_of("rabbit", secret, seconds_left)
}

/// The same for somebody else.
pub fn credential_of(id: &str, secret: &str, seconds_left: i64) -> (String, String) {
    named(secret, seconds_left, &format!(":{id}"))
}

/// The same, with whatever stands behind the expiry.
fn named(secret: &str, seconds_left: i64, tail: &str) -> (String, String) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let expiry = now.checked_add_signed(seconds_left).expect("a time");
    let user = format!("{expiry}{tail}");
    let password = STANDARD.encode(hmac_sha1(secret.as_bytes(), user.as_bytes()));
    (user, password)
}

fn allocate_with(relay: &Relay, (user, password): &(String, String)) -> Option<u16> {
    Client::login(relay.v4(), user, password).authenticated(allocate()).code()
}

#[test]
fn a_credential_holds_until_it_expires() {
    let relay = Setup::new().with(&["--secret", NEW]).start();
    assert_eq!(allocate_with(&relay, &credential(NEW, 60)), None);
    assert_eq!(allocate_with(&relay, &credential(NEW, -60)), Some(401));
    assert_eq!(allocate_with(&relay, &credential(OLD, 60)), Some(401), "of another secret");
}

#[test]
fn two_secrets_let_one_rotate() {
    let relay = Setup::new().with(&["--secret", OLD, "--secret", NEW]).start();
    assert_eq!(allocate_with(&relay, &credential(OLD, 60)), None);
    assert_eq!(allocate_with(&relay, &credential(NEW, 60)), None);
    assert_eq!(allocate_with(&relay, &credential("neither-of-the-two", 60)), Some(401));
}

#[test]
fn static_users_stay_beside_secrets() {
    let relay = Setup::new().with(&["--secret", NEW]).start();
    assert_eq!(Client::new(relay.v4()).succeed(allocate()).class, Class::Success);
}

#[test]
fn an_expiry_that_is_no_time_gets_401() {
    let relay = Setup::new().with(&["--secret", NEW]).start();
    for user in ["rabbit", ":rabbit", "-1:rabbit", "99999999999999999999999:rabbit", "soon:rabbit"]
    {
        let password = STANDARD.encode(hmac_sha1(NEW.as_bytes(), user.as_bytes()));
        assert_eq!(allocate_with(&relay, &(user.to_owned(), password)), Some(401), "{user}");
    }
}

// A name for each second would be a quota for each second.
#[test]
fn names_without_an_id_share_one_quota() {
    let quota = ["--secret", OLD, "--secret", NEW, "--user-quota", "2"];
    let relay = Setup::new().with(&quota).start();
    let mut clients = Vec::new();
    let mut code = |(user, password): (String, String)| {
        let mut client = Client::login(relay.v4(), &user, &password);
        let code = client.authenticated(allocate()).code();
        clients.push(client);
        code
    };
    assert_eq!(code(named(NEW, 61, "")), None);
    assert_eq!(code(named(OLD, 62, ":")), None);
    for (seconds_left, tail) in [(61, ""), (63, ""), (64, ":")] {
        assert_eq!(code(named(NEW, seconds_left, tail)), Some(486), "{seconds_left}{tail}");
    }
    assert_eq!(code(credential(NEW, 61)), None, "an id is a user by itself");
    assert_eq!(code(credential(NEW, 62)), None);
    assert_eq!(code(credential(NEW, 63)), Some(486), "whatever the expiry");
}

// What runs out is the right to begin: a call that is under way outlives its credential.
#[test]
fn a_call_outlives_its_credential() {
    let relay = Setup::new().with(&["--secret", NEW]).start();
    let (user, password) = credential(NEW, 2);
    let mut client = Client::login(relay.v4(), &user, &password);
    client.allocate();
    std::thread::sleep(Duration::from_millis(3_100));
    client.refresh(600);
    client.permit(Peer::new().address());
    assert_eq!(allocate_with(&relay, &(user, password)), Some(401), "a new one");
}

#[test]
fn the_program_makes_credentials_that_it_accepts() {
    let mut command = command();
    command.args(["credentials", "--secret", NEW, "--user", "rabbit", "--ttl", "60"]);
    command.args(["--host", "turn.example.org"]);
    let mut process = Process::spawn(command);
    assert!(process.wait().success(), "{}", process.output());
    let text = process.stdout();
    let servers = ice_server(&text);
    let (user, password) = (field(&servers, "username"), field(&servers, "credential"));
    assert!(user.ends_with(":rabbit"), "{user}");
    assert!(text.contains("turn.example.org"), "{text}");
    let relay = Setup::new().with(&["--secret", NEW]).start();
    assert_eq!(allocate_with(&relay, &(user, password)), None);
}

/// The iceServers JSON in a text: from its first brace or bracket to the last.
pub fn ice_server(text: &str) -> serde_json::Value {
    let start = text.find(['{', '[']).expect("JSON begins");
    let end = text.rfind(['}', ']']).expect("JSON ends");
    let value: serde_json::Value = serde_json::from_str(&text[start..=end]).expect("it is JSON");
    let servers = value.get("iceServers").unwrap_or(&value);
    servers.get(0).unwrap_or(servers).clone()
}

pub fn field(server: &serde_json::Value, name: &str) -> String {
    server[name].as_str().unwrap_or_else(|| panic!("no {name} in {server}")).to_owned()
}
