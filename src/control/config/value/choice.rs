//! Values that are one of a few words.

use tracing::level_filters::LevelFilter;

use super::Value;
use crate::turn::OnReallocate;
use crate::wire::ChannelRange;
use crate::worker::Steering;

/// One of a few words.
trait Choice: Copy + PartialEq + Send + Sync + 'static {
    /// Every word and what it stands for; the first of one meaning is the one that is shown.
    const WORDS: &[(&str, Self)];
}

impl<T: Choice> Value for T {
    fn read(text: &str) -> Result<Self, String> {
        if let Some((_, value)) = T::WORDS.iter().find(|(word, _)| *word == text) {
            return Ok(*value);
        }
        let words: Vec<&str> = T::WORDS.iter().map(|(word, _)| *word).collect();
        Err(format!("'{text}' is not a choice: write one of {}", words.join(", ")))
    }

    fn written(&self) -> toml::Value {
        let word = T::WORDS.iter().find(|(_, value)| value == self).map(|(word, _)| *word);
        word.unwrap_or_default().into()
    }
}

/// Whether something is done; `on` or `off` (`true` or `false` in the file).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Switch(pub(crate) bool);

/// Which driver moves the packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IoChoice {
    /// io_uring, or no start.
    Uring,
    /// epoll, `recvmmsg` and `sendmmsg`.
    Portable,
    /// io_uring where the kernel allows it, else portable.
    #[default]
    Auto,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines to read.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl Choice for Switch {
    const WORDS: &[(&str, Self)] =
        &[("on", Self(true)), ("off", Self(false)), ("true", Self(true)), ("false", Self(false))];
}

impl Choice for ChannelRange {
    const WORDS: &[(&str, Self)] = &[("rfc8656", Self::Rfc8656), ("rfc5766", Self::Rfc5766)];
}

impl Choice for OnReallocate {
    const WORDS: &[(&str, Self)] = &[("refuse", Self::Refuse), ("replace", Self::Replace)];
}

impl Choice for IoChoice {
    const WORDS: &[(&str, Self)] =
        &[("uring", Self::Uring), ("portable", Self::Portable), ("auto", Self::Auto)];
}

impl Choice for Steering {
    const WORDS: &[(&str, Self)] = &[("hash", Self::Hash), ("cpu", Self::Cpu)];
}

impl Choice for LogFormat {
    const WORDS: &[(&str, Self)] = &[("text", Self::Text), ("json", Self::Json)];
}

impl Choice for LevelFilter {
    const WORDS: &[(&str, Self)] = &[
        ("off", Self::OFF),
        ("error", Self::ERROR),
        ("warn", Self::WARN),
        ("info", Self::INFO),
        ("debug", Self::DEBUG),
        ("trace", Self::TRACE),
    ];
}
