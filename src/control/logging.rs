//! Where log lines go: to standard error, as lines to read or as JSON objects.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::fmt;

use super::config::{LogFormat, LogSettings};

/// Starts the log of this process. Only the first call has an effect.
pub(super) fn start(settings: &LogSettings) {
    let lines = fmt().with_max_level(settings.level).with_writer(stderr).with_target(false);
    let started = match settings.format {
        LogFormat::Text => lines.with_ansi(stderr().is_terminal()).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).with_ansi(false).try_init(),
    };
    // A log that somebody else has set up before is as good as this one.
    started.unwrap_or_default();
}
