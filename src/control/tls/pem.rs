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
    let sections = sections(path, &text)?;
    let of_certificates =
        sections.into_iter().filter(|(kind, _)| *kind == SectionKind::Certificate);
    let chain: Vec<_> = of_certificates.map(|(_, der)| der).collect();
    if chain.is_empty() { Err(unfit(path, Flaw::NoCertificate)) } else { Ok(chain) }
}

/// Reads the first private key of a file, DER.
pub(super) fn key(path: &Path) -> Result<Zeroizing<Vec<u8>>, UnfitFile> {
    let text = read(path)?;
    if ENCRYPTED.iter().any(|mark| text.windows(mark.len()).any(|bytes| bytes == *mark)) {
        return Err(unfit(path, Flaw::EncryptedKey));
    }
    let is_key = |kind: SectionKind| {
        matches!(
            kind,
            SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey
        )
    };
    let sections = sections(path, &text)?.into_iter();
    let keys = sections.filter(|(kind, _)| is_key(*kind)).map(|(_, der)| Zeroizing::new(der));
    // All but the first are overwritten here.
    keys.collect::<Vec<_>>().into_iter().next().ok_or_else(|| unfit(path, Flaw::NoKey))
}

pub(super) fn unfit(path: &Path, flaw: Flaw) -> UnfitFile {
    UnfitFile { path: path.to_owned(), flaw }
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
