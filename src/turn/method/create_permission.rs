//! CreatePermission: which peers may reach a client, all of those named or none (RFC 8656 §10).

use std::net::{IpAddr, SocketAddr};

use crate::turn::{
    allocation::{permission::Reach, table::AllocationId},
    api::{counters::QuotaHit, now::Now},
    method::request::{
        answer::{Answer, Refused},
        verified::Request,
    },
    policy::Judgement,
    relay::peer::canonical,
    server::Server,
};
use crate::wire::{ErrorCode, Family};

impl Server {
    /// Answers a CreatePermission request.
    pub(in crate::turn) fn create_permission(
        &mut self,
        request: &Request<'_>,
    ) -> Result<Answer, Refused> {
        let id = self.own_allocation(request)?;
        let peers = request.message.peers().collect::<Result<Vec<SocketAddr>, _>>()?;
        if peers.is_empty() {
            return Err(Refused(ErrorCode::BadRequest));
        }
        let mut permitted = Vec::with_capacity(peers.len());
        for peer in peers {
            let ip = canonical(peer).ip();
            self.require_family(id, ip, request.now)?;
            permitted.push((ip, self.permit(ip)?));
        }
        self.install(id, permitted, request.now)?;
        Ok(Answer::Done)
    }

    /// 443 unless the allocation has a relayed address of the peer's family (RFC 8656 §10.2).
    pub(in crate::turn) fn require_family(
        &mut self,
        id: AllocationId,
        peer: IpAddr,
        now: Now,
    ) -> Result<(), Refused> {
        let allocation = self.allocations.at(id).ok_or(ErrorCode::AllocationMismatch)?;
        let relay = allocation.relay(Family::of(peer), now.mono_ms);
        relay.map(|_| ()).ok_or(Refused(ErrorCode::PeerAddressFamilyMismatch))
    }

    /// Asks the policy, once for the life of a permission: 403 unless the address may be reached.
    /// A relay address of ours may, whatever the built-in default says, because behind its live
    /// ports are clients. A deny entry of the operator always wins.
    pub(in crate::turn) fn permit(&self, peer: IpAddr) -> Result<Reach, Refused> {
        let is_relay = self.relays.is_relay_address(peer);
        match self.settings.policy.judge(peer) {
            Judgement::Allowed if is_relay => Ok(Reach::Neighbours),
            Judgement::Allowed => Ok(Reach::Outside),
            Judgement::DeniedByDefault if is_relay => Ok(Reach::Relays),
            Judgement::DeniedByDefault | Judgement::DeniedExplicitly => {
                Err(Refused(ErrorCode::Forbidden))
            }
        }
    }

    /// Installs permissions, all or, when there is no room for them, none (508).
    pub(in crate::turn) fn install(
        &mut self,
        id: AllocationId,
        mut permitted: Vec<(IpAddr, Reach)>,
        now: Now,
    ) -> Result<(), Refused> {
        let limit = usize::from(self.settings.permissions_per_allocation);
        let allocation = self.allocations.at(id).ok_or(ErrorCode::AllocationMismatch)?;
        permitted.sort_unstable_by_key(|(peer, _)| *peer);
        permitted.dedup_by_key(|(peer, _)| *peer);
        let permissions = &mut allocation.permissions;
        permissions.purge(now.mono_ms);
        let new = permitted.iter().filter(|(peer, _)| !permissions.holds(*peer)).count();
        if new > 0 && permissions.count() + new > limit {
            self.counters.reach(QuotaHit::Permissions);
            return Err(Refused(ErrorCode::InsufficientCapacity));
        }
        for (peer, _) in permitted.iter().filter(|(peer, _)| !permissions.holds(*peer)) {
            allocation.peers.record(*peer);
        }
        permissions.install(&permitted, now.mono_ms);
        self.rearm(now, id);
        Ok(())
    }
}
