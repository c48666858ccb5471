//! Answers that were left out and of which nobody has been told.
//!
//! An interval begins with the first of them, and a timer ends it: a flood is told of while it is
//! news, however short it was. Who is named is found by vote in two counts and one name: whoever
//! asked for more than half of what was left out wins.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{kind::ReplyKind, network::network};
use crate::turn::api::{now::Now, report::StrangersRefused};

/// How often one worker says that strangers are refused.
const INTERVAL_MS: u64 = 10_000;

/// What was left out in one interval.
#[derive(Debug)]
pub(super) struct Untold {
    network: IpNet,
    kind: ReplyKind,
    /// Of that kind to that network, since it was named.
    answers: u64,
    others: u64,
    /// By how many more than all others it asked, at least.
    votes: u64,
    pub(super) due_ms: u64,
}

impl Untold {
    /// Begins an interval.
    pub(super) fn begin(now: Now, ip: IpAddr, kind: ReplyKind, answers: u64) -> Untold {
        let due_ms = now.mono_ms + INTERVAL_MS;
        Untold { network: network(ip), kind, answers, others: 0, votes: answers, due_ms }
    }

    /// Counts more of them.
    pub(super) fn add(&mut self, ip: IpAddr, kind: ReplyKind, answers: u64) {
        if self.kind == kind && self.network.contains(&ip) {
            self.answers += answers;
            self.votes += answers;
        } else if let Some(votes) = self.votes.checked_sub(answers) {
            self.others += answers;
            self.votes = votes;
        } else {
            let others = self.others + self.answers;
            let votes = answers - self.votes;
            *self = Untold { network: network(ip), kind, answers, others, votes, ..*self };
        }
    }

    /// What is told.
    pub(super) fn told(&self) -> StrangersRefused {
        let Untold { network, kind, answers, others, .. } = *self;
        StrangersRefused { network, kind, answers, others }
    }
}
