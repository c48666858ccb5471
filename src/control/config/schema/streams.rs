//! The keys of clients over TCP and TLS; [`super`] adds them to its own.

/// Adds these entries to those given, and makes the schema of them all.
macro_rules! with_stream_keys {
    ($($entries:tt)*) => {
        keys! {
            $($entries)*

            "tcp" TCP tcp: One<Switch>, Live {
                unit: "on|off",
                default: Preset::Value("on"),
                bounds: Bounds::Words("on, off"),
                doc: "Accept clients over TCP on the addresses of `listen` and, with a \
                       certificate, over TLS on the same ports; the first bytes tell them apart.",
                example: "off",
            }

            "tls-certificate" TLS_CERTIFICATE tls_certificate: Many<FilePath>, Live {
                unit: "FILE",
                default: Preset::Words("none"),
                bounds: Bounds::Words("as many as `tls-key`; PEM, valid today"),
                doc: "Certificate for TLS, followed by its intermediate certificates \
                       (`fullchain.pem`). Of several, a client gets the one that matches the \
                       name it asks for (SNI), otherwise the first. Read again on reload and \
                       whenever the file is replaced; if the new one is invalid, the old one \
                       stays.",
                example: "/etc/uturn/fullchain.pem",
            }

            "tls-key" TLS_KEY tls_key: Many<FilePath>, Live {
                unit: "FILE",
                default: Preset::Words("none"),
                bounds: Bounds::Words("as many as `tls-certificate`; PEM, not encrypted"),
                doc: "Private key of the certificate at the same place: ECDSA, which costs a \
                       third of RSA's handshakes, Ed25519 or RSA.",
                example: "/etc/uturn/privkey.pem",
            }

            "listen-tls" LISTEN_TLS listen_tls: Many<TlsAddress>, Live {
                unit: "ADDR:PORT",
                default: Preset::Words(
                    "the addresses of `listen` with port 5349, where there is a certificate and `listen` has \
                     not that port itself",
                ),
                bounds: Bounds::Words(
                    "an address of this machine; port 1-65535; none of `listen` while `tcp` is on",
                ),
                doc: "Address that takes nothing but TLS. 0.0.0.0 and `[::]` stand for every \
                       address of that family. Needs `tls-certificate`.",
                example: "203.0.113.5:443",
            }

            "proxy-from" PROXY_FROM proxy_from: Many<IpNet>, Live {
                unit: "CIDR",
                default: Preset::Words("none"),
                bounds: Bounds::Words("an IP network"),
                doc: "Load balancers: a connection from there has to begin with a PROXY header \
                       (v1 or v2), which says who the client is. From elsewhere such a header \
                       ends the connection.",
                example: "10.0.0.0/24",
            }

            "tcp-relay" TCP_RELAY tcp_relay: One<Switch>, Live {
                unit: "on|off",
                default: Preset::Value("off"),
                bounds: Bounds::Words("on, off"),
                doc: "Whether clients that come over TCP or TLS may have a relayed address for TCP \
                       (RFC 6062): connections to peers and from them, as `allow-peers` and \
                       `deny-peers` have it.",
                example: "on",
            }

            "web-backend" WEB_BACKEND web_backend: Maybe<WebAddress>, Live {
                unit: "ADDR:PORT|unix:PATH",
                default: Preset::Words("none"),
                bounds: Bounds::Words("an address with a port, or the path of a unix socket"),
                doc: "Web server that shares the ports for TCP and TLS: clients that speak HTTP \
                       or offer it (ALPN), and those that ask for one of `web-names`, are passed \
                       on to it as they come, TLS unopened.",
                example: "127.0.0.1:8443",
            }

            "web-names" WEB_NAMES web_names: Many<HostPattern>, Live {
                unit: "HOST",
                default: Preset::Words("none"),
                bounds: Bounds::Words("a host name, `*.` in front for one label"),
                doc: "Host whose TLS clients are the web backend's, also when they do not offer \
                       HTTP. Needs `web-backend`.",
                example: "www.example.org",
            }

            "web-proxy" WEB_PROXY web_proxy: One<Switch>, Live {
                unit: "on|off",
                default: Preset::Value("off"),
                bounds: Bounds::Words("on, off"),
                doc: "Whether a PROXY header (v2) tells the web backend who each client is. Needs \
                       `web-backend`.",
                example: "on",
            }

            "streams" STREAMS streams: One<u32>, Restart {
                unit: "N",
                default: Preset::Number(16_384),
                bounds: Bounds::Numbers(16..=1_000_000, ""),
                doc: "Connections of clients over TCP and TLS that one worker holds at a time, \
                       fewer where the limit of open files is too low. A fourth of them may be \
                       without credentials yet; of these the oldest makes room for a new one.",
                example: "50000",
            }

            "streams-per-source" STREAMS_PER_SOURCE streams_per_source: One<u32>, Live {
                unit: "N",
                default: Preset::Number(1000),
                bounds: Bounds::Numbers(1..=1_000_000, ""),
                doc: "Connections of one IPv4 address, or of one IPv6 /64, that one worker holds \
                       at a time: thousands of subscribers may share an address (carrier NAT).",
                example: "100",
            }

            "strangers-per-source" STRANGERS_PER_SOURCE strangers_per_source: One<u32>, Live {
                unit: "N",
                default: Preset::Number(32),
                bounds: Bounds::Numbers(1..=1_000_000, ""),
                doc: "Connections of one source on one worker that have not logged in yet. Of \
                       more, the oldest makes room if it is a second old; otherwise the new one \
                       is refused.",
                example: "100",
            }

            "connects-per-source" CONNECTS_PER_SOURCE connects_per_source: One<u32>, Live {
                unit: "N",
                default: Preset::Number(50),
                bounds: Bounds::Numbers(0..=1_000_000, ", 0 for no limit"),
                doc: "New connections a second that one worker accepts from one source; after a \
                       silence, four seconds' worth at once. For a benchmark from one machine: 0.",
                example: "200",
            }

            "stream-delay" STREAM_DELAY stream_delay: One<u32>, Live {
                unit: "MILLISECONDS",
                default: Preset::Number(250),
                bounds: Bounds::Numbers(50..=5000, ""),
                doc: "How long payload may wait for a client on TCP or TLS that reads slowly; \
                       what has waited longer is dropped, so that the client gets what is new. \
                       Answers are never dropped.",
                example: "500",
            }
        }
    };
}

pub(super) use with_stream_keys;
