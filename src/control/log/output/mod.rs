//! Where log lines go: to standard error, as lines to read or as JSON objects. How many of them can
//! change while the server runs.

mod queue;

use std::fs::File;
use std::io::{self, Write, stderr};
use std::os::fd::AsFd;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt, reload};

use crate::control::config::{LogFormat, Values};
use crate::control::escape;
use crate::control::terminal::has_colours;
use queue::Queue;

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

/// The log of this process.
static QUEUE: OnceLock<Queue> = OnceLock::new();

/// Starts the log of this process. Only the first call has an effect.
///
/// # Errors
/// The system gives no thread, or no descriptor, to write it with.
pub(in crate::control) fn start(settings: &Values) -> io::Result<Level> {
    // A handle of its own: who writes to standard error otherwise does not wait for the log's
    // reader.
    let out = File::from(stderr().as_fd().try_clone_to_owned()?);
    let queue = Queue::start(out)?;
    let queue = QUEUE.get_or_init(|| queue);
    let (filter, handle) = reload::Layer::new(settings.log);
    let coloured = has_colours(&stderr());
    let form = Form::of(settings.log_format, coloured);
    let writer = move || Lines { form, put: |line| queue.put(line) };
    let lines = fmt::layer().with_writer(writer).with_target(false);
    let registry = tracing_subscriber::registry().with(filter);
    let started = match settings.log_format {
        LogFormat::Text => registry.with(lines.with_ansi(coloured)).try_init(),
        LogFormat::Json => {
            registry.with(lines.json().flatten_event(true).with_ansi(false)).try_init()
        }
    };
    // A log that somebody else has set up before is as good as this one.
    started.unwrap_or_default();
    Ok(Level(handle))
}

/// Waits until the log's reader has what was logged so far, but no longer than this. To be called
/// before the process ends.
pub(in crate::control) fn wait_until_written(within: Duration) {
    if let Some(queue) = QUEUE.get() {
        queue.wait_until_written(within);
    }
}

/// Counts the lines that were lost because nobody read them.
pub(in crate::control) fn lost() -> Arc<AtomicU64> {
    QUEUE.get().map(|queue| Arc::clone(queue.lost())).unwrap_or_default()
}

/// How a line looks.
#[derive(Clone, Copy, Debug)]
enum Form {
    Text,
    /// As text, with the escape sequences of the log itself; those in values are escaped already.
    Coloured,
    Json,
}

impl Form {
    fn of(format: LogFormat, coloured: bool) -> Self {
        match (format, coloured) {
            (LogFormat::Json, _) => Self::Json,
            (LogFormat::Text, true) => Self::Coloured,
            (LogFormat::Text, false) => Self::Text,
        }
    }

    /// One line, whatever stands in it, of characters that show themselves.
    fn line(self, text: &str) -> Vec<u8> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let shown = match self {
            Self::Text => escape::text(text),
            Self::Coloured => escape::coloured(text),
            Self::Json => escape::json(text),
        };
        [shown.as_bytes(), b"\n"].concat()
    }
}

/// Takes events, each of which comes as one write, and gives them on as lines.
struct Lines<Put> {
    form: Form,
    put: Put,
}

impl<Put: FnMut(Vec<u8>)> Write for Lines<Put> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        (self.put)(self.form.line(&String::from_utf8_lossy(event)));
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What stands in a log of its own, in one form or the other, after `work`.
#[cfg(test)]
pub(in crate::control) fn written(json: bool, work: impl FnOnce()) -> String {
    let paper = tests::Paper::default();
    let copy = paper.clone();
    let form = if json { Form::Json } else { Form::Text };
    let writer = move || {
        let mut paper = copy.clone();
        Lines { form, put: move |line: Vec<u8>| paper.add(&line) }
    };
    let lines = fmt().with_writer(writer).with_ansi(false);
    if json {
        tracing::subscriber::with_default(lines.json().flatten_event(true).finish(), work);
    } else {
        tracing::subscriber::with_default(lines.finish(), work);
    }
    paper.text()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use proptest::prelude::*;
    use tracing::info;

    use super::*;
    use crate::control::any_text::{any_text, is_forbidden};

    /// A log that can be read back.
    #[derive(Clone, Default)]
    pub(in crate::control) struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Paper {
        pub(in crate::control) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }

        pub(super) fn add(&mut self, bytes: &[u8]) {
            self.0.lock().unwrap().extend_from_slice(bytes);
        }
    }

    #[test]
    fn colours_are_the_logs_own() {
        let line = Form::Coloured.line("\x1b[32m INFO\x1b[0m user=\u{202E}x\n");
        assert_eq!(line, b"\x1b[32m INFO\x1b[0m user=\\u{202e}x\n");
    }

    proptest! {
        #[test]
        fn whatever_is_logged_is_one_line_of_plain_characters(any in any_text()) {
            for json in [false, true] {
                let log = written(json, || {
                    info!(user = &*any, path = %any, list = ?[&any], "{any}");
                });
                let line = log.strip_suffix('\n').unwrap();
                prop_assert!(!line.chars().any(is_forbidden), "{line:?}");
                if json {
                    let read: serde_json::Value = serde_json::from_str(line).unwrap();
                    prop_assert_eq!(&read["user"], &any);
                    prop_assert_eq!(&read["message"], &any);
                }
            }
        }
    }
}
