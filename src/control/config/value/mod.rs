//! What the values of options are made of, and how each is read from text.
//!
//! A value is read the same way wherever it was written: the command line hands over text, and the
//! file's strings, whole numbers and booleans are turned into text first. An error says what is
//! wrong and what would be right, in one line; it never repeats a password or a secret.

pub(super) mod choice;
pub(super) mod raw;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use zeroize::Zeroizing;

use super::schema::Key;
/// Port of STUN and TURN over UDP (RFC 8489 §18.6).
const STUN_PORT: u16 = 3478;
/// Longest username: fewer than 509 bytes (RFC 8489 §14.3). Passwords get the same bound.
const CREDENTIAL_MAX_BYTES: usize = 508;
/// Shortest shared secret; below this it could be guessed offline from one credential.
const SECRET_MIN_BYTES: usize = 8;
const SECRET_MAX_BYTES: usize = 512;
/// Longest realm: fewer than 128 characters (RFC 8489 §14.9).
const REALM_MAX_CHARS: usize = 127;
/// Longest path of a socket.
const SOCKET_PATH_MAX_BYTES: usize = 90;
/// Ports below are for well-known services and need a capability to bind.
const LOWEST_RELAY_PORT: u16 = 1024;

/// Something that an option can be set to.
pub(crate) trait Value: Clone + PartialEq + Send + Sync + 'static {
    /// Reads a value, or says in one line what is wrong and what would be right.
    fn read(text: &str) -> Result<Self, String>;

    /// The value as a file has it, without passwords and secrets.
    fn written(&self) -> toml::Value;

    /// Holds the value to the bounds of a key, where its type takes more.
    fn check(&self, key: &Key) -> Result<(), String> {
        let _ = key;
        Ok(())
    }
}

/// A word that is not shown: neither in logs nor in errors nor by `check-config`. Its memory is
/// overwritten when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a word.
    pub fn new(word: String) -> Self {
        Self(Zeroizing::new(word))
    }

    /// Reads a shared secret from the command line; 8-512 bytes.
    pub(crate) fn read_flag(text: &str) -> Result<Self, String> {
        Self::read(text)
    }

    /// Shows the word, to make keys from or to print at the operator's own request.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("***")
    }
}

/// A user with a fixed password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// USERNAME as it stands in requests; 1-508 bytes, without ':'.
    pub name: String,
    /// What the user proves to know.
    pub proof: Proof,
}

/// What a user proves to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A password; 1-508 bytes.
    Password(Secret),
    /// The key made of it: MD5 of `name:realm:password` (RFC 8489 §9.2.2).
    Key(UserKey),
}

/// A long-term key. Who has it needs no password in its realm, so it is not shown, and its memory
/// is overwritten when it is dropped. It stays in one place until then: moved, it would leave
/// copies.
#[derive(Clone, PartialEq, Eq)]
pub struct UserKey(Box<Zeroizing<[u8; 16]>>);

impl UserKey {
    /// Reads 32 hexadecimal digits; `None` for anything else.
    pub(crate) fn read(digits: &str) -> Option<Self> {
        let mut key = Self(Box::default());
        let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
        if pairs.len() != key.0.len() || !rest.is_empty() {
            return None;
        }
        let value = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
        for (byte, [high, low]) in key.0.iter_mut().zip(pairs) {
            *byte = value(*high)? << 4 | value(*low)?;
        }
        Some(key)
    }

    /// Shows the key, to verify with.
    pub fn reveal(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for UserKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("***")
    }
}

/// The ports that relay sockets are bound to, both ends included; `low < high`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// First port.
    pub low: u16,
    /// Last port.
    pub high: u16,
}

impl PortRange {
    /// Says how many ports the range has, 2 at least.
    pub fn count(self) -> u32 {
        u32::from(self.high) - u32::from(self.low) + 1
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}-{}", self.low, self.high)
    }
}

/// `PUBLIC[/PRIVATE]`; both of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ExternalIp {
    pub(crate) public: IpAddr,
    pub(crate) private: Option<IpAddr>,
}

