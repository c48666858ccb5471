//! Peer connections from their beginning to their end (RFC 6062 §5.2, §5.3, §5.5).

use std::net::SocketAddr;

use crate::turn::{
    allocation::{
        Allocation, Way,
        connections::{BIND_MS, ConnectionStage, PeerConnection, PendingConnect},
        permission::Reach,
        table::AllocationId,
    },
    api::{
        effect::Effect,
        names::{
            connection::{ConnectionId, NotConnected},
            identity::RelayId,
            path::Path,
        },
        now::Now,
        reason::Reason,
        report::{Cause, Load},
        verdict::Verdict,
    },
    method::request::answer::{Answer, Envelope},
    relay::peer::canonical,
    server::Server,
};
use crate::wire::{Class, ErrorCode, Family, MessageWriter, Method};

/// Bytes that a ConnectionAttempt fits in, and every answer to a Connect.
const MESSAGE_BYTES: usize = 256;

impl Server {
    /// Goes on with a Connect: its connection was made, or was not. The answer is an
    /// [`Effect::Tell`].
    pub fn connected(&mut self, now: Now, id: ConnectionId, outcome: Result<(), NotConnected>) {
        let Some(owner) = self.connections.find(id) else { return };
        if outcome.is_err() {
            if let Some(failed) = self.forget_connection(owner, id) {
                self.answer_failed(now, owner, failed);
            }
            return;
        }
        let Some(connection) = self.connection(owner, id) else { return };
        let ConnectionStage::Connecting(pending, _) = &connection.stage else { return };
        let pending = pending.clone();
        connection.stage = ConnectionStage::Waiting(now.mono_ms + BIND_MS);
        self.answer_connect(now, owner, &pending, &Answer::Connected(id));
        self.rearm(now, owner);
    }

    /// Takes a connection that a peer has made to a relay that listens; the client is told with an
    /// [`Effect::Tell`].
    ///
    /// # Errors
    /// Why the connection is to be closed at once: the peer has no permission, the allocation has
    /// as many connections as it may, or the relay no longer listens.
    pub fn peer_connected(
        &mut self,
        now: Now,
        relay: RelayId,
        peer: SocketAddr,
    ) -> Result<ConnectionId, Reason> {
        let taken = self.take_peer_connection(now, relay, canonical(peer));
        if let Err(reason) = taken {
            self.counters.drop(reason);
        }
        taken
    }

    /// Forgets a peer connection that is closed, and the client's with it: either side has ended,
    /// or both. Not for those that [`Effect::CloseConnection`] was about.
    pub fn connection_closed(&mut self, now: Now, id: ConnectionId) {
        let Some(owner) = self.connections.find(id) else { return };
        if let Some(closed) = self.forget_connection(owner, id) {
            self.answer_failed(now, owner, closed);
        }
    }

    /// Counts bytes that went through a bound connection. Nothing of a stream can be dropped, so
    /// what keeps it within the limits of its allocation is the caller: until the moment returned
    /// ([`Now::mono_ms`]), the side that the bytes came from is not to be read.
    pub fn relayed(&mut self, now: Now, id: ConnectionId, way: Way, bytes: usize) -> Option<u64> {
        let limits = self.settings.limits;
        let allocation = self.allocations.at(self.connections.find(id)?)?;
        let load = Load { packets: 0, bytes: bytes as u64 };
        let (meter, traffic, counter) = match way {
            Way::ToPeers => (
                &mut allocation.meters.to_peers,
                &mut allocation.traffic.to_peers,
                &mut self.counters.to_peers,
            ),
            Way::ToClient => (
                &mut allocation.meters.to_client,
                &mut allocation.traffic.to_client,
                &mut self.counters.to_clients,
            ),
        };
        *traffic += load;
        *counter += load;
        let wait_ms = meter.charge(limits, now.mono_ms, bytes);
        (wait_ms > 0).then(|| now.mono_ms + wait_ms)
    }

    fn take_peer_connection(
        &mut self,
        now: Now,
        relay: RelayId,
        peer: SocketAddr,
    ) -> Result<ConnectionId, Reason> {
        let owner = self.relays.listening(relay).ok_or(Reason::NoRelay)?;
        // A relay of ours connects from what it is bound to and is known by what is advertised.
        let ours = self.relays.tcp_relay(peer);
        let peer = ours.map_or(peer, |relay| relay.advertised);
        let allocation = self.allocations.at(owner).ok_or(Reason::NoRelay)?;
        let is_live = allocation.relay(Family::of(peer.ip()), now.mono_ms).is_some();
        if !is_live || !self.settings.tcp_relay {
            return Err(Reason::NoRelay);
        }
        match allocation.permissions.reach(peer.ip(), now.mono_ms) {
            Some(Reach::Outside | Reach::Neighbours) => {}
            Some(Reach::Relays) if ours.is_some() => {}
            Some(Reach::Relays) => return Err(Reason::OwnPeer),
            None => return Err(Reason::NoPermission),
        }
        if allocation.connections.as_ref().is_none_or(|connections| connections.is_full()) {
            return Err(Reason::TooManyConnections);
        }
        let path = allocation.path;
        let id = self.connections.name(owner, &mut self.rng);
        let stage = ConnectionStage::Waiting(now.mono_ms + BIND_MS);
        self.add_connection(now, owner, PeerConnection { id, peer, stage });
        self.tell_attempt(path, id, peer);
        Ok(id)
    }

