//! The state machine of one worker: dispatch, and nothing else.

use std::{collections::VecDeque, net::SocketAddr, sync::Arc};

use super::{
    Counters, Effect, FiveTuple, NotReserved, Now, Outcome, PendingId, Reason, Redeemed, RelayId,
    Settings, Shard, ToClient, Undelivered, Verdict, WorkerIndex,
};

/// One worker's TURN server.
pub struct Server {
    settings: Arc<Settings>,
    shard: Shard,
    counters: Counters,
    effects: VecDeque<Effect>,
}

impl Server {
    /// Begins with no allocation. `seed` is the only chance there is: 32 bytes from the kernel's
    /// generator, different in every worker.
    pub fn new(settings: Arc<Settings>, shard: Shard, seed: [u8; 32]) -> Server {
        let _ = seed;
        Server { settings, shard, counters: Counters::default(), effects: VecDeque::new() }
    }

    /// Judges a datagram that came to a listener. It is only read, because it may be one segment of
    /// a train that others share; an answer goes into `reply`, which the caller keeps for all of
    /// them ([`REPLY_BYTES`](super::REPLY_BYTES) are always enough).
    pub fn from_client(
        &mut self,
        now: Now,
        flow: FiveTuple,
        datagram: &[u8],
        reply: &mut [u8],
    ) -> Verdict {
        let _ = (now, flow, datagram, reply, &self.settings, &self.shard);
        Verdict::Drop(Reason::NotStun)
    }

    /// Judges a datagram, or a train of `segments` equal ones with `payload_bytes` together, that
    /// came to a relay socket.
    pub fn from_peer(
        &mut self,
        now: Now,
        relay: RelayId,
        peer: SocketAddr,
        payload_bytes: usize,
        segments: usize,
    ) -> Result<ToClient, Reason> {
        let _ = (now, relay, peer, payload_bytes, segments);
        Err(Reason::NoRelay)
    }

    /// Judges a hairpin payload that another worker handed over.
    pub fn from_worker(
        &mut self,
        now: Now,
        from: SocketAddr,
        to: SocketAddr,
        payload_bytes: usize,
    ) -> Result<ToClient, Undelivered> {
        let _ = (now, from, to, payload_bytes);
        Err(Undelivered::Drop(Reason::HairpinNoAllocation))
    }

    /// Goes on with an Allocate once the world has answered; the answer in `reply` goes to the flow
    /// the effect named.
    ///
    /// Says [`Verdict::Reply`], or [`Verdict::Pending`] when another port is tried, or
    /// [`Verdict::Drop`].
    pub fn complete(
        &mut self,
        now: Now,
        pending: PendingId,
        outcome: Outcome<'_>,
        reply: &mut [u8],
    ) -> Verdict {
        let _ = (now, pending, outcome, reply);
        Verdict::Drop(Reason::NotPending)
    }

    /// Gives a reserved port to the worker that asks with its token. The socket behind
    /// [`Redeemed::relay`] moves there, and the name is free here at once.
    pub fn redeem(
        &mut self,
        now: Now,
        token: [u8; 8],
        user: &str,
        worker: WorkerIndex,
    ) -> Result<Redeemed, NotReserved> {
        let _ = (now, token, user, worker);
        Err(NotReserved)
    }

    /// Takes back a port that another worker had borrowed and whose socket is gone.
    pub fn returned(&mut self, local: SocketAddr) {
        let _ = local;
    }

    /// Frees the port of a closed relay: the kernel has let go of it.
    pub fn released(&mut self, relay: RelayId) {
        let _ = relay;
    }

    /// Takes the oldest effect. Drained after every call that takes `&mut self`.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When [`Server::advance`] has something to do, in [`Now::mono_ms`]; `None` while idle.
    pub fn next_deadline(&self) -> Option<u64> {
        None
    }

    /// Ends what is over.
    pub fn advance(&mut self, now: Now) {
        let _ = now;
    }

    /// Ends every allocation and reservation, for the log's sake, before the process ends.
    pub fn shut_down(&mut self, now: Now) {
        let _ = now;
    }

    /// What happened so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}
