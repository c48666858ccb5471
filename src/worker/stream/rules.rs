//! What the operator decides about connections.

use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;

use crate::stream::{ProxyRule, StreamLimits, TlsContext, WebNames};

/// Rules for connections, the same for every worker.
#[derive(Debug, Clone)]
pub struct StreamRules {
    /// Certificates; without them clients on TLS are refused.
    pub tls: Option<Arc<TlsContext>>,
    /// Names of hosts whose TLS clients are the web backend's, where there is one.
    pub web: Option<Arc<WebNames>>,
    /// Networks of balancers, whose connections begin with a PROXY header.
    pub proxies: Vec<IpNet>,
    /// Delay and bytes of what waits for a client.
    pub limits: StreamLimits,
    /// Connections of one source: an IPv4 address, or an IPv6 /64.
    pub most_of_a_source: u32,
}

impl Default for StreamRules {
    /// No certificate, no web backend, no balancer; a thousand subscribers may share an address.
    fn default() -> StreamRules {
        StreamRules {
            tls: None,
            web: None,
            proxies: Vec::new(),
            limits: StreamLimits::default(),
            most_of_a_source: 1_000,
        }
    }
}

impl StreamRules {
    /// What a PROXY header from an address is.
    pub(super) fn proxy(&self, peer: IpAddr) -> ProxyRule {
        let peer = peer.to_canonical();
        match self.proxies.iter().any(|network| network.contains(&peer)) {
            true => ProxyRule::Required,
            false => ProxyRule::Refused,
        }
    }
}
