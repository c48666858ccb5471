//! From the files of pairs to what all connections share.

use std::sync::Arc;
use std::time::SystemTime;

use super::certificate::{self, CertificateFacts};
use super::flaw::{Flaw, UnfitFile};
use super::pem::{self, unfit};
use crate::control::config::PairFiles;
use crate::stream::{Pair, TlsContext, TlsFault};

/// Certificates that have been checked, in the order they were asked for.
#[derive(Clone, Debug, Default)]
pub(in crate::control) struct Certificates {
    /// What workers show clients; nothing where there is no certificate.
    pub(in crate::control) context: Option<Arc<TlsContext>>,
    /// The same for people.
    pub(in crate::control) facts: Vec<CertificateFacts>,
    /// DER of each chain: another one means that something has been renewed, or completed.
    chains: Vec<Vec<Vec<u8>>>,
}

impl Certificates {
    /// Whether both show clients the same.
    pub(in crate::control) fn are(&self, others: &Self) -> bool {
        self.chains == others.chains
    }
}

/// Reads and checks every pair. Waits for nobody but the disk.
///
/// # Errors
/// Names the first file that is of no use, and why.
pub(in crate::control) fn load(
    files: &[PairFiles],
    now: SystemTime,
) -> Result<Certificates, UnfitFile> {
    checked(files, now).map_err(|unfit| unfit.named_by(files))
}

fn checked(files: &[PairFiles], now: SystemTime) -> Result<Certificates, UnfitFile> {
    let Some(first) = files.first() else { return Ok(Certificates::default()) };
    let (mut pairs, mut facts, mut chains) = (Vec::new(), Vec::new(), Vec::new());
    for PairFiles { certificate, key } in files {
        let chain = pem::chain(certificate)?;
        let (of_leaf, not_before_s) = CertificateFacts::of(&chain[0], certificate)?;
        certificate::must_hold(&of_leaf, not_before_s, now)?;
        let mut key = pem::key(key)?;
        chains.push(chain.clone());
        let names = of_leaf.names.clone();
        pairs.push(Pair { names, chain, key: std::mem::take(&mut *key) });
        facts.push(of_leaf);
    }
    let context = TlsContext::new(pairs).map_err(|error| {
        let PairFiles { certificate, key } = files.get(error.pair).unwrap_or(first);
        match error.fault {
            TlsFault::NoPair | TlsFault::NoCertificate => unfit(certificate, Flaw::NoCertificate),
            TlsFault::BadCertificate => unfit(certificate, Flaw::BadCertificate),
            TlsFault::BadKey => unfit(key, Flaw::BadKey),
            TlsFault::KeyMismatch => unfit(key, Flaw::OtherKey(certificate.clone())),
            TlsFault::Provider => unfit(certificate, Flaw::NoCryptography),
        }
    })?;
    Ok(Certificates { context: Some(Arc::new(context)), facts, chains })
}

