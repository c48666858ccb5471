//! Certificates, and what all TLS connections share.

use std::{fmt, sync::Arc};

use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer},
    server::{ClientHello, NoServerSessionStorage, ResolvesServerCert},
    sign::CertifiedKey,
};

use crate::stream::names::Patterns;

/// A certificate with its key.
#[derive(Clone)]
pub struct Pair {
    /// The hosts it stands for: `example.org` or `*.example.org`. The first pair also serves
    /// clients that name no host, or one that no pair stands for.
    pub names: Vec<String>,
    /// DER of the leaf, then of what leads from it to a root.
    pub chain: Vec<Vec<u8>>,
    /// DER of the private key: PKCS #8, SEC 1 or PKCS #1.
    pub key: Vec<u8>,
}

/// Says nothing of the key.
impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Pair { names, chain, key: _ } = self;
        f.debug_struct("Pair").field("names", names).field("chain", &chain.len()).finish()
    }
}

/// Which pair cannot be used, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsError {
    /// Its place among those that were given; 0 where there was none.
    pub pair: usize,
    /// What is wrong with it.
    pub fault: TlsFault,
}

/// What is wrong with a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsFault {
    /// No pair was given.
    NoPair,
    /// The chain is empty.
    NoCertificate,
    /// The leaf is not a certificate.
    BadCertificate,
    /// The key is not a private key of a kind that can sign here: RSA, ECDSA or Ed25519.
    BadKey,
    /// The key is another one than the leaf's.
    KeyMismatch,
    /// The cryptographic library refuses to work.
    Provider,
}

impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TlsFault::NoPair => "there is no certificate",
            TlsFault::NoCertificate => "the chain holds no certificate",
            TlsFault::BadCertificate => "the first of the chain is not a certificate",
            TlsFault::BadKey => "the key is not an RSA, ECDSA or Ed25519 private key",
            TlsFault::KeyMismatch => "the key does not belong to the certificate",
            TlsFault::Provider => "the cryptographic library does not work",
        })
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pair {}: {}", self.pair, self.fault)
    }
}

impl std::error::Error for TlsError {}

/// What all TLS connections of a server share: its certificates, and the keys of its session
/// tickets, which change by themselves. A reload makes a new one; living connections keep theirs.
pub struct TlsContext {
    /// Answers ALPN with STUN's protocols, and refuses clients that offer others alone.
    pub(super) with_alpn: Arc<ServerConfig>,
    /// Does not answer ALPN.
    pub(super) without_alpn: Arc<ServerConfig>,
}

impl fmt::Debug for TlsContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsContext")
    }
}

impl TlsContext {
    /// Checks the pairs and makes a context of them.
    ///
    /// # Errors
    /// Names the first pair that cannot be used, by its place.
    pub fn new(pairs: Vec<Pair>) -> Result<TlsContext, TlsError> {
        let general = |fault| TlsError { pair: 0, fault };
        let provider = aws_lc_rs::default_provider();
        let mut keys = Vec::with_capacity(pairs.len());
        let mut names = Vec::new();
        for (place, pair) in pairs.into_iter().enumerate() {
            let key = certified(&pair.chain, pair.key, &provider);
            let key = key.map_err(|fault| TlsError { pair: place, fault })?;
            names.extend(pair.names.into_iter().map(|name| (name, place)));
            keys.push(key);
        }
        if keys.is_empty() {
            return Err(general(TlsFault::NoPair));
        }
        let resolver = Arc::new(Resolver { keys, names: Patterns::new(names) });
        let config = config(Arc::new(provider), resolver);
        let config = config.map_err(|_| general(TlsFault::Provider))?;
        let mut with_alpn = config.clone();
        with_alpn.alpn_protocols = vec![b"stun.turn".to_vec(), b"stun.nat-discovery".to_vec()];
        Ok(TlsContext { with_alpn: Arc::new(with_alpn), without_alpn: Arc::new(config) })
    }
}

fn certified(
    chain: &[Vec<u8>],
    key: Vec<u8>,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, TlsFault> {
    let chain: Vec<_> = chain.iter().map(|it| CertificateDer::from(it.clone())).collect();
    if chain.is_empty() {
        return Err(TlsFault::NoCertificate);
    }
    let key = PrivateKeyDer::try_from(key).map_err(|_| TlsFault::BadKey)?;
    let key = provider.key_provider.load_private_key(key).map_err(|_| TlsFault::BadKey)?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
            Ok(Arc::new(certified))
        }
        Err(rustls::Error::InconsistentKeys(_)) => Err(TlsFault::KeyMismatch),
        Err(_) => Err(TlsFault::BadCertificate),
    }
}

fn config(
    provider: Arc<CryptoProvider>,
    resolver: Arc<Resolver>,
) -> Result<ServerConfig, rustls::Error> {
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(resolver);
    // Tickets alone: nothing is kept for a client that may never come back. One of them is enough,
    // and TURN in 0-RTT could be replayed.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    config.send_tls13_tickets = 1;
    config.max_early_data_size = 0;
    config.send_half_rtt_data = false;
    Ok(config)
}

/// Chooses a pair by the name that a client asks for.
#[derive(Debug)]
struct Resolver {
    /// At least one.
    keys: Vec<Arc<CertifiedKey>>,
    names: Patterns<usize>,
}

impl ResolvesServerCert for Resolver {
    /// The first pair of the name that the client can verify, so that one name may have an ECDSA
    /// and an RSA key.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().unwrap_or_default().to_ascii_lowercase();
        let can_verify =
            |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        let mut named = self.names.of(name.as_bytes()).map(|place| &self.keys[*place]).peekable();
        let key = match named.peek() {
            Some(_) => named.find(can_verify),
            None => self.keys.iter().find(can_verify),
        };
        key.or(self.keys.first()).cloned()
    }
}
