//! The lines that move while something is measured.

use std::collections::VecDeque;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::number::{NOTHING, bits, count, known, short, time_us};
use crate::{measure::observe::Sample, offer::spec::Spec};

/// Time between two pictures: what moves faster nobody reads.
const FRAME_NS: u64 = 250_000_000;

/// Frames whose latency is remembered.
const HISTORY: usize = 40;

const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Some lines on standard error while a load runs; nothing when told to be quiet, or where nobody
/// samples.
pub(crate) struct Progress {
    lines: MultiProgress,
    bar: ProgressBar,
    traffic: ProgressBar,
    latency: ProgressBar,
    server: ProgressBar,
    before: Sample,
    history: VecDeque<f64>,
    total_s: f64,
}

impl Progress {
    /// Lines for one measurement of a spec.
    pub(crate) fn new(spec: &Spec, name: &str) -> Progress {
        Progress::lasting(spec.quiet, spec.warmup_ns + spec.duration_ns, name)
    }

    /// Lines for something that takes `total_ns`.
    pub(crate) fn lasting(quiet: bool, total_ns: u64, name: &str) -> Progress {
        let lines = MultiProgress::new();
        if quiet {
            lines.set_draw_target(ProgressDrawTarget::hidden());
        }
        let line = || {
            let line = lines.add(ProgressBar::new(1));
            line.set_style(style("{wide_msg}"));
            line
        };
        let (traffic, latency, server) = (line(), line(), line());
        let bar = lines.add(ProgressBar::new(total_ns));
        bar.set_style(style("{prefix}  {wide_bar}  {msg}").progress_chars("━╸─"));
        bar.set_prefix(name.to_owned());
        let (before, history) = (Sample::default(), VecDeque::new());
        let total_s = total_ns as f64 / 1e9;
        Progress { lines, bar, traffic, latency, server, before, history, total_s }
    }

    /// Shows what happened since the last frame.
    pub(crate) fn show(&mut self, sample: &Sample) {
        let passed_ns = sample.at_ns.saturating_sub(self.before.at_ns);
        if passed_ns < FRAME_NS {
            return;
        }
        self.bar.set_position(sample.at_ns);
        self.bar.set_message(format!("{:.1} of {:.1} s", sample.at_ns as f64 / 1e9, self.total_s));
        self.show_traffic(sample, passed_ns as f64 / 1e9);
        self.show_latency(sample);
        self.show_server(sample);
        self.before = *sample;
    }

    fn show_traffic(&self, sample: &Sample, seconds: f64) {
        let before = &self.before;
        let rate = |after: u64, before: u64| after.saturating_sub(before) as f64 / seconds;
        let gbps = rate(sample.received_bytes, before.received_bytes) * 8e-9;
        // Requests alone carry no payload.
        let payload = if sample.received_bytes > 0 { bits(gbps) + "  " } else { String::new() };
        self.traffic.set_message(format!(
            "sent {}/s  delivered {}/s  {payload}missing {}  behind {}",
            short(rate(sample.sent, before.sent)),
            short(rate(sample.received, before.received)),
            count(sample.sent.saturating_sub(sample.received)),
            time_us(sample.behind_ns as f64 / 1e3),
        ));
    }

    fn show_latency(&mut self, sample: &Sample) {
        self.history.extend(sample.p99_us);
        while self.history.len() > HISTORY {
            self.history.pop_front();
        }
        let heights = heights(&self.history);
        let [p50, p99] = [sample.p50_us, sample.p99_us].map(|us| known(us, time_us));
        self.latency.set_message(format!("latency p50 {p50}  p99 {p99}  {heights}"));
    }

    fn show_server(&self, sample: &Sample) {
        if let Some(cores) = sample.server_cores {
            self.server.set_message(format!("server {cores:.2} cores"));
        }
    }

    /// Says what goes on before there is anything to show.
    pub(crate) fn prepare(&self, text: &'static str) {
        self.bar.set_message(text);
        self.bar.tick();
    }

    /// Shows how far a work of steps has come.
    pub(crate) fn step(&self, done: u64, text: String) {
        self.bar.set_position(done);
        self.bar.set_message(text);
    }

    pub(crate) fn finish(&self) {
        for line in [&self.traffic, &self.latency, &self.server, &self.bar] {
            line.finish_and_clear();
        }
        // Nothing is left to clear where nothing was drawn.
        let _ = self.lines.clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates are fixed")
}

/// Heights by powers of two above the least: what doubles is a step higher.
fn heights(history: &VecDeque<f64>) -> String {
    let least = history.iter().copied().fold(f64::MAX, f64::min).max(1e-3);
    let height = |us: &f64| HEIGHTS[((us / least).max(1.0).log2() as usize).min(HEIGHTS.len() - 1)];
    if history.is_empty() { NOTHING.to_owned() } else { history.iter().map(height).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_doubles_is_a_step_higher() {
        let history = VecDeque::from([20.0, 20.0, 39.0, 40.0, 1e9, 10.0]);
        assert_eq!(heights(&history), "▂▂▂▃█▁");
        assert_eq!(heights(&VecDeque::new()), "-");
    }
}
