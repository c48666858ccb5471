//! Connections that the log hears of: those that were refused or closed for a fault. It hears of a
//! few each second, and once a minute of the source that opens most of those that are too many.

use std::collections::HashMap;

use crate::{
    turn::RefusalReports,
    worker::{status::report::SourceRefused, stream::bounds::sources::SourceKey},
};

/// How long refusals are counted by their source.
const COUNTED_MS: u64 = 60_000;
/// Sources that are counted at a time.
const MOST_SOURCES: usize = 256;

/// What was told this second, and who was refused this minute.
#[derive(Debug, Default)]
pub(in crate::worker::stream) struct StreamRefusals {
    reports: RefusalReports,
    /// When the sources are told of; `None` while none is refused.
    due_ms: Option<u64>,
    /// By source, at most so many too few as there were others between them.
    sources: HashMap<SourceKey, u64, foldhash::quality::RandomState>,
    /// All of them.
    refused: u64,
}

impl StreamRefusals {
    /// Lets the log hear of a connection, with the number of those left out before it.
    pub(super) fn admit(&mut self, now_ms: u64) -> Option<u64> {
        self.reports.admit(now_ms)
    }

    /// Counts a connection that its source may not have. Where too many sources are known, each
    /// loses one: whoever has most of all refusals is still there in the end.
    pub(super) fn count(&mut self, now_ms: u64, source: SourceKey) {
        self.due_ms.get_or_insert(now_ms + COUNTED_MS);
        self.refused += 1;
        if self.sources.len() >= MOST_SOURCES && !self.sources.contains_key(&source) {
            self.sources.retain(|_, count| {
                *count -= 1;
                *count > 0
            });
            return;
        }
        *self.sources.entry(source).or_default() += 1;
    }

    /// The source that was refused most in a minute that is over.
    pub(super) fn most_refused(&mut self, now_ms: u64) -> Option<SourceRefused> {
        self.due_ms.take_if(|due_ms| *due_ms <= now_ms)?;
        let refused = std::mem::take(&mut self.refused);
        let most = self.sources.drain().max_by_key(|(_, count)| *count);
        let (source, at_least) = most?;
        Some(SourceRefused { network: source.network(), at_least, refused })
    }

    /// When there is a source to tell of.
    pub(in crate::worker::stream) fn due_ms(&self) -> Option<u64> {
        self.due_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(n: u32) -> SourceKey {
        SourceKey::V4(n)
    }

    #[test]
    fn ten_a_second_are_told_and_the_next_one_says_how_many_were_not() {
        let mut refusals = StreamRefusals::default();
        let told = (0..100).filter(|_| refusals.admit(1_500).is_some()).count();
        assert_eq!(told, 10);
        assert_eq!(refusals.admit(2_000), Some(90));
        assert_eq!(refusals.admit(2_000), Some(0));
    }

    #[test]
    fn once_a_minute_the_source_that_is_refused_most_is_named_among_however_many() {
        let mut refusals = StreamRefusals::default();
        assert_eq!(refusals.due_ms(), None);
        for n in 0..10_000 {
            refusals.count(u64::from(n), source(n));
            refusals.count(u64::from(n), source(0x7f00_0001));
        }
        assert!(refusals.sources.len() <= MOST_SOURCES);
        assert_eq!(refusals.due_ms(), Some(COUNTED_MS));
        assert!(refusals.most_refused(COUNTED_MS - 1).is_none());
        let most = refusals.most_refused(COUNTED_MS).unwrap();
        assert_eq!(most.network, "127.0.0.1/32".parse().unwrap());
        assert_eq!(most.refused, 20_000);
        assert!(most.at_least > 9_000, "{}", most.at_least);
        assert_eq!(refusals.due_ms(), None, "nothing is left of it");
    }
}
