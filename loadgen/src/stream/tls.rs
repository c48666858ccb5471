//! What every TLS connection of a measurement has in common.

use std::{fs, net::IpAddr, sync::Arc};

use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme,
    SupportedProtocolVersion,
    client::{
        self,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};

use uturn::stream::server_verifier;

use super::{tickets::Tickets, transport::TlsVersion};
use crate::fault::Fault;

/// Whether connections resume the session of an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resumption {
    /// Every handshake is a full one.
    Never,
    /// As far as the server has given tickets.
    Always,
}

/// What connections are to agree on.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Terms<'a> {
    /// A PEM file of the authorities that must have signed a server's certificate, or that
    /// certificate itself; without it any will do.
    pub(crate) ca: Option<&'a str>,
    /// `None`: 1.2 and 1.3.
    pub(crate) version: Option<TlsVersion>,
    /// Key exchange by name; `None`: all there are, X25519MLKEM768 first.
    pub(crate) group: Option<&'a str>,
}

/// How connections are secured, and who is expected at the other end.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    config: Arc<ClientConfig>,
    /// `None`: the server's address is its name.
    name: Option<ServerName<'static>>,
    verifies: bool,
}

impl Tls {
    /// Connections on these terms.
    pub(crate) fn new(terms: &Terms<'_>) -> Result<Tls, Fault> {
        let provider = Arc::new(provider(terms.group)?);
        let schemes = provider.signature_verification_algorithms.supported_schemes();
        let versions: &[&SupportedProtocolVersion] = match terms.version {
            None => rustls::ALL_VERSIONS,
            Some(TlsVersion::V1_2) => &[&rustls::version::TLS12],
            Some(TlsVersion::V1_3) => &[&rustls::version::TLS13],
        };
        let verifier: Arc<dyn ServerCertVerifier> = match terms.ca {
            Some(path) => server_verifier(&certificates(path)?, &provider)
                .map_err(|error| Fault::file(path, error))?,
            None => Arc::new(Unverified { schemes }),
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(|error| Fault::usage(format!("these terms of TLS contradict: {error}")))?;
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let mut config = builder.with_no_client_auth();
        config.resumption = client::Resumption::disabled();
        Ok(Tls { config: Arc::new(config), name: None, verifies: terms.ca.is_some() })
    }

    /// The same for a server by its name, which goes into the handshake.
    pub(crate) fn named(&self, host: &str) -> Tls {
        let name = ServerName::try_from(host.to_owned()).ok();
        Tls { name: name.or_else(|| self.name.clone()), ..self.clone() }
    }

    /// The same for connections that have sessions of their own to resume, or none.
    pub(crate) fn resuming(&self, resumption: Resumption) -> Tls {
        let mut config = (*self.config).clone();
        config.resumption = match resumption {
            Resumption::Never => client::Resumption::disabled(),
            Resumption::Always => client::Resumption::store(Arc::new(Tickets::default())),
        };
        Tls { config: Arc::new(config), ..self.clone() }
    }

    pub(crate) fn verifies(&self) -> bool {
        self.verifies
    }

    /// A connection that has its first message ready.
    pub(super) fn connect(&self, ip: IpAddr) -> Result<ClientConnection, Error> {
        let name = self.name.clone().unwrap_or_else(|| ServerName::IpAddress(ip.into()));
        let mut connection = ClientConnection::new(self.config.clone(), name)?;
        // What may wait is bounded by who sends: nothing is added to what the socket did not take.
        connection.set_buffer_limit(None);
        Ok(connection)
    }
}

fn provider(group: Option<&str>) -> Result<CryptoProvider, Fault> {
    let mut provider = aws_lc_rs::default_provider();
    let Some(wanted) = group else { return Ok(provider) };
    let name = |group: &dyn SupportedKxGroup| format!("{:?}", group.name());
    let known: Vec<String> = provider.kx_groups.iter().map(|group| name(*group)).collect();
    provider.kx_groups.retain(|group| name(*group).eq_ignore_ascii_case(wanted));
    if provider.kx_groups.is_empty() {
        let known = known.join(", ");
        return Err(Fault::usage(format!("--tls-group {wanted}: there are {known}")));
    }
    Ok(provider)
}

/// The certificates of a PEM file (DER).
fn certificates(path: &str) -> Result<Vec<Vec<u8>>, Fault> {
    let pem = fs::read(path).map_err(|error| Fault::file(path, error))?;
    let certificates = CertificateDer::pem_slice_iter(&pem).map(|certificate| {
        let certificate = certificate.map_err(|error| Fault::file(path, error))?;
        Ok(certificate.to_vec())
    });
    let certificates = certificates.collect::<Result<Vec<_>, Fault>>()?;
    let none = || Fault::file(path, "no certificate in it");
    if certificates.is_empty() { Err(none()) } else { Ok(certificates) }
}

/// Takes every certificate, and every signature by it: nothing is secret here, and what the
/// generator does not check costs it no time.
#[derive(Debug)]
struct Unverified {
    schemes: Vec<SignatureScheme>,
}

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_refused_by_its_name() {
        let refusal = |ca| Tls::new(&Terms { ca: Some(ca), ..Terms::default() }).unwrap_err();
        let line = refusal("/no/such/ca.pem").to_string();
        assert!(line.starts_with("/no/such/ca.pem: No such file"), "{line}");
        assert_eq!(refusal("/dev/null").to_string(), "/dev/null: no certificate in it");
    }

    #[test]
    fn a_group_is_found_by_its_name() {
        let terms = |group| Terms { group: Some(group), ..Terms::default() };
        assert!(Tls::new(&terms("x25519")).is_ok());
        let line = Tls::new(&terms("x448")).unwrap_err().to_string();
        assert!(line.contains("--tls-group x448: there are X25519MLKEM768"), "{line}");
    }
}
