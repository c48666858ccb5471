//! Refresh: a longer life for an allocation, or none (RFC 8656 §8).

use crate::turn::{
    allocation::table::AllocationId,
    api::{
        now::Now,
        per_family::{Families, PerFamily},
        report::Cause,
    },
    method::request::{
        answer::{Answer, Refused},
        verified::Request,
    },
    server::Server,
};
use crate::wire::{ErrorCode, Family, Message};

impl Server {
    /// Answers a Refresh request.
    pub(in crate::turn) fn refresh(&mut self, request: &Request<'_>) -> Result<Answer, Refused> {
        let id = self.own_allocation(request)?;
        let asked_s = request.message.lifetime_s()?;
        let families = self.families(id, request)?;
        if asked_s == Some(0) {
            for family in families.iter() {
                self.end_family(request.now, id, family, Cause::Deleted);
            }
            return Ok(Answer::Refreshed { lifetime_s: 0 });
        }
        let lifetime_s = self.settings.lifetime_s(asked_s);
        self.extend(request.now, id, families, lifetime_s);
        Ok(Answer::Refreshed { lifetime_s })
    }

    /// The families a Refresh is about: the family it names, or all there are.
    fn families(&mut self, id: AllocationId, request: &Request<'_>) -> Result<Families, Refused> {
        let named = named_family(request.message)?;
        let allocation = self.allocations.at(id).ok_or(ErrorCode::AllocationMismatch)?;
        let present = PerFamily::from_fn(|family| {
            let wanted = named.is_none_or(|named| named == family);
            allocation.relay(family, request.now.mono_ms).filter(|_| wanted)
        });
        present.families().ok_or(Refused(ErrorCode::PeerAddressFamilyMismatch))
    }

    fn extend(&mut self, now: Now, id: AllocationId, families: Families, lifetime_s: u32) {
        let expires_ms = now.mono_ms + u64::from(lifetime_s) * 1000;
        if let Some(allocation) = self.allocations.at(id) {
            for family in families.iter() {
                if let Some(relayed) = allocation.relayed.get_mut(family) {
                    relayed.expires_ms = expires_ms;
                }
            }
        }
        self.rearm(now, id);
    }
}

/// REQUESTED-ADDRESS-FAMILY; a family that does not exist is none of the allocation's (443).
fn named_family(message: &Message<'_>) -> Result<Option<Family>, Refused> {
    match message.requested_family()? {
        Some(None) => Err(Refused(ErrorCode::PeerAddressFamilyMismatch)),
        Some(Some(family)) => Ok(Some(family)),
        None => Ok(None),
    }
}
