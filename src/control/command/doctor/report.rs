//! Findings, for people and for programs.

use serde::Serialize;

use super::checks::CHECKS;
use super::finding::{Finding, Severity};
use crate::control::escape;
use crate::control::numbers::counted;

#[derive(Serialize)]
struct Report<'a> {
    /// How many checks were made.
    checks: usize,
    findings: &'a [Finding],
}

/// Writes one JSON object.
pub(super) fn json(findings: &[Finding]) -> String {
    let report = Report { checks: CHECKS.len(), findings };
    serde_json::to_string_pretty(&report).expect("words and numbers can be written") + "\n"
}

/// Writes the findings in groups, and a last line that counts them.
pub(super) fn text(findings: &[Finding], coloured: bool) -> String {
    let mut groups: Vec<&str> = CHECKS.iter().map(|check| check.group).collect();
    groups.dedup();
    let mut text: String = groups.iter().map(|group| in_group(group, findings, coloured)).collect();
    text.push_str(&format!("{}\n", count(findings)));
    text
}

fn in_group(group: &str, findings: &[Finding], coloured: bool) -> String {
    let names: Vec<&str> =
        CHECKS.iter().filter(|check| check.group == group).map(|check| check.name).collect();
    let found = findings.iter().filter(|finding| names.contains(&finding.check));
    let found: String = found.map(|finding| entry(finding, coloured)).collect();
    if found.is_empty() { format!("{group}: nothing found\n") } else { format!("{group}\n{found}") }
}

fn entry(finding: &Finding, coloured: bool) -> String {
    let Finding { check, severity, what, why, change, with } = finding;
    let (label, colour) = match severity {
        Severity::Error => ("error", "\x1b[1;31m"),
        Severity::Warning => ("warning", "\x1b[1;33m"),
        Severity::Hint => ("hint", "\x1b[1;36m"),
    };
    let (colour, end) = if coloured { (colour, "\x1b[0m") } else { ("", "") };
    let lines = [("why", *why), ("change", change.as_str()), ("with", with.as_str())];
    let line = |(name, words)| format!("            {name:<7} {}\n", escape::text(words));
    let (what, lines) = (escape::text(what), String::from_iter(lines.map(line)));
    format!("  {colour}{label:<8}{end}  {what} [{check}]\n{lines}")
}

fn count(findings: &[Finding]) -> String {
    let of = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    format!(
        "{}: {}, {}, {}",
        counted(CHECKS.len(), "check"),
        counted(of(Severity::Error), "error"),
        counted(of(Severity::Warning), "warning"),
        counted(of(Severity::Hint), "hint")
    )
}
