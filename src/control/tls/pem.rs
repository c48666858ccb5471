//! Files of PEM: a chain of certificates, a private key.

use std::path::Path;

use rustls_pki_types::pem::{self, PemObject, SectionKind};
use zeroize::Zeroizing;

use super::flaw::{Flaw, UnfitFile};
use crate::control::config::read_bytes;

/// What marks a key that needs a password: PKCS #8 and the older form.
const ENCRYPTED: [&[u8]; 2] = [b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED"];

/// Reads the certificates of a file, DER, in its order; one at least.
pub(in crate::control) fn chain(path: &Path) -> Result<Vec<Vec<u8>>, UnfitFile> {
    let text = read(path)?;
    let (mut chain, mut has_key) = (Vec::new(), false);
    for (kind, der) in sections(path, &text)? {
        if kind == SectionKind::Certificate {
            chain.push(der);
        } else {
            has_key |= is_key(kind);
            drop(Zeroizing::new(der));
        }
    }
    match (chain.is_empty(), has_key) {
        (false, _) => Ok(chain),
        (true, true) => Err(unfit(path, Flaw::KeyInstead)),
        (true, false) => Err(unfit(path, Flaw::NoCertificate)),
    }
}

/// Reads the first private key of a file, DER.
pub(super) fn key(path: &Path) -> Result<Zeroizing<Vec<u8>>, UnfitFile> {
    let text = read(path)?;
    if ENCRYPTED.iter().any(|mark| text.windows(mark.len()).any(|bytes| bytes == *mark)) {
        return Err(unfit(path, Flaw::EncryptedKey));
    }
    let sections = sections(path, &text)?.into_iter();
    let keys = sections.filter(|(kind, _)| is_key(*kind)).map(|(_, der)| Zeroizing::new(der));
    // All but the first are overwritten here.
    keys.collect::<Vec<_>>().into_iter().next().ok_or_else(|| unfit(path, Flaw::NoKey))
}

fn is_key(kind: SectionKind) -> bool {
    matches!(kind, SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey)
}

pub(super) fn unfit(path: &Path, flaw: Flaw) -> UnfitFile {
    UnfitFile { option: None, path: path.to_owned(), flaw }
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, UnfitFile> {
    read_bytes(path).map_err(|problem| unfit(path, Flaw::Unreadable(problem)))
}

fn sections(path: &Path, text: &[u8]) -> Result<Vec<(SectionKind, Vec<u8>)>, UnfitFile> {
    let sections = <(SectionKind, Vec<u8>)>::pem_slice_iter(text);
    sections.collect::<Result<_, pem::Error>>().map_err(|error| {
        // A message may repeat a line, which may be of a key.
        let problem = match error {
            pem::Error::MissingSectionEnd { .. } => "a section has no end",
            pem::Error::IllegalSectionStart { .. } => "a section has a broken beginning",
            _ => "a section holds something else than base64",
        };
        unfit(path, Flaw::NotPem(problem.to_owned()))
    })
}
