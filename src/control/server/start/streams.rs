//! The rules for connections: from the settled configuration and the certificates.

use std::sync::Arc;

use crate::control::config::Config;
use crate::control::tls::load::Certificates;
use crate::stream::StreamLimits;
use crate::worker::StreamRules;

/// Makes the rules for connections over TCP and TLS.
pub(in crate::control) fn stream_rules(
    config: &Config,
    certificates: &Certificates,
) -> Arc<StreamRules> {
    let values = &config.values;
    let limits = StreamLimits { delay_ms: values.stream_delay, ..StreamLimits::default() };
    Arc::new(StreamRules {
        tls: certificates.context.clone(),
        proxies: values.proxy_from.clone(),
        limits,
        most_of_a_source: values.streams_per_source,
        ..StreamRules::default()
    })
}
