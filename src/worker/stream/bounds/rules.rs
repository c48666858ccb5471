//! What the operator decides about connections.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use ipnet::IpNet;

use crate::stream::{ProxyRule, StreamLimits, TlsContext, WebNames};
use crate::worker::stream::bounds::sources::SourceLimits;

/// Rules for connections, the same for every worker.
#[derive(Debug, Clone)]
pub struct StreamRules {
    /// Certificates; without them clients on TLS are refused.
    pub tls: Option<Arc<TlsContext>>,
    /// Names of hosts whose TLS clients are the web backend's, where there is one.
    pub web: Option<Arc<WebNames>>,
    /// Where they go; there is one wherever there are names, be they none.
    pub web_backend: Option<Arc<WebBackend>>,
    /// Networks of balancers, whose connections begin with a PROXY header.
    pub proxies: Vec<IpNet>,
    /// Delay and bytes of what waits for a client.
    pub limits: StreamLimits,
    /// What one source may have: an IPv4 address, or an IPv6 /64.
    pub of_a_source: SourceLimits,
}

/// The server that browsers are passed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebBackend {
    /// Where it is.
    pub place: WebPlace,
    /// What is said in front of a browser's bytes.
    pub greeting: WebGreeting,
}

/// Where a web backend is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebPlace {
    /// At a TCP address.
    Tcp(SocketAddr),
    /// At a unix stream socket.
    Unix(PathBuf),
}

/// What a web backend is told of a browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebGreeting {
    /// Nothing.
    None,
    /// Its address, in a PROXY header of version 2.
    Proxy,
}

impl Default for StreamRules {
    /// No certificate, no web backend, no balancer.
    fn default() -> StreamRules {
        StreamRules {
            tls: None,
            web: None,
            web_backend: None,
            proxies: Vec::new(),
            limits: StreamLimits::default(),
            of_a_source: SourceLimits::default(),
        }
    }
}

impl StreamRules {
    /// What a PROXY header from an address is.
    pub(in crate::worker::stream) fn proxy(&self, peer: IpAddr) -> ProxyRule {
        let peer = peer.to_canonical();
        match self.proxies.iter().any(|network| network.contains(&peer)) {
            true => ProxyRule::Required,
            false => ProxyRule::Refused,
        }
    }
}
