//! How a client verifies a server's certificate, and what to say of one that it does not accept.

use std::{fmt, sync::Arc};

use rustls::{
    CertificateError, DigitallySignedStruct, Error, InvalidMessage, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};

const DAY_S: u64 = 24 * 60 * 60;

/// Why a server did not prove who it is, or what it said that is not TLS.
#[derive(Debug)]
pub struct ClientFault(Error);

/// What a client has against a certificate, for whoever says what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distrust {
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// It is for other hosts.
    OtherName,
    /// None of the roots leads to it.
    UnknownIssuer,
    /// It signed itself as an authority does, and is none of the roots.
    OwnAuthority,
}

impl ClientFault {
    /// What is wrong with the certificate, if that is what is wrong.
    pub fn distrust(&self) -> Option<Distrust> {
        let Error::InvalidCertificate(error) = &self.0 else { return None };
        match error {
            CertificateError::ExpiredContext { .. } => Some(Distrust::Expired),
            CertificateError::NotValidYetContext { .. } => Some(Distrust::NotYetValid),
            CertificateError::NotValidForNameContext { .. } => Some(Distrust::OtherName),
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                Some(Distrust::UnknownIssuer)
            }
            CertificateError::Other(_) => Some(Distrust::OwnAuthority),
            _ => None,
        }
    }

    /// What is wrong when the library has no words for it.
    pub(super) fn general(problem: impl Into<String>) -> ClientFault {
        ClientFault(Error::General(problem.into()))
    }
}

impl From<Error> for ClientFault {
    fn from(error: Error) -> ClientFault {
        ClientFault(error)
    }
}

impl fmt::Display for ClientFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Error::InvalidCertificate(error) => refusal(error, f),
            Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
                f.write_str("what answers does not speak TLS")
            }
            Error::AlertReceived(alert) => {
                write!(f, "the server refuses the handshake with the alert {alert:?}")
            }
            other => other.fmt(f),
        }
    }
}

impl std::error::Error for ClientFault {}

/// Says in a line what is wrong with a certificate.
fn refusal(error: &CertificateError, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match error {
        CertificateError::ExpiredContext { time, not_after } => {
            write!(f, "the certificate expired {} ago", days(not_after, time))
        }
        CertificateError::NotValidYetContext { time, not_before } => {
            write!(f, "the certificate is not valid for another {}", days(time, not_before))
        }
        CertificateError::NotValidForNameContext { expected, presented }
            if presented.is_empty() =>
        {
            write!(f, "the certificate names no host, so it is not for {}", expected.to_str())
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names: Vec<&str> = presented.iter().map(|name| bare(name)).collect();
            let (names, expected) = (names.join(", "), expected.to_str());
            write!(f, "the certificate is for {names}, not for {expected}")
        }
        // The other one is of an authority of the same name that has another key.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            f.write_str("no trusted authority signed the certificate")
        }
        CertificateError::Other(_) => {
            f.write_str("the certificate is self-signed, and not among those trusted")
        }
        other => write!(f, "the certificate is not accepted: {other}"),
    }
}

/// The time between two moments, in whole days.
fn days(from: &UnixTime, to: &UnixTime) -> String {
    match to.as_secs().saturating_sub(from.as_secs()) / DAY_S {
        0 => "less than a day".to_owned(),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}

/// A name without what the library writes around it: `DnsName("relay.example")`.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"')
}

