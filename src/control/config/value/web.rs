//! The web server that shares a port with this one, and the names of its hosts.

use std::net::SocketAddr;

use super::{Value, path::FilePath};
use crate::worker::WebPlace;

/// Stands in front of the path of a socket.
const UNIX: &str = "unix:";
/// Longest path of a socket to connect to (unix(7)), without the byte that ends it.
const MOST_PATH_BYTES: usize = 107;
/// Longest name of a host (RFC 1035 §2.3.4).
const MOST_NAME_BYTES: usize = 253;

/// Where a web server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WebAddress(pub(crate) WebPlace);

impl Value for WebAddress {
    fn read(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix(UNIX) {
            let FilePath(path) = FilePath::read(path)?;
            let bytes = path.as_os_str().len();
            if bytes > MOST_PATH_BYTES {
                return Err(format!("it has {bytes} bytes: write {MOST_PATH_BYTES} at most"));
            }
            return Ok(Self(WebPlace::Unix(path)));
        }
        let wrong = || format!("'{text}' is not a place: write 127.0.0.1:8443 or unix:/run/web");
        let address: SocketAddr = text.parse().map_err(|_| wrong())?;
        if address.port() == 0 || address.ip().is_unspecified() || address.ip().is_multicast() {
            return Err(wrong());
        }
        Ok(Self(WebPlace::Tcp(address)))
    }

    fn written(&self) -> toml::Value {
        match &self.0 {
            WebPlace::Tcp(address) => address.to_string().into(),
            WebPlace::Unix(path) => format!("{UNIX}{}", path.display()).into(),
        }
    }
}

/// A host, or with `*.` in front all hosts one label below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostPattern(pub(crate) String);

impl Value for HostPattern {
    fn read(text: &str) -> Result<Self, String> {
        let name = text.strip_prefix("*.").unwrap_or(text);
        let is_plain = |label: &str| {
            let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            !label.is_empty() && label.bytes().all(is_fit)
        };
        if name.len() > MOST_NAME_BYTES || !name.split('.').all(is_plain) {
            return Err(format!("'{text}' is no host: write www.example.org or *.example.org"));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }

    fn written(&self) -> toml::Value {
        self.0.clone().into()
    }
}
