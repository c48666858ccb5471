//! The client's side of a connection, for the command that tries a server as a client would.

use std::{
    io::{self, Read, Write},
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, ProtocolVersion, crypto::aws_lc_rs, pki_types::ServerName,
};

use super::trust::{ClientFault, server_verifier};

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
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = server_verifier(roots, &provider)?;
        let name = ServerName::try_from(name.to_owned());
        let name = name.map_err(|_| ClientFault::general("no host name"))?;
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions()?;
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let config = builder.with_no_client_auth();
        Ok(Self(ClientConnection::new(Arc::new(config), name)?))
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
        let failed = |error: io::Error| ClientFault::general(error.to_string());
        while !bytes.is_empty() {
            self.0.read_tls(&mut bytes).map_err(failed)?;
            let state = self.0.process_new_packets()?;
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