    /// Adds a connection to an allocation that has room for it.
    pub(in crate::turn) fn add_connection(
        &mut self,
        now: Now,
        owner: AllocationId,
        connection: PeerConnection,
    ) {
        let Some(allocation) = self.allocations.at(owner) else { return };
        // A peer that may connect to the client was recorded with its permission.
        if !allocation.permissions.holds(connection.peer.ip()) {
            allocation.peers.record(connection.peer.ip());
        }
        if let Some(connections) = allocation.connections.as_mut() {
            connections.push(connection);
            self.counters.connections_live += 1;
        }
        self.rearm(now, owner);
    }

    /// Closes those of an allocation's connections that are meant.
    pub(in crate::turn) fn close_connections(
        &mut self,
        now: Now,
        owner: AllocationId,
        is_meant: impl Fn(&PeerConnection) -> bool,
    ) {
        let allocation = self.allocations.at(owner);
        let connections = allocation.and_then(|allocation| allocation.connections.as_mut());
        for closed in connections.map_or(Vec::new(), |connections| connections.take(is_meant)) {
            self.close_connection(&closed);
            self.answer_failed(now, owner, closed);
        }
    }

    /// Closes the connections to peers that the policy denies by now.
    pub(in crate::turn) fn close_denied_connections(&mut self, now: Now, owner: AllocationId) {
        let is_denied = |server: &Server, peer: SocketAddr| server.permit(peer.ip()).is_err();
        let allocation = self.allocations.look_at(owner);
        let connections = allocation.and_then(|allocation| allocation.connections.as_ref());
        let Some(connections) = connections else { return };
        let denied = Vec::from_iter(connections.peers().filter(|peer| is_denied(self, *peer)));
        self.close_connections(now, owner, |connection| denied.contains(&connection.peer));
    }

    /// Closes every connection of an allocation that ends (RFC 6062 §5.5). A Connect that waits is
    /// answered, unless nobody is there to hear it.
    pub(in crate::turn) fn end_connections(
        &mut self,
        now: Now,
        allocation: &mut Allocation,
        cause: Cause,
    ) {
        let connections = allocation.connections.take();
        for closed in connections.map_or(Vec::new(), |mut all| all.take(|_| true)) {
            self.close_connection(&closed);
            if let (ConnectionStage::Connecting(pending, _), true) =
                (closed.stage, cause != Cause::Disconnected)
            {
                let failed = Answer::Error(ErrorCode::ConnectionFailed);
                let (path, user) = (allocation.path, &allocation.owner.user);
                self.tell_answer(now, path, user, &pending, &failed);
            }
        }
    }

    fn close_connection(&mut self, connection: &PeerConnection) {
        self.connections.forget(connection.id);
        self.counters.connections_live -= 1;
        self.effects.push_back(Effect::CloseConnection(connection.id));
    }

    /// Takes out a connection that is gone.
    fn forget_connection(
        &mut self,
        owner: AllocationId,
        id: ConnectionId,
    ) -> Option<PeerConnection> {
        self.connections.forget(id);
        let removed = self.allocations.at(owner)?.connections.as_mut()?.remove(id)?;
        self.counters.connections_live -= 1;
        Some(removed)
    }

    fn connection(&mut self, owner: AllocationId, id: ConnectionId) -> Option<&mut PeerConnection> {
        self.allocations.at(owner)?.connections.as_mut()?.get_mut(id)
    }

    /// Answers the Connect of a connection that failed, if one waits for it.
    fn answer_failed(&mut self, now: Now, owner: AllocationId, failed: PeerConnection) {
        if let ConnectionStage::Connecting(pending, _) = failed.stage {
            let failed = Answer::Error(ErrorCode::ConnectionFailed);
            self.answer_connect(now, owner, &pending, &failed);
        }
    }

    fn answer_connect(
        &mut self,
        now: Now,
        owner: AllocationId,
        pending: &PendingConnect,
        answer: &Answer,
    ) {
        let Some(allocation) = self.allocations.look_at(owner) else { return };
        let (path, user) = (allocation.path, allocation.owner.user.clone());
        self.tell_answer(now, path, &user, pending, answer);
    }

    fn tell_answer(
        &mut self,
        now: Now,
        path: Path,
        user: &str,
        pending: &PendingConnect,
        answer: &Answer,
    ) {
        self.tell_error(now, path, user, Method::Connect, answer);
        let envelope = Envelope {
            now,
            path,
            method: Method::Connect,
            transaction: pending.transaction,
            fingerprint: pending.fingerprint,
            key: Some(&pending.key),
        };
        let mut message = [0; MESSAGE_BYTES];
        if let Verdict::Reply(bytes) = self.write(&envelope, answer, &mut message) {
            self.effects.push_back(Effect::Tell { path, message: message[..bytes].into() });
        }
    }

    /// ConnectionAttempt: who has connected, and by which name (RFC 6062 §5.3).
    fn tell_attempt(&mut self, path: Path, id: ConnectionId, peer: SocketAddr) {
        let mut message = [0; MESSAGE_BYTES];
        let (method, transaction) = (Method::ConnectionAttempt, self.rng.indication());
        let mut writer = MessageWriter::new(&mut message, method, Class::Indication, transaction);
        let written = writer.connection_id(id.0).xor_peer_address(peer).finish();
        let bytes = written.expect("an indication with two short attributes has room");
        self.effects.push_back(Effect::Tell { path, message: message[..bytes].into() });
    }
}
