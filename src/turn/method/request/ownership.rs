//! The allocation that a request is about.

use crate::turn::{
    allocation::table::AllocationId,
    api::{names::identity::FiveTuple, now::Now, report::Cause},
    method::request::{answer::Refused, verified::Request},
    server::Server,
};
use crate::wire::ErrorCode;

impl Server {
    /// The allocation of a five-tuple, if it lives; one whose time is over ends here.
    pub(in crate::turn) fn live_allocation(
        &mut self,
        now: Now,
        flow: FiveTuple,
    ) -> Option<AllocationId> {
        let id = self.allocations.find(flow)?;
        if self.allocations.at(id)?.is_live(now.mono_ms) {
            return Some(id);
        }
        self.end_allocation(now, id, Cause::Expired);
        None
    }

    /// The allocation a request is about: 437 when there is none, 441 when it is somebody else's
    /// (RFC 8656 §5).
    pub(in crate::turn) fn own_allocation(
        &mut self,
        request: &Request<'_>,
    ) -> Result<AllocationId, Refused> {
        let id = self.live_allocation(request.now, request.path.flow);
        let id = id.ok_or(ErrorCode::AllocationMismatch)?;
        let user = self.allocations.at(id).map(|allocation| &*allocation.owner.user);
        if user == Some(request.authenticated.user()) {
            Ok(id)
        } else {
            Err(Refused(ErrorCode::WrongCredentials))
        }
    }
}
