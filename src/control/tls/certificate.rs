//! What a certificate says of itself: its names, until when it holds, what it signs with.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::time::ASN1Time;

use super::flaw::{Flaw, UnfitFile};
use super::pem::unfit;

/// A certificate, as people are shown it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::control) struct CertificateFacts {
    /// Its first name; its file where it has none.
    pub(in crate::control) name: String,
    /// Hosts it stands for, `*.` in front of some.
    pub(in crate::control) names: Vec<String>,
    /// Where it is.
    pub(in crate::control) path: PathBuf,
    /// Last second that it holds, since the Unix epoch.
    pub(in crate::control) not_after_s: i64,
    /// The day of that, in UTC, as 2026-12-31.
    pub(in crate::control) not_after: String,
    /// Whether it is RSA's, which costs three times as much as ECDSA's.
    pub(in crate::control) is_rsa: bool,
}

impl CertificateFacts {
    /// Reads the leaf of a chain, whenever it holds.
    pub(in crate::control) fn of(leaf: &[u8], path: &Path) -> Result<(Self, i64), UnfitFile> {
        let parsed = X509Certificate::from_der(leaf);
        let (_, leaf) = parsed.map_err(|_| unfit(path, Flaw::BadCertificate))?;
        let names = names(&leaf);
        let validity = leaf.validity();
        let key = leaf.public_key().parsed();
        let facts = Self {
            name: names.first().cloned().unwrap_or_else(|| path.display().to_string()),
            names,
            path: path.to_owned(),
            not_after_s: validity.not_after.timestamp(),
            not_after: day(validity.not_after),
            is_rsa: matches!(key, Ok(PublicKey::RSA(_))),
        };
        Ok((facts, validity.not_before.timestamp()))
    }

    /// Seconds until it no longer holds; negative from then on.
    pub(in crate::control) fn left_s(&self, now: SystemTime) -> i64 {
        self.not_after_s - seconds(now)
    }
}

/// Refuses a leaf that does not hold now.
pub(super) fn must_hold(
    facts: &CertificateFacts,
    not_before_s: i64,
    now: SystemTime,
) -> Result<(), UnfitFile> {
    if facts.left_s(now) < 0 {
        return Err(unfit(&facts.path, Flaw::Expired(facts.not_after.clone())));
    }
    if not_before_s > seconds(now) {
        let from = ASN1Time::from_timestamp(not_before_s).map(day).unwrap_or_default();
        return Err(unfit(&facts.path, Flaw::NotYet(from)));
    }
    Ok(())
}

/// The hosts of a leaf, as clients ask for them (RFC 6125 §6.4).
fn names(leaf: &X509Certificate<'_>) -> Vec<String> {
    let named = leaf.subject_alternative_name().ok().flatten();
    let named = named.iter().flat_map(|names| &names.value.general_names);
    let hosts = named.filter_map(|name| match name {
        GeneralName::DNSName(host) => Some((*host).to_ascii_lowercase()),
        _ => None,
    });
    hosts.collect()
}

/// A second since the Unix epoch, as 2026-12-31 23:59:59 in UTC.
pub(in crate::control) fn second(at_s: i64) -> String {
    let time = ASN1Time::from_timestamp(at_s).map(|time| time.to_datetime());
    time.map_or_else(
        |_| at_s.to_string(),
        |time| {
            let (hour, minute, second) = time.time().as_hms();
            format!("{} {hour:02}:{minute:02}:{second:02}", time.date())
        },
    )
}

fn day(time: ASN1Time) -> String {
    time.to_datetime().date().to_string()
}

fn seconds(now: SystemTime) -> i64 {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
