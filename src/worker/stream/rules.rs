//! What the operator decides about connections.

use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;

use crate::stream::{ProxyRule, StreamLimits, TlsContext, WebNames};

/// Rules for connections, the same for every worker.
#[derive(Debug, Clone, Default)]
pub struct StreamRules {
    /// Certificates; without them clients on TLS are refused.
    pub tls: Option<Arc<TlsContext>>,
    /// Names of hosts whose TLS clients are the web backend's, where there is one.
    pub web: Option<Arc<WebNames>>,
    /// Networks of balancers, whose connections begin with a PROXY header.
    pub proxies: Vec<IpNet>,
    /// Delay and bytes of what waits for a client.
    pub limits: StreamLimits,
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