impl Value for SocketAddr {
    fn read(text: &str) -> Result<Self, String> {
        let bare = || text.parse::<IpAddr>().map(|ip| Self::new(ip, STUN_PORT));
        let wrong = || format!("'{text}' is not an address: write 192.0.2.1:3478 or [::1]:3478");
        let address = text.parse::<Self>().or_else(|_| bare()).map_err(|_| wrong())?;
        if address.port() == 0 {
            return Err(format!("'{text}' has port 0: clients need a port between 1 and 65535"));
        }
        plain_unicast_or_any(address.ip(), text)?;
        Ok(address)
    }

    fn written(&self) -> toml::Value {
        self.to_string().into()
    }
}

/// Another server, as clients reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Server(pub(crate) SocketAddr);

impl Server {
    /// Reads the address of a server from the command line.
    pub(crate) fn read_flag(text: &str) -> Result<SocketAddr, String> {
        Self::read(text).map(|server| server.0)
    }
}

impl Value for Server {
    fn read(text: &str) -> Result<Self, String> {
        let address = SocketAddr::read(text)?;
        if address.ip().is_unspecified() {
            return Err(format!("'{text}' stands for no single address: write the address itself"));
        }
        Ok(Self(address))
    }

    fn written(&self) -> toml::Value {
        self.0.to_string().into()
    }
}

/// Where numbers are shown; a port alone is on loopback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MetricsAddress(pub(crate) SocketAddr);

impl Value for MetricsAddress {
    fn read(text: &str) -> Result<Self, String> {
        let on_loopback = || text.parse().map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let wrong = || format!("'{text}' is not an address: write 9641 or 192.0.2.1:9641");
        let address: SocketAddr = text.parse().or_else(|_| on_loopback()).map_err(|_| wrong())?;
        if address.port() == 0 {
            return Err(format!("'{text}' has port 0: write a port between 1 and 65535"));
        }
        plain_unicast_or_any(address.ip(), text)?;
        Ok(Self(address))
    }

    fn written(&self) -> toml::Value {
        self.0.to_string().into()
    }
}

impl Value for IpAddr {
    fn read(text: &str) -> Result<Self, String> {
        let wrong = |_| format!("'{text}' is not an IP address: write 192.0.2.1 or 2001:db8::1");
        let ip: Self = text.parse().map_err(wrong)?;
        if ip.is_unspecified() {
            return Err(format!("'{text}' stands for no single address: write the address itself"));
        }
        plain_unicast_or_any(ip, text)?;
        Ok(ip)
    }

    fn written(&self) -> toml::Value {
        self.to_string().into()
    }
}

/// Refuses what no datagram can be sent from, and IPv4 in the clothes of IPv6.
fn plain_unicast_or_any(ip: IpAddr, text: &str) -> Result<(), String> {
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    if ip.is_multicast() || broadcast {
        return Err(format!("'{text}' is a group address: write the address of one interface"));
    }
    if ip.to_canonical() != ip {
        return Err(format!("'{text}' is an IPv4 address: write it as {}", ip.to_canonical()));
    }
    Ok(())
}

impl Value for ExternalIp {
    fn read(text: &str) -> Result<Self, String> {
        let (public, private) = match text.split_once('/') {
            Some((public, private)) => (public, Some(IpAddr::read(private)?)),
            None => (text, None),
        };
        let public = IpAddr::read(public)?;
        if private.is_some_and(|private| private.is_ipv4() != public.is_ipv4()) {
            return Err(format!(
                "'{text}' mixes IPv4 with IPv6: write two addresses of one family"
            ));
        }
        Ok(Self { public, private })
    }

    fn written(&self) -> toml::Value {
        let Self { public, private } = self;
        let text = match private {
            Some(private) => format!("{public}/{private}"),
            None => public.to_string(),
        };
        text.into()
    }
}

impl Value for PortRange {
    fn read(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not a port range: write LOW-HIGH, such as 49152-65535");
        let (low, high) = text.split_once('-').ok_or_else(wrong)?;
        let port = |digits: &str| digits.trim().parse::<u16>().map_err(|_| wrong());
        let (low, high) = (port(low)?, port(high)?);
        if low > high {
            return Err(format!("{low}-{high} is reversed: write {high}-{low}"));
        }
        if low < LOWEST_RELAY_PORT {
            return Err(format!(
                "{low}-{high} begins below {LOWEST_RELAY_PORT}: ports there belong to other services"
            ));
        }
        Ok(Self { low, high })
    }

