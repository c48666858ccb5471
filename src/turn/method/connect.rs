//! Connect: a TCP connection to a peer (RFC 6062 §5.2). Two-phase: the answer is given when the
//! connection is there, or is not.
//!
//! The peer policy is asked as for a permission; a permission itself is not needed, because the
//! client says by the request whom it wants to talk to. A relay address of ours is reached where a
//! TCP relay listens and nowhere else, by what that one is bound to: behind a 1:1 NAT the
//! advertised address need not lead back here.

use std::net::SocketAddr;

use crate::turn::{
    allocation::{
        connections::{CONNECT_MS, ConnectionStage, PeerConnection, PendingConnect},
        permission::Reach,
        table::AllocationId,
    },
    api::{
        counters::QuotaHit,
        effect::Effect,
        names::{
            connection::{Connect, ConnectionId},
            identity::RelayId,
        },
        now::Now,
    },
    method::request::{
        answer::{Answer, Refused},
        verified::Request,
    },
    relay::peer::canonical,
    server::Server,
};
use crate::wire::{ErrorCode, Family, Fingerprint, Message};

impl Server {
    /// Answers a Connect request that cannot succeed, or lets it wait for its connection.
    pub(in crate::turn) fn connect(&mut self, request: &Request<'_>) -> Result<Answer, Refused> {
        if !self.settings.tcp_relay {
            return Err(Refused(ErrorCode::Forbidden));
        }
        let owner = self.own_allocation(request)?;
        let peer = peer(request.message)?;
        let relay = self.connecting_relay(owner, peer, request.now)?;
        let to = self.permit_connection(peer, relay)?;
        let id = self.connections.name(owner, &mut self.rng);
        let pending = PendingConnect {
            transaction: request.message.transaction(),
            fingerprint: request.message.fingerprint() == Fingerprint::Valid,
            key: request.authenticated.key().clone(),
        };
        let until_ms = request.now.mono_ms + CONNECT_MS;
        let stage = ConnectionStage::Connecting(Box::new(pending), until_ms);
        self.add_connection(request.now, owner, PeerConnection { id, peer, stage });
        self.ask_connection(id, relay, to);
        Ok(Answer::Later)
    }

    /// The relay that a connection to a peer leaves from: 403 for an allocation of datagrams, 443
    /// when it has no relayed address of the peer's family, 446 when there is a connection, 508
    /// when there are too many.
    fn connecting_relay(
        &mut self,
        owner: AllocationId,
        peer: SocketAddr,
        now: Now,
    ) -> Result<RelayId, Refused> {
        let allocation = self.allocations.at(owner).ok_or(ErrorCode::AllocationMismatch)?;
        let relay = allocation.relay(Family::of(peer.ip()), now.mono_ms);
        let connections = allocation.connections.as_ref().ok_or(ErrorCode::Forbidden)?;
        let relay = relay.ok_or(ErrorCode::PeerAddressFamilyMismatch)?;
        if connections.has_peer(peer) {
            return Err(Refused(ErrorCode::ConnectionAlreadyExists));
        }
        if connections.is_full() {
            self.counters.reach(QuotaHit::Connections);
            return Err(Refused(ErrorCode::InsufficientCapacity));
        }
        Ok(relay)
    }

    /// Where a connection to a peer goes: 403 unless it may be made, and for one to oneself
    /// or to what this process serves, whatever the operator allows.
    fn permit_connection(&self, peer: SocketAddr, from: RelayId) -> Result<SocketAddr, Refused> {
        let reach = self.permit(peer.ip())?;
        if self.settings.is_own_service(peer) {
            return Err(Refused(ErrorCode::Forbidden));
        }
        let ours = self.relays.tcp_relay(peer).map(|relay| relay.local);
        match (reach, ours) {
            (Reach::Outside, _) | (Reach::Neighbours, None) => Ok(peer),
            (Reach::Relays | Reach::Neighbours, Some(local))
                if local != self.relays.local(from) =>
            {
                Ok(local)
            }
            (Reach::Relays | Reach::Neighbours, _) => Err(Refused(ErrorCode::Forbidden)),
        }
    }

    fn ask_connection(&mut self, id: ConnectionId, relay: RelayId, peer: SocketAddr) {
        let local = self.relays.local(relay);
        self.effects.push_back(Effect::Connect(Connect { id, relay, local, peer }));
    }
}

/// XOR-PEER-ADDRESS, or 400.
fn peer(message: &Message<'_>) -> Result<SocketAddr, Refused> {
    let peer = message.peer()?.map(canonical).filter(|peer| peer.port() != 0);
    Ok(peer.ok_or(ErrorCode::BadRequest)?)
}
