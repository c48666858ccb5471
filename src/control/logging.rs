//! Where log lines go: to standard error, as lines to read or as JSON objects. How many of them can
//! change while the server runs.

use std::io::{IsTerminal, stderr};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt, reload};

use super::config::{LogFormat, LogSettings};

/// The level of a log that runs.
#[derive(Clone, Debug)]
pub(super) struct Level(reload::Handle<LevelFilter, Registry>);

impl Level {
    /// The level of no log at all.
    #[cfg(test)]
    pub(super) fn detached() -> Self {
        Self(reload::Layer::new(LevelFilter::OFF).1)
    }

    /// Logs from now on what is at least as important as this.
    pub(super) fn set(&self, level: LevelFilter) {
        // The log lives as long as the process; a test may have another one.
        self.0.reload(level).unwrap_or_default();
    }
}

/// Starts the log of this process. Only the first call has an effect.
pub(super) fn start(settings: &LogSettings) -> Level {
    let (filter, handle) = reload::Layer::new(settings.level);
    let lines = fmt::layer().with_writer(stderr).with_target(false);
    let registry = tracing_subscriber::registry().with(filter);
    let started = match settings.format {
        LogFormat::Text => registry.with(lines.with_ansi(stderr().is_terminal())).try_init(),
        LogFormat::Json => {
            registry.with(lines.json().flatten_event(true).with_ansi(false)).try_init()
        }
    };
    // A log that somebody else has set up before is as good as this one.
    started.unwrap_or_default();
    Level(handle)
}