    fn written(&self) -> toml::Value {
        self.to_string().into()
    }
}

impl Value for User {
    fn read(text: &str) -> Result<Self, String> {
        let Some((name, password)) = text.split_once(':') else {
            return Err("there is no ':' in it: write NAME:PASSWORD".to_owned());
        };
        within("the name", name, 1, CREDENTIAL_MAX_BYTES)?;
        within("the password", password, 1, CREDENTIAL_MAX_BYTES)?;
        let proof = Proof::Password(Secret::new(password.to_owned()));
        Ok(Self { name: name.to_owned(), proof })
    }

    fn written(&self) -> toml::Value {
        format!("{}:***", self.name).into()
    }
}

impl Value for Secret {
    fn read(text: &str) -> Result<Self, String> {
        within("the secret", text, SECRET_MIN_BYTES, SECRET_MAX_BYTES)?;
        Ok(Self::new(text.to_owned()))
    }

    fn written(&self) -> toml::Value {
        "***".into()
    }
}

fn within(what: &str, text: &str, min_bytes: usize, max_bytes: usize) -> Result<(), String> {
    if text.is_empty() {
        return Err(format!("{what} is empty: write {min_bytes} to {max_bytes} bytes"));
    }
    if !(min_bytes..=max_bytes).contains(&text.len()) {
        let bytes = text.len();
        return Err(format!("{what} has {bytes} bytes: write {min_bytes} to {max_bytes}"));
    }
    if text.chars().any(char::is_control) {
        return Err(format!("{what} has a control character in it: write printable ones"));
    }
    Ok(())
}

/// A file to be read; not empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FilePath(pub(crate) PathBuf);

impl Value for FilePath {
    fn read(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.contains('\0') {
            return Err("it is no path: write one such as /etc/uturn/users".to_owned());
        }
        Ok(Self(text.into()))
    }

    fn written(&self) -> toml::Value {
        self.0.display().to_string().into()
    }
}

/// Where a Unix socket is made. A socket's name has 108 bytes, and the longer one it is made under
/// must fit, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SocketPath(pub(crate) PathBuf);

impl Value for SocketPath {
    fn read(text: &str) -> Result<Self, String> {
        let FilePath(path) = FilePath::read(text)?;
        let bytes = text.len();
        if bytes > SOCKET_PATH_MAX_BYTES {
            return Err(format!("it has {bytes} bytes: write {SOCKET_PATH_MAX_BYTES} at most"));
        }
        Ok(Self(path))
    }

    fn written(&self) -> toml::Value {
        self.0.display().to_string().into()
    }
}

/// The protection space of the credentials; 1-127 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Realm(pub(crate) String);

impl Value for Realm {
    fn read(text: &str) -> Result<Self, String> {
        let chars = text.chars().count();
        if !(1..=REALM_MAX_CHARS).contains(&chars) {
            return Err(format!("it has {chars} characters: write 1 to {REALM_MAX_CHARS}"));
        }
        if text.chars().any(char::is_control) {
            return Err("it has a control character in it: write printable ones".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    fn written(&self) -> toml::Value {
        self.0.as_str().into()
    }
}

impl Value for u32 {
    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("'{text}' is not a whole number from 0 to {}", Self::MAX))
    }

    fn written(&self) -> toml::Value {
        (*self).into()
    }

    fn check(&self, key: &Key) -> Result<(), String> {
        key.check_number(*self)
    }
}

impl Value for IpNet {
    fn read(text: &str) -> Result<Self, String> {
        let bare = || text.parse::<IpAddr>().map(Self::from);
        let wrong = || format!("'{text}' is not a network: write 192.0.2.0/24 or 2001:db8::/32");
        text.parse::<Self>().or_else(|_| bare()).map(|net| net.trunc()).map_err(|_| wrong())
    }

    fn written(&self) -> toml::Value {
        self.to_string().into()
    }
}
