//! Where log lines go: to standard error, as lines to read or as JSON objects. How many of them can
//! change while the server runs.

use std::io::{IsTerminal, stderr};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt, reload};

use crate::control::config::{LogFormat, LogSettings};

/// The level of a log that runs.
#[derive(Clone, Debug)]
pub(in crate::control) struct Level(reload::Handle<LevelFilter, Registry>);

impl Level {
    /// The level of no log at all.
    #[cfg(test)]
    pub(in crate::control) fn detached() -> Self {
        Self(reload::Layer::new(LevelFilter::OFF).1)
    }

    /// Logs from now on what is at least as important as this.
    pub(in crate::control) fn set(&self, level: LevelFilter) {
        // The log lives as long as the process; a test may have another one.
        self.0.reload(level).unwrap_or_default();
    }
}

/// Starts the log of this process. Only the first call has an effect.
pub(in crate::control) fn start(settings: &LogSettings) -> Level {
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

/// What stands in a log of its own, in one form or the other, after `work`.
#[cfg(test)]
pub(in crate::control) fn written(json: bool, work: impl FnOnce()) -> String {
    let paper = tests::Paper::default();
    let copy = paper.clone();
    let lines = fmt().with_writer(move || copy.clone()).with_ansi(false);
    if json {
        tracing::subscriber::with_default(lines.json().flatten_event(true).finish(), work);
    } else {
        tracing::subscriber::with_default(lines.finish(), work);
    }
    paper.text()
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    /// A log that can be read back.
    #[derive(Clone, Default)]
    pub(in crate::control) struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Paper {
        pub(in crate::control) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}
