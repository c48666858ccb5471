//! The first look at a request: whether a stranger sent it, and whether he is answered at all.
//!
//! A flood brings millions of requests a second, and all of them share the time of the worker with
//! everybody else's. So the budget is asked before a request is checked: what comes first is the
//! header, whether the five-tuple has an allocation, and whether the request bears a nonce that was
//! given to its address. No FINGERPRINT, no attribute list, no password is looked at for a request
//! that is refused, and no answer is written.

use crate::turn::{
    api::{
        names::{identity::FiveTuple, path::Path},
        now::Now,
        reason::Reason,
        report::Report,
    },
    auth::{
        nonce::NonceState,
        reply_budget::{Admitted, kind::ReplyKind},
    },
    server::Server,
};
use crate::wire::{Class, Glance, Method};

impl Server {
    /// Asks the budget about a request of a stranger. `Ok(None)` for anything else, which is not
    /// limited, or not answered; and for a stream, whose source is not forged and which has a limit
    /// of its own.
    pub(in crate::turn) fn first_look(
        &mut self,
        now: Now,
        path: Path,
        datagram: &[u8],
    ) -> Result<Option<Admitted>, Reason> {
        let flow = path.flow;
        // The class comes first: an indication brings payload, and pays for no look at the table.
        let Some(request) = request(datagram) else { return Ok(None) };
        if self.allocations.find(flow).is_some() {
            return Ok(None);
        }
        if path.transport.is_stream() {
            return self.stream_strangers.admit(flow).map(|()| None);
        }
        let Some(kind) = self.answer_to_stranger(now, flow, request) else { return Ok(None) };
        self.admit_stranger(now, flow, kind).map(Some)
    }

    /// Refuses the requests at the start of a train for which the budget says no without a look,
    /// and says how many these are. Asked after a request of that train was refused with
    /// [`Reason::ReplyBudget`]; the rest of the train is to be judged one by one.
    pub fn refuse_alike(
        &mut self,
        now: Now,
        path: Path,
        train: &[u8],
        segment_bytes: usize,
    ) -> usize {
        let mut refused = [0; ReplyKind::ALL.len()];
        for datagram in train.chunks(segment_bytes.max(1)) {
            let Some(request) = request(datagram) else { break };
            let Some(kind) = self.answer_to_stranger(now, path.flow, request) else { break };
            if !self.budget.refuses_next(now, path.client(), kind, &mut self.rng) {
                break;
            }
            refused[kind as usize] += 1;
        }
        for (kind, answers) in ReplyKind::ALL.into_iter().zip(refused) {
            self.refuse_stranger(now, path.flow, kind, answers);
        }
        let refused = refused.iter().sum();
        self.counters.drop_run(Reason::ReplyBudget, refused);
        refused
    }

    /// Asks the budget for one answer of a kind.
    pub(in crate::turn) fn admit_stranger(
        &mut self,
        now: Now,
        flow: FiveTuple,
        kind: ReplyKind,
    ) -> Result<Admitted, Reason> {
        let admitted = self.budget.admit(now, flow.client, kind, &mut self.rng);
        if admitted.is_none() {
            self.refuse_stranger(now, flow, kind, 1);
        }
        admitted.ok_or(Reason::ReplyBudget)
    }

    fn refuse_stranger(&mut self, now: Now, flow: FiveTuple, kind: ReplyKind, answers: usize) {
        if answers == 0 {
            return;
        }
        self.counters.refuse_replies(kind, answers);
        self.budget.refuse(now, flow.client, kind, answers as u64);
    }

    /// Reports what has been refused, if that is due by then.
    pub(in crate::turn) fn tell_refused_strangers(&mut self, now_ms: u64) {
        if let Some(told) = self.budget.tell(now_ms) {
            self.reports.push_back(Report::StrangersRefused(told));
        }
    }

    /// The kind of answer that a request gets which proves nothing; `None` for any other request.
    fn answer_to_stranger(
        &self,
        now: Now,
        flow: FiveTuple,
        request: Glance<'_>,
    ) -> Option<ReplyKind> {
        match request.method {
            Method::Binding => return Some(ReplyKind::Binding),
            Method::Allocate | Method::Refresh | Method::CreatePermission | Method::ChannelBind => {
            }
            Method::Connect | Method::ConnectionBind if self.settings.tcp_relay => {}
            Method::Connect
            | Method::ConnectionBind
            | Method::ConnectionAttempt
            | Method::Send
            | Method::Data
            | Method::Unknown(_) => return None,
        }
        let shown = request.credentials();
        match (shown.has_integrity, shown.nonce) {
            (false, _) => Some(ReplyKind::Challenge),
            (true, None) => Some(ReplyKind::Error),
            (true, Some(nonce)) => {
                match self.settings.authenticator.judge_nonce(now, flow.client, nonce) {
                    NonceState::Foreign => Some(ReplyKind::Challenge),
                    NonceState::Good | NonceState::Expired => None,
                }
            }
        }
    }
}

/// A datagram that is a request, as far as its header says.
fn request(datagram: &[u8]) -> Option<Glance<'_>> {
    Glance::of(datagram).ok().filter(|glance| glance.class == Class::Request)
}
