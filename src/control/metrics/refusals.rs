//! What clients asked for and did not get, by reason: what an operator looks at first when
//! somebody cannot connect.
//!
//! A first request without credentials and a nonce that was too old are how every client begins and
//! goes on: they are no refusals.

use crate::turn::{METHODS, QuotaHit, Refusal, ReplyKind};
use crate::wire::ErrorCode;
use crate::worker::Snapshot;

/// Every reason that requests are refused for, and how many were so far.
pub(in crate::control) fn refusals(
    snapshot: &Snapshot,
) -> impl Iterator<Item = (&'static str, u64)> {
    let turn = &snapshot.turn;
    let peers = METHODS.iter().map(|method| turn.errors(*method, ErrorCode::Forbidden)).sum();
    let strangers = ReplyKind::ALL.iter().map(|kind| turn.refused_replies(*kind)).sum();
    let logins = [
        ("wrong_credentials", turn.refusals(Refusal::WrongCredentials)),
        ("incomplete_credentials", turn.refusals(Refusal::Incomplete)),
        ("foreign_nonce", turn.refusals(Refusal::ForeignNonce)),
        ("denied_peer", peers),
        ("stranger_reply_bytes", strangers),
    ];
    let quotas = QuotaHit::ALL.iter().map(|quota| (named(*quota), turn.quota_hits(*quota)));
    logins.into_iter().chain(quotas)
}

/// As the option is called that sets the limit, where there is one.
fn named(quota: QuotaHit) -> &'static str {
    match quota {
        QuotaHit::User => "user_quota",
        QuotaHit::Total => "total_quota",
        QuotaHit::Permissions => "permission_quota",
        QuotaHit::Channels => "channel_quota",
        QuotaHit::Ports => "no_relay_port",
        QuotaHit::PendingAllocates => "too_many_pending",
        QuotaHit::Connections => "too_many_connections",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::sampler::snapshot;
    use super::*;

    #[test]
    fn each_reason_stands_once() {
        let snapshot = snapshot(0, 0);
        let names: Vec<_> = refusals(&snapshot).map(|(name, _)| name).collect();
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
        assert_eq!(names.len(), 5 + QuotaHit::ALL.len());
    }
}
