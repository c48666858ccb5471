//! A relay that serves TLS with a certificate of an authority of its own.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::machine::{Folder, Ports};
use crate::relay::{LOOPBACK4, Relay, Setup};

pub struct Secured {
    pub relay: Relay,
    /// The authority's certificate, a PEM file.
    pub authority: String,
    _folder: Folder,
    _claim: Ports,
}

impl Secured {
    /// Starts it with a certificate for a host.
    pub fn start(host: &str, arguments: &[&str]) -> Self {
        let folder = Folder::new();
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key can be made");
        let root = authority.self_signed(&key).expect("the key can sign");
        let issuer = Issuer::new(authority, key);
        let key = KeyPair::generate().expect("a key can be made");
        let leaf = CertificateParams::new([host.to_owned()]).expect("it is a name");
        let leaf = leaf.signed_by(&key, &issuer).expect("the authority can sign");
        let certificate = folder.write("certificate.pem", &leaf.pem());
        let key = folder.write("key.pem", &key.serialize_pem());
        // Port 5349, which is the default beside the listening one, may be another test's.
        let claim = Ports::claim();
        let tls = format!("{LOOPBACK4}:{}", claim.spare());
        let relay = Setup::new()
            .with(&["--tls-certificate", &certificate, "--tls-key", &key, "--listen-tls", &tls])
            .with(arguments)
            .start();
        Self {
            relay,
            authority: folder.write("ca.pem", &root.pem()),
            _folder: folder,
            _claim: claim,
        }
    }
}
