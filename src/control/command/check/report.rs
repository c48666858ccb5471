//! What was tried and what came of it, for people and for programs.

use std::time::Duration;

use serde::Serialize;

use super::steps::CheckStep;
use super::target::Target;
use super::transport::CheckTransport;
use crate::control::escape;

/// What is said when there is nobody to be.
const ANONYMOUS: &str = "the rest was not tried: name a user or a secret, with --user, --config or the \
                         variable UTURN_SECRET";

/// The whole of it.
#[derive(Serialize)]
pub(super) struct CheckReport {
    server: String,
    transport: &'static str,
    pub(super) works: bool,
    steps: Vec<Line>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
}

/// What came of several transports.
#[derive(Serialize)]
struct AllReports<'a> {
    works: bool,
    transports: &'a [CheckReport],
}

#[derive(Serialize)]
struct Line {
    step: &'static str,
    ok: bool,
    ms: f64,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl CheckReport {
    pub(super) fn of(target: &Target<'_>, steps: &[CheckStep]) -> CheckReport {
        let Target { server, transport, .. } = *target;
        CheckReport::about(server.to_string(), transport, target.user.is_some(), steps)
    }

    /// What is said of a server, which may not have an address.
    pub(super) fn about(
        server: String,
        transport: CheckTransport,
        has_user: bool,
        steps: &[CheckStep],
    ) -> CheckReport {
        let steps: Vec<Line> = steps.iter().map(Line::of).collect();
        let went_well = steps.iter().all(|line| line.ok);
        let note = (went_well && !has_user).then_some(ANONYMOUS);
        let transport = transport.word();
        CheckReport { server, transport, works: went_well && has_user, steps, note }
    }

    /// Writes a line for each step, and a last one that sums up.
    pub(super) fn text(&self, coloured: bool) -> String {
        let mut text = format!("{} over {}\n", self.server, self.transport);
        self.steps.iter().for_each(|line| text.push_str(&line.text(coloured)));
        let failed = self.steps.iter().find(|line| !line.ok);
        text.push_str(&match (failed, self.note) {
            (Some(line), _) => format!("{} failed\n", line.step),
            (None, Some(note)) => format!("{note}\n"),
            (None, None) => "everything works\n".to_owned(),
        });
        text
    }
}

/// Writes one JSON object: the report where one transport was tried, else all of them in a list.
pub(super) fn json(reports: &[CheckReport]) -> String {
    let written = match reports {
        [report] => serde_json::to_string_pretty(report),
        transports => {
            let works = transports.iter().all(|report| report.works);
            serde_json::to_string_pretty(&AllReports { works, transports })
        }
    };
    written.expect("words and numbers can be written") + "\n"
}

impl Line {
    fn of(step: &CheckStep) -> Line {
        let ms = (step.took.min(Duration::MAX).as_secs_f64() * 10_000.0).round() / 10.0;
        let (ok, detail, remedy) = match &step.outcome {
            Ok(detail) => (true, detail.clone(), None),
            Err(failure) => (false, failure.problem.clone(), Some(failure.remedy.clone())),
        };
        Line { step: step.name, ok, ms, detail, remedy }
    }

    fn text(&self, coloured: bool) -> String {
        let Line { step, ok, ms, detail, remedy } = self;
        let (word, colour) = if *ok { ("ok", "\x1b[1;32m") } else { ("FAILED", "\x1b[1;31m") };
        let (colour, end) = if coloured { (colour, "\x1b[0m") } else { ("", "") };
        let detail = escape::text(detail);
        let mut text = format!("  {step:<15} {colour}{word:<6}{end} {ms:>8.1} ms  {detail}\n");
        if let Some(remedy) = remedy {
            text.push_str(&format!("{:36}{}\n", "", escape::text(remedy)));
        }
        text
    }
}
