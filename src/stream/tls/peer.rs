//! The other end of a TLS connection, for tests: a client in memory, and certificates.

use std::{
    io::{Read, Write},
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, Error, HandshakeKind, ProtocolVersion, RootCertStore,
    SupportedProtocolVersion, crypto::aws_lc_rs, pki_types::CertificateDer, version,
};

use super::context::{Pair, TlsContext};

/// A certificate of its own for each group of names.
pub(in crate::stream) fn pairs(names: &[&[&str]]) -> Vec<Pair> {
    let pair = |names: &&[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names.clone()).unwrap();
        let chain = vec![made.cert.der().to_vec()];
        Pair { names, chain, key: made.signing_key.serialize_der() }
    };
    names.iter().map(pair).collect()
}

pub(in crate::stream) fn context(pairs: &[Pair]) -> Arc<TlsContext> {
    Arc::new(TlsContext::new(pairs.to_vec()).unwrap())
}

/// What a client wants.
pub(in crate::stream) struct Wishes<'a> {
    pub alpn: &'a [&'a str],
    pub version: &'static SupportedProtocolVersion,
    /// The certificates it trusts.
    pub trusts: &'a [Pair],
}

impl Default for Wishes<'_> {
    fn default() -> Self {
        Wishes { alpn: &[], version: &version::TLS13, trusts: &[] }
    }
}

impl Wishes<'_> {
    pub(in crate::stream) fn config(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        for pair in self.trusts {
            roots.add(CertificateDer::from(pair.chain[0].clone())).unwrap();
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_protocol_versions(&[self.version]).unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = self.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

/// A client of a well-known library.
pub(in crate::stream) struct TlsClient {
    tls: ClientConnection,
    /// Plaintext that came.
    pub received: Vec<u8>,
    /// The server said that it sends no more.
    pub has_ended: bool,
}

impl TlsClient {
    pub(in crate::stream) fn new(config: Arc<ClientConfig>, name: &str) -> TlsClient {
        let tls = ClientConnection::new(config, name.to_owned().try_into().unwrap()).unwrap();
        TlsClient { tls, received: Vec::new(), has_ended: false }
    }

    /// What it wants to send now.
    pub(in crate::stream) fn sends(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut bytes).unwrap();
        }
        bytes
    }

    /// What it sends when it says this, in records of 1,000 bytes.
    pub(in crate::stream) fn says(&mut self, plain: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for piece in plain.chunks(1_000) {
            self.tls.writer().write_all(piece).unwrap();
            bytes.extend(self.sends());
        }
        bytes
    }

    pub(in crate::stream) fn closes(&mut self) -> Vec<u8> {
        self.tls.send_close_notify();
        self.sends()
    }

    pub(in crate::stream) fn takes(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            self.tls.read_tls(&mut bytes).unwrap();
            let state = self.tls.process_new_packets()?;
            let mut plain = vec![0; state.plaintext_bytes_to_read()];
            self.tls.reader().read_exact(&mut plain).unwrap();
            self.received.extend(plain);
            self.has_ended |= state.peer_has_closed();
        }
        Ok(())
    }

    pub(in crate::stream) fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    pub(in crate::stream) fn alpn(&self) -> Option<&[u8]> {
        self.tls.alpn_protocol()
    }

    /// The leaf the server showed.
    pub(in crate::stream) fn certificate(&self) -> Option<&[u8]> {
        self.tls.peer_certificates().map(|chain| &*chain[0])
    }

    pub(in crate::stream) fn version(&self) -> Option<ProtocolVersion> {
        self.tls.protocol_version()
    }

    pub(in crate::stream) fn is_resumed(&self) -> bool {
        self.tls.handshake_kind() == Some(HandshakeKind::Resumed)
    }
}
