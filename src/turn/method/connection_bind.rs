//! ConnectionBind: a connection of the client becomes one with a peer connection (RFC 6062 §5.4).
//!
//! It comes on a connection of its own, which any worker may have accepted. Only the worker that
//! has the allocation can judge it, so that connection goes there as a whole, the request still
//! unanswered, and neither worker has to wait for the other.

use crate::turn::{
    allocation::{connections::ConnectionStage, table::AllocationId},
    api::{
        effect::Effect,
        names::{connection::ConnectionId, identity::WorkerIndex, path::Path},
        now::Now,
        verdict::Verdict,
    },
    auth::nonce::NonceState,
    method::request::{
        answer::{Answer, Refused},
        verified::Request,
    },
    server::Server,
};
use crate::wire::{ErrorCode, Message, Method};

impl Server {
    /// Judges the ConnectionBind of a connection that another worker has handed over after
    /// [`Verdict::Move`]. It is not handed on again.
    pub fn from_moved_client(
        &mut self,
        now: Now,
        path: Path,
        request: &[u8],
        reply: &mut [u8],
    ) -> Verdict {
        self.stream_strangers.settle(path.flow);
        self.from_client(now, path, request, 1, reply)
    }

    /// Answers a ConnectionBind request; with 403 where the settings have come to allow none.
    pub(in crate::turn) fn connection_bind(
        &mut self,
        request: &Request<'_>,
    ) -> Result<Answer, Refused> {
        if !self.settings.tcp_relay {
            return Err(Refused(ErrorCode::Forbidden));
        }
        let Request { now, path, message, authenticated } = request;
        let is_fresh = path.transport.is_stream()
            && self.live_allocation(*now, path.flow).is_none()
            && self.pending_allocates.transaction(path.flow).is_none();
        let id = ConnectionId(message.connection_id()?.ok_or(ErrorCode::BadRequest)?);
        let owner = self.connections.find(id).filter(|_| is_fresh);
        let allocation = owner.and_then(|owner| self.allocations.at(owner));
        // Whose it is, only its owner is told.
        let allocation = allocation.filter(|allocation| {
            allocation.is_live(now.mono_ms) && *allocation.owner.user == *authenticated.user()
        });
        let connections = allocation.and_then(|allocation| allocation.connections.as_mut());
        let connection = connections.and_then(|connections| connections.get_mut(id));
        let connection = connection.filter(|connection| {
            matches!(connection.stage, ConnectionStage::Waiting(until_ms) if until_ms > now.mono_ms)
        });
        connection.ok_or(ErrorCode::BadRequest)?.stage = ConnectionStage::Bound;
        self.counters.connections_bound += 1;
        self.effects.push_back(Effect::Join { id, path: *path });
        Ok(Answer::Done)
    }

    /// The worker that a connection with a ConnectionBind goes to, if it is another one. A stranger
    /// cannot send his connection around: he has been challenged before, and goes once.
    pub(in crate::turn) fn connection_owner(
        &mut self,
        now: Now,
        path: Path,
        message: &Message<'_>,
    ) -> Option<WorkerIndex> {
        let is_fresh = message.method() == Method::ConnectionBind
            && path.transport.is_stream()
            && self.settings.tcp_relay
            && message.has_integrity()
            && !self.stream_strangers.is_settled(path.flow)
            && self.allocations.find(path.flow).is_none()
            && self.pending_allocates.transaction(path.flow).is_none();
        let id = ConnectionId(message.connection_id().ok()?.filter(|_| is_fresh)?);
        let nonce = message.nonce()?;
        let authenticator = &self.settings.authenticator;
        let is_good =
            authenticator.judge_nonce(now, path.nonce_address(), nonce) == NonceState::Good;
        let is_other = id.worker() != self.shard.worker && self.shard.ports.has_worker(id.worker());
        (is_good && is_other).then_some(id.worker())
    }

    /// The allocation whose connection a ConnectionBind names: its user's key is good for that,
    /// too, as on the control connection.
    pub(in crate::turn) fn named_allocation(&self, message: &Message<'_>) -> Option<AllocationId> {
        if message.method() != Method::ConnectionBind {
            return None;
        }
        self.connections.find(ConnectionId(message.connection_id().ok()??))
    }
}
