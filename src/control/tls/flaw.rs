//! What is wrong with a file of a certificate or of a key.

use std::fmt;
use std::path::PathBuf;

use nix::unistd::{User, geteuid};

use crate::control::config::PairFiles;
use crate::control::config::schema::{TLS_CERTIFICATE, TLS_KEY};

/// A file that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::control) struct UnfitFile {
    /// The key of the configuration that names it, where one does.
    pub(super) option: Option<&'static str>,
    pub(super) path: PathBuf,
    pub(super) flaw: Flaw,
}

/// Why a file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// It cannot be read: what the system says.
    Unreadable(String),
    /// It is not PEM: what is wrong with it.
    NotPem(String),
    /// There is no certificate in it.
    NoCertificate,
    /// There is a private key in it in place of a certificate.
    KeyInstead,
    /// What its first certificate is made of is not one.
    BadCertificate,
    /// There is no private key in it.
    NoKey,
    /// Its key cannot be used without a password.
    EncryptedKey,
    /// Its key is of no kind that signs here.
    BadKey,
    /// Its key is not that of the certificate in this file.
    OtherKey(PathBuf),
    /// Its certificate holds from this day on.
    NotYet(String),
    /// Its certificate has held until this day.
    Expired(String),
    /// The cryptographic library does not work.
    NoCryptography,
}

impl UnfitFile {
    /// The same, with the key of the configuration that names the file.
    pub(super) fn named_by(self, pairs: &[PairFiles]) -> Self {
        let is_certificate = pairs.iter().any(|pair| pair.certificate == self.path);
        let option = if is_certificate { TLS_CERTIFICATE.name } else { TLS_KEY.name };
        Self { option: Some(option), ..self }
    }

    /// Whether nothing is wrong but that its time is over.
    pub(in crate::control) fn is_old(&self) -> bool {
        matches!(self.flaw, Flaw::Expired(_))
    }

    /// What is said where a server would start with it.
    pub(in crate::control) fn at_start(&self) -> String {
        if !self.is_old() {
            return self.to_string();
        }
        format!(
            "{self}, or take tls-certificate and tls-key out of the configuration to serve without \
             TLS until then"
        )
    }
}

impl fmt::Display for UnfitFile {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(option) = self.option {
            write!(out, "{option}: ")?;
        }
        write!(out, "{}: ", self.path.display())?;
        match &self.flaw {
            Flaw::Unreadable(problem) if problem.starts_with("No such file") => {
                out.write_str("no such file")
            }
            // Of the file itself, whoever reads it.
            Flaw::Unreadable(problem) if problem.starts_with("it ") => out.write_str(problem),
            Flaw::Unreadable(problem) => {
                write!(out, "{} cannot read it: {problem}", this_user())
            }
            Flaw::NotPem(problem) => write!(out, "it is not PEM: {problem}"),
            Flaw::NoCertificate => out.write_str("there is no PEM certificate in it (is it DER?)"),
            Flaw::KeyInstead => {
                out.write_str("there is a private key in it, and no certificate (is it tls-key's?)")
            }
            Flaw::BadCertificate => out.write_str("the first certificate in it is broken"),
            Flaw::NoKey => out.write_str("there is no private key in it"),
            Flaw::EncryptedKey => {
                out.write_str("the key in it is encrypted: write one without a password")
            }
            Flaw::BadKey => out.write_str("the key in it is neither ECDSA nor Ed25519 nor RSA"),
            Flaw::OtherKey(certificate) => {
                let certificate = certificate.display();
                write!(
                    out,
                    "the key in it is not that of {certificate} (the server's own certificate has \
                     to come first)"
                )
            }
            Flaw::NotYet(day) => write!(out, "the certificate in it is not valid before {day}"),
            Flaw::Expired(day) => write!(out, "the certificate in it expired on {day}: renew it"),
            Flaw::NoCryptography => out.write_str("the cryptographic library does not work"),
        }
    }
}

/// Whom the files have to be readable for.
fn this_user() -> String {
    let id = geteuid();
    let name = User::from_uid(id).ok().flatten().map(|user| user.name);
    name.map_or_else(|| format!("user {id}"), |name| format!("user {name}"))
}
