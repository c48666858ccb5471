//! What clients on TLS would be shown, and for how long.

use crate::control::command::doctor::facts::machine::MachineFacts;
use crate::control::command::doctor::finding::{Finding, Severity};
use crate::control::command::doctor::need::Need;
use crate::control::tls::certificate::CertificateFacts;

/// Days before the end in which somebody has to look: whoever renews by a timer does so a month
/// before.
const LAST_DAYS: i64 = 14;
const DAY_S: i64 = 24 * 60 * 60;

/// Whether the server would start with the certificates.
pub(in crate::control::command::doctor) fn usable(_: &MachineFacts, need: &Need) -> Vec<Finding> {
    let finding = |problem: &String| Finding {
        check: "certificate",
        severity: Severity::Error,
        what: problem.clone(),
        why: "the server does not start without the certificates it is to show",
        change: "files that the server can read, the key that of the certificate".to_owned(),
        with: "uturn check-config FILE".to_owned(),
    };
    need.unfit_certificate.iter().map(finding).collect()
}

/// Whether each holds, and for more than a few days.
pub(in crate::control::command::doctor) fn expiry(_: &MachineFacts, need: &Need) -> Vec<Finding> {
    let ending = need.certificates.iter().filter_map(|facts| {
        let left_s = facts.left_s(need.now);
        let severity = if left_s < 0 { Severity::Error } else { Severity::Warning };
        (left_s < LAST_DAYS * DAY_S).then_some((facts, severity))
    });
    ending.map(|(facts, severity)| ends(facts, severity)).collect()
}

fn ends(facts: &CertificateFacts, severity: Severity) -> Finding {
    let CertificateFacts { name, path, not_after, .. } = facts;
    let end = if severity == Severity::Error { "expired on" } else { "expires on" };
    Finding {
        check: "certificate-expiry",
        severity,
        what: format!("the certificate of {name} in {} {end} {not_after}", path.display()),
        why: "clients refuse an expired certificate, and the server does not start with one",
        change: "renew it; a running server takes the new one by itself".to_owned(),
        with: "certbot renew".to_owned(),
    }
}

/// Whether a cheaper kind of key would do.
pub(in crate::control::command::doctor) fn rsa(_: &MachineFacts, need: &Need) -> Vec<Finding> {
    let is_doubled = |rsa: &CertificateFacts| {
        need.certificates.iter().any(|other| !other.is_rsa && other.names == rsa.names)
    };
    let alone = need.certificates.iter().filter(|facts| facts.is_rsa && !is_doubled(facts));
    let finding = |facts: &CertificateFacts| Finding {
        check: "certificate-rsa",
        severity: Severity::Hint,
        what: format!("the certificate of {} is RSA's", facts.name),
        why: "a handshake costs three times as much CPU as with ECDSA",
        change: "an ECDSA certificate in its place, or before it for clients that know both"
            .to_owned(),
        with: "certbot renew --key-type ecdsa".to_owned(),
    };
    alone.map(finding).collect()
}