/// What verifies a server's certificate by the rules of the web, with one exception: a certificate
/// that is itself trusted may be an authority's, as `openssl req -x509` makes them. Its name and
/// its dates have to hold all the same.
///
/// `roots` are certificates (DER); those that are none are passed over.
///
/// # Errors
/// No root is of use.
pub fn server_verifier(
    roots: &[Vec<u8>],
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, ClientFault> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(roots.iter().cloned().map(CertificateDer::from));
    if store.is_empty() {
        let problem = "there is no certificate to verify the server's against";
        return Err(ClientFault::general(problem));
    }
    let by_rule =
        WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider));
    let by_rule = by_rule.build().map_err(|error| ClientFault::general(error.to_string()))?;
    Ok(Arc::new(Verifier { by_rule, trusted: roots.to_vec() }))
}

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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::{AlertDescription, crypto::aws_lc_rs};

    use super::*;

    fn said(error: CertificateError) -> String {
        ClientFault(Error::InvalidCertificate(error)).to_string()
    }

    /// A certificate for a name, by itself, an authority's or not; it holds for a day from `from`.
    fn certificate(name: &str, is_authority: bool) -> Vec<u8> {
        let mut params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
        if is_authority {
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        }
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    fn judged(shown: &[u8], roots: &[&[u8]], name: &str, now: UnixTime) -> Result<(), String> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let roots: Vec<Vec<u8>> = roots.iter().map(|root| root.to_vec()).collect();
        let verifier = server_verifier(&roots, &provider).unwrap();
        let name = ServerName::try_from(name).unwrap();
        let verified = verifier.verify_server_cert(&shown.into(), &[], &name, &[], now);
        verified.map(drop).map_err(|error| ClientFault(error).to_string())
    }

    #[test]
    fn a_trusted_certificate_is_accepted_whatever_openssl_made_of_it() {
        for is_authority in [false, true] {
            let own = certificate("relay.example", is_authority);
            let other = certificate("relay.example", is_authority);
            let judged = |roots: &[&[u8]], name| judged(&own, roots, name, UnixTime::now());
            assert_eq!(judged(&[&other, &own], "relay.example"), Ok(()));
            assert_eq!(
                judged(&[&own], "x.example").unwrap_err(),
                "the certificate is for relay.example, not for x.example"
            );
            let unknown = judged(&[&other], "relay.example").unwrap_err();
            assert!(unknown.contains("trusted"), "{unknown}");
        }
        let own = certificate("relay.example", true);
        let far = UnixTime::since_unix_epoch(Duration::from_secs(80_000 * 365 * DAY_S));
        let expired = judged(&own, &[&own], "relay.example", far).unwrap_err();
        assert!(expired.starts_with("the certificate expired "), "{expired}");
    }

    #[test]
    fn roots_that_are_none_verify_nothing() {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let fault = server_verifier(&[b"no certificate".to_vec()], &provider).unwrap_err();
        assert!(fault.to_string().contains("no certificate to verify"), "{fault}");
    }

    #[test]
    fn what_is_wrong_is_said_in_words() {
        let at = |days: u64| UnixTime::since_unix_epoch(Duration::from_secs(days * DAY_S));
        let expired = CertificateError::ExpiredContext { time: at(30), not_after: at(10) };
        assert_eq!(said(expired), "the certificate expired 20 days ago");
        let just = CertificateError::ExpiredContext { time: at(10), not_after: at(10) };
        assert_eq!(said(just), "the certificate expired less than a day ago");
        let early = CertificateError::NotValidYetContext { time: at(10), not_before: at(11) };
        assert_eq!(said(early), "the certificate is not valid for another 1 day");
        let name = ServerName::try_from("a.example").unwrap();
        let nameless = CertificateError::NotValidForNameContext {
            expected: name.clone(),
            presented: Vec::new(),
        };
        assert_eq!(said(nameless), "the certificate names no host, so it is not for a.example");
        let presented = vec!["DnsName(\"b.example\")".to_owned(), "IpAddress(10.0.0.1)".to_owned()];
        let other = CertificateError::NotValidForNameContext { expected: name, presented };
        assert_eq!(said(other), "the certificate is for b.example, 10.0.0.1, not for a.example");
        let distrust = |error| ClientFault(Error::InvalidCertificate(error)).distrust();
        let expired = CertificateError::ExpiredContext { time: at(30), not_after: at(10) };
        assert_eq!(distrust(expired), Some(Distrust::Expired));
        assert_eq!(distrust(CertificateError::UnknownIssuer), Some(Distrust::UnknownIssuer));
        assert_eq!(distrust(CertificateError::BadEncoding), None);
        let no_tls = ClientFault(InvalidMessage::InvalidContentType.into());
        assert_eq!(no_tls.to_string(), "what answers does not speak TLS");
        assert_eq!(no_tls.distrust(), None);
        let alert = ClientFault(Error::AlertReceived(AlertDescription::HandshakeFailure));
        assert!(alert.to_string().contains("alert HandshakeFailure"), "{alert}");
    }
}