/// What the certificates say of themselves, whether or not they hold and have a key.
///
/// # Errors
/// As [`load`], of certificates that cannot be read.
pub(in crate::control) fn facts(files: &[PairFiles]) -> Result<Vec<CertificateFacts>, UnfitFile> {
    let of_file = |files: &PairFiles| {
        let chain = pem::chain(&files.certificate)?;
        CertificateFacts::of(&chain[0], &files.certificate).map(|(facts, _)| facts)
    };
    files.iter().map(of_file).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::tls::testing::{Folder, pem as certificate_pem};

    fn now() -> SystemTime {
        SystemTime::now()
    }

    fn problem(files: &[PairFiles]) -> String {
        load(files, now()).expect_err("something is wrong").to_string()
    }

    #[test]
    fn pairs_are_shown_with_their_names_and_their_last_day() {
        let folder = Folder::new("pairs");
        let files = [
            folder.pair("a", &["turn.Example.org", "*.example.net"]),
            folder.pair_until("b", &["other.example.org"], 3000),
        ];
        let certificates = load(&files, now()).unwrap();
        assert!(certificates.context.is_some());
        let facts = &certificates.facts;
        assert_eq!(facts[0].names, ["turn.example.org", "*.example.net"]);
        assert_eq!((&*facts[1].name, &*facts[1].not_after), ("other.example.org", "3000-01-01"));
        assert!(!facts[0].is_rsa);
        assert_eq!(load(&[], now()).unwrap().facts, []);
    }

    #[test]
    fn the_same_files_show_clients_the_same_and_renewed_ones_do_not() {
        let folder = Folder::new("renewed");
        let files = [folder.pair("a", &["a"])];
        let held = load(&files, now()).unwrap();
        assert!(held.are(&load(&files, now()).unwrap()));
        folder.pair("a", &["a"]);
        let renewed = load(&files, now()).unwrap();
        assert!(!held.are(&renewed));
        let (issuer, _) = certificate_pem(&["issuer"], 2000, 4000);
        let leaf = std::fs::read_to_string(&files[0].certificate).unwrap();
        std::fs::write(&files[0].certificate, leaf + &issuer).unwrap();
        assert!(!renewed.are(&load(&files, now()).unwrap()), "the chain is complete now");
    }

    #[test]
    fn a_file_of_no_use_is_named_with_the_reason() {
        let folder = Folder::new("no-use");
        let good = folder.pair("good", &["a"]);
        let other = folder.pair("other", &["a"]);
        let with_key = |text: &str| {
            let key = folder.write("x.key", text);
            PairFiles { certificate: good.certificate.clone(), key }
        };
        let mixed = PairFiles { key: other.key.clone(), ..good.clone() };
        let swapped = PairFiles { certificate: good.key.clone(), key: good.certificate.clone() };
        let missing = PairFiles { certificate: folder.path().join("nowhere"), ..good.clone() };
        let folders = PairFiles { certificate: folder.path().to_owned(), ..good.clone() };
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n\
                         -----END ENCRYPTED PRIVATE KEY-----\n";
        let older = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n\
                     -----END RSA PRIVATE KEY-----\n";
        let no_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        let cut = "-----BEGIN PRIVATE KEY-----\nAAAA\n";
        let expired = folder.pair_until("old", &["a"], 2020);
        for (files, name, reason) in [
            (mixed, "tls-key: ", "other.key: the key in it is not that of "),
            (
                swapped,
                "tls-certificate: ",
                "good.key: there is a private key in it, and no certificate",
            ),
            (missing, "tls-certificate: ", "nowhere: no such file"),
            (folders, "tls-certificate: ", ": it is a folder, not a file"),
            (expired, "old.pem: ", "expired on 2020-01-01: renew it"),
        ] {
            let found = problem(&[files]);
            assert!(found.contains(name) && found.contains(reason), "{found}");
            assert_eq!(found.lines().count(), 1, "{found}");
        }
        for (text, reason) in [
            (encrypted, "encrypted"),
            (older, "encrypted"),
            ("", "there is no private key in it"),
            (no_key, "neither ECDSA nor Ed25519 nor RSA"),
            (cut, "it is not PEM: a section has no end"),
        ] {
            let found = problem(&[with_key(text)]);
            assert!(found.contains("x.key: ") && found.contains(reason), "{found}");
        }
    }

    #[test]
    fn a_certificate_that_does_not_hold_yet_is_refused_until_it_does() {
        let folder = Folder::new("not-yet");
        let (certificate, key) = certificate_pem(&["a"], 3000, 3001);
        let files = PairFiles {
            certificate: folder.write("a.pem", &certificate),
            key: folder.write("a.key", &key),
        };
        assert!(problem(&[files]).contains("is not valid before 3000-01-01"));
    }

    #[test]
    fn one_file_may_hold_both_and_a_chain_goes_with_its_leaf() {
        let folder = Folder::new("one-file");
        let (leaf, key) = certificate_pem(&["a"], 2000, 4000);
        let (issuer, _) = certificate_pem(&["issuer"], 2000, 4000);
        let path = folder.write("all.pem", &format!("{key}{leaf}{issuer}"));
        let files = [PairFiles { certificate: path.clone(), key: path }];
        let facts = load(&files, now()).unwrap().facts;
        assert_eq!(facts[0].names, ["a"]);
        assert_eq!(super::facts(&files).unwrap(), facts);
    }
}
