//! What carries a client's messages to the server.

use serde::{Deserialize, Serialize};

/// What carries a client's messages to the server. Peers are reached by UDP whatever it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Transport {
    /// A datagram for each message
    #[default]
    Udp,
    /// A TCP connection for each client
    Tcp,
    /// A TLS connection for each client
    Tls,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum TlsVersion {
    #[value(name = "1.2")]
    V1_2,
    #[value(name = "1.3")]
    V1_3,
}

impl Transport {
    /// True where messages follow each other without borders.
    pub(crate) fn is_stream(self) -> bool {
        match self {
            Transport::Udp => false,
            Transport::Tcp | Transport::Tls => true,
        }
    }

    /// Where a server listens when nothing else is said (RFC 8656 §4).
    pub(crate) fn usual_port(self) -> u16 {
        match self {
            Transport::Udp | Transport::Tcp => 3478,
            Transport::Tls => 5349,
        }
    }

    /// As people write it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
        }
    }
}
