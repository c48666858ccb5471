//! The client's side of a connection, for the command that tries a server as a client would.

use std::{
    fmt,
    io::{self, Read, Write},
    sync::Arc,
};

use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error,
    ProtocolVersion, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};

/// Why a server did not prove who it is, or what it said that is not TLS.
#[derive(Debug)]
pub struct ClientFault(Error);

impl fmt::Display for ClientFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for ClientFault {}

/// A client's TLS 1.2 or 1.3 session, between bytes that come and bytes that go.
#[derive(Debug)]
pub struct ClientSession(ClientConnection);

impl ClientSession {
    /// A session with a server that has to prove a host name or an IP address, with a certificate
    /// that leads to one of the roots (DER). Roots that are no certificates are passed over.
    ///
    /// # Errors
    /// The name is none, or no root is of use.
    pub fn new(name: &str, roots: &[Vec<u8>]) -> Result<ClientSession, ClientFault> {
        let general = |problem: &str| ClientFault(Error::General(problem.to_owned()));
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(roots.iter().cloned().map(CertificateDer::from));
        if store.is_empty() {
            return Err(general("there is no certificate to verify the server's against"));
        }
        let name = ServerName::try_from(name.to_owned()).map_err(|_| general("no host name"))?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let by_rule =
            WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(&provider));
        let by_rule = by_rule.build().map_err(|error| general(&error.to_string()))?;
        let verifier = Arc::new(Verifier { by_rule, trusted: roots.to_vec() });
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().map_err(ClientFault)?;
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let config = builder.with_no_client_auth();
        ClientConnection::new(Arc::new(config), name).map(Self).map_err(ClientFault)
    }

    /// Whether the server has yet to prove who it is.
    pub fn is_handshaking(&self) -> bool {
        self.0.is_handshaking()
    }

    /// Takes bytes of the server's and adds what they say to `plain`.
    ///
    /// # Errors
    /// The server is not who it should be, or the bytes are not TLS. What [`Self::sends`] gives
    /// then tells the server so.
    pub fn takes(&mut self, mut bytes: &[u8], plain: &mut Vec<u8>) -> Result<(), ClientFault> {
        let failed = |error: io::Error| ClientFault(Error::General(error.to_string()));
        while !bytes.is_empty() {
            self.0.read_tls(&mut bytes).map_err(failed)?;
            let state = self.0.process_new_packets().map_err(ClientFault)?;
            let held = plain.len();
            plain.resize(held + state.plaintext_bytes_to_read(), 0);
            self.0.reader().read_exact(&mut plain[held..]).map_err(failed)?;
        }
        Ok(())
    }

    /// Says something to the server.
    ///
    /// # Errors
    /// More waits to be sent than a session holds.
    pub fn says(&mut self, plain: &[u8]) -> io::Result<()> {
        self.0.writer().write_all(plain)
    }

    /// What goes to the server now.
    pub fn sends(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.0.wants_write() {
            self.0.write_tls(&mut bytes).expect("a vector takes everything");
        }
        bytes
    }

    /// The version that both agreed on.
    pub fn version(&self) -> &'static str {
        match self.0.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
            Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
            _ => "TLS",
        }
    }

    /// DER of the leaf that the server showed.
    pub fn certificate(&self) -> Option<&[u8]> {
        self.0.peer_certificates().and_then(|chain| chain.first()).map(|leaf| &leaf[..])
    }
}

/// Verifies by the rules of the web, with one exception: a certificate that is itself trusted may
/// be an authority's, as `openssl req -x509` makes them. Its name and its dates have to hold.
#[derive(Debug)]
struct Verifier {
    by_rule: Arc<WebPkiServerVerifier>,
    trusted: Vec<Vec<u8>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let is_trusted = self.trusted.iter().any(|trusted| trusted[..] == leaf[..]);
        match self.by_rule.verify_server_cert(leaf, others, name, ocsp, now) {
            // Wrong dates have errors of their own, and are looked for before this one.
            Err(Error::InvalidCertificate(CertificateError::Other(_))) if is_trusted => {
                verify_server_name(&ParsedCertificate::try_from(leaf)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_rule.verify_tls12_signature(message, leaf, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_rule.verify_tls13_signature(message, leaf, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.by_rule.supported_verify_schemes()
    }
}
