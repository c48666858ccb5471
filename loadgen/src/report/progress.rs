//! The line that moves while a run runs.

use indicatif::{ProgressBar, ProgressStyle};

use super::number::{short, time_us};
use crate::measure::observe::Look;

/// A line on standard error, or nothing.
pub(crate) struct Progress {
    bar: ProgressBar,
    before: Look,
}

impl Progress {
    /// A line for a run that takes `total_ns`; silent when asked for, and without a terminal.
    pub(crate) fn new(quiet: bool, total_ns: u64) -> Progress {
        let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new(total_ns) };
        let style =
            ProgressStyle::with_template("{bar:10} {wide_msg}").expect("the template is fixed");
        bar.set_style(style.progress_chars("━╸─"));
        Progress { bar, before: Look::default() }
    }

    /// Shows what happened since the last look.
    pub(crate) fn show(&mut self, look: &Look) {
        let seconds = look.at_ns.saturating_sub(self.before.at_ns) as f64 / 1e9;
        if seconds < 0.05 {
            return;
        }
        let rate = |after: u64, before: u64| after.saturating_sub(before) as f64 / seconds;
        let gbps = rate(look.received_bytes, self.before.received_bytes) * 8e-9;
        self.bar.set_position(look.at_ns);
        self.bar.set_message(format!(
            "{:.1} s  sent {}/s  relayed {}/s  {gbps:.2} Gbit/s  missing {}  behind {}",
            look.at_ns as f64 / 1e9,
            short(rate(look.sent, self.before.sent)),
            short(rate(look.received, self.before.received)),
            look.sent.saturating_sub(look.received),
            time_us(look.behind_ns as f64 / 1e3),
        ));
        self.before = *look;
    }

    /// Shows how far a work of steps has come.
    pub(crate) fn step(&self, done: u64, text: String) {
        self.bar.set_position(done);
        self.bar.set_message(text);
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
