//! One log line a minute about everything that was dropped, however much it was.
//!
//! What strangers send must not decide how much is logged: workers count, once a minute they are
//! asked, and what has changed is one line.

use std::collections::BTreeMap;

use tracing::info;

use super::totals::drops;
use crate::worker::Snapshot;

/// The counts of the last time, summed over the workers.
#[derive(Debug, Default)]
pub(in crate::control) struct Drops {
    last: BTreeMap<&'static str, u64>,
}

impl Drops {
    /// Logs what the workers dropped since the last time, if anything.
    pub(in crate::control) fn log(&mut self, snapshots: &[Snapshot]) {
        let reasons = self.since_last(snapshots.iter().flat_map(drops));
        if !reasons.is_empty() {
            info!(reasons, "datagrams dropped");
        }
    }

    /// Compares with the last time. A worker that did not answer makes a sum fall; it is then
    /// missing in this line and its drops are in the next one.
    fn since_last(&mut self, counts: impl Iterator<Item = (&'static str, u64)>) -> String {
        let mut sums = BTreeMap::new();
        for (reason, packets) in counts {
            *sums.entry(reason).or_insert(0) += packets;
        }
        let mut words = Vec::new();
        for (reason, sum) in sums {
            let last = self.last.entry(reason).or_default();
            if sum > *last {
                words.push(format!("{reason} {}", sum - *last));
                *last = sum;
            }
        }
        words.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::Drops;

    #[test]
    fn a_line_has_what_is_new_in_all_workers_together() {
        let mut drops = Drops::default();
        let mut line = |counts: &[(&'static str, u64)]| drops.since_last(counts.iter().copied());
        assert_eq!(line(&[("no_cookie", 0), ("no_cookie", 0)]), "");
        assert_eq!(
            line(&[("no_cookie", 2), ("bad_send", 1), ("no_cookie", 1)]),
            "bad_send 1, no_cookie 3"
        );
        assert_eq!(line(&[("no_cookie", 2), ("bad_send", 1), ("no_cookie", 1)]), "");
        assert_eq!(line(&[("no_cookie", 2)]), "");
        assert_eq!(line(&[("no_cookie", 5), ("no_cookie", 1)]), "no_cookie 3");
    }
}
