//! The rules for connections: from the settled configuration and the certificates.

use std::sync::Arc;

use crate::control::config::{Config, HostPattern, WebAddress};
use crate::control::tls::load::Certificates;
use crate::stream::{StreamLimits, WebNames};
use crate::worker::{SourceLimits, StreamRules, WebBackend, WebGreeting};

/// Makes the rules for connections over TCP and TLS.
pub(in crate::control) fn stream_rules(
    config: &Config,
    certificates: &Certificates,
) -> Arc<StreamRules> {
    let values = &config.values;
    let limits = StreamLimits { delay_ms: values.stream_delay, ..StreamLimits::default() };
    let web_names = values.web_names.iter().map(|HostPattern(name)| name.clone());
    let greeting = if values.web_proxy.0 { WebGreeting::Proxy } else { WebGreeting::None };
    let backend = |WebAddress(place)| Arc::new(WebBackend { place, greeting });
    let web_backend = values.web_backend.clone().map(backend);
    Arc::new(StreamRules {
        tls: certificates.context.clone(),
        proxies: values.proxy_from.clone(),
        limits,
        web: web_backend.as_ref().map(|_| Arc::new(WebNames::new(web_names))),
        web_backend,
        of_a_source: SourceLimits {
            streams: values.streams_per_source,
            strangers: values.strangers_per_source,
            new_per_s: values.connects_per_source,
        },
    })
}
