//! Who a TLS client is for, by what its ClientHello shows: this server, or the web backend that
//! shares its port.
//!
//! ```text
//! offers stun.turn, stun.nat-discovery   this server, which answers with one of them
//! else offers h2, http/1.x, acme-tls/1   the web backend
//! else names a host of web-names         the web backend
//! else                                   this server, without an answer to ALPN
//! ```
//!
//! The first rule comes first because a TURN client may offer http as well; the last is the one
//! most TURN clients meet, which offer nothing (RFC 7443 §3 asks for no more). Without a web
//! backend a client that offers http alone is refused with no_application_protocol.

use super::names::Patterns;
use crate::wire::{AppProtocol, Hello};

/// The hosts whose TLS clients are the web backend's.
#[derive(Debug, Default)]
pub struct WebNames(Patterns<()>);

impl WebNames {
    /// Takes names as `example.org` or `*.example.org`.
    pub fn new(names: impl IntoIterator<Item = String>) -> WebNames {
        WebNames(Patterns::new(names.into_iter().map(|name| (name, ()))))
    }

    fn has(&self, name: &[u8]) -> bool {
        self.0.of(name).next().is_some()
    }
}

/// What is done with a TLS client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// Its TLS ends here, and a protocol of STUN's is answered or demanded.
    WithAlpn,
    /// Its TLS ends here, and what it offers is not answered.
    WithoutAlpn,
    /// Its bytes go to the web backend as they are.
    Web,
}

impl Choice {
    pub(super) fn of(hello: &Hello, web: Option<&WebNames>) -> Choice {
        let names_web_host = |web: &WebNames| {
            hello.server_name.as_ref().is_some_and(|name| web.has(name.as_bytes()))
        };
        let offers_web = hello.alpn.has(AppProtocol::Http) || hello.alpn.has(AppProtocol::Acme);
        match web {
            _ if hello.alpn.has_stun() => Choice::WithAlpn,
            Some(_) if offers_web => Choice::Web,
            Some(web) if names_web_host(web) => Choice::Web,
            None if offers_web => Choice::WithAlpn,
            Some(_) | None => Choice::WithoutAlpn,
        }
    }
}
