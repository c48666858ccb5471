//! ChannelBind: four bytes in front of a payload instead of 36 or 48 (RFC 8656 §12).

use std::net::SocketAddr;

use crate::turn::{
    allocation::{permission::Reach, table::AllocationId},
    api::counters::QuotaHit,
    method::request::{
        answer::{Answer, Refused},
        verified::Request,
    },
    ports::relays::RelayTarget,
    relay::peer::canonical,
    server::Server,
};
use crate::wire::{ChannelNumber, ErrorCode, Message};

impl Server {
    /// Answers a ChannelBind request. A binding installs or refreshes the permission of its peer
    /// (RFC 8656 §12.2). A TCP allocation has no channels (403): data connections take their place.
    pub(in crate::turn) fn channel_bind(
        &mut self,
        request: &Request<'_>,
    ) -> Result<Answer, Refused> {
        let id = self.own_allocation(request)?;
        if self.allocations.at(id).is_some_and(|allocation| allocation.connections.is_some()) {
            return Err(Refused(ErrorCode::Forbidden));
        }
        let (number, peer) = self.wanted(request.message)?;
        self.require_family(id, peer.ip(), request.now)?;
        let reach = self.permit_socket(peer)?;
        self.make_room(id, number, peer, request.now.mono_ms)?;
        self.install(id, vec![(peer.ip(), reach)], request.now)?;
        if let Some(allocation) = self.allocations.at(id) {
            allocation.channels.bind(number, peer, request.now.mono_ms);
        }
        self.rearm(request.now, id);
        Ok(Answer::Done)
    }

    /// As [`Server::permit`], and for a relay address that the policy closes the port counts, too:
    /// only one of the relay range can ever lead anywhere.
    fn permit_socket(&self, peer: SocketAddr) -> Result<Reach, Refused> {
        let reach = self.permit(peer.ip())?;
        let outside = self.relays.target(peer) == RelayTarget::Outside;
        if reach == Reach::Relays && outside {
            return Err(Refused(ErrorCode::Forbidden));
        }
        Ok(reach)
    }

    /// 400 when number or peer is bound to something else, 508 when no more may be bound.
    fn make_room(
        &mut self,
        id: AllocationId,
        number: ChannelNumber,
        peer: SocketAddr,
        now_ms: u64,
    ) -> Result<(), Refused> {
        let limit = usize::from(self.settings.channels_per_allocation);
        let allocation = self.allocations.at(id).ok_or(ErrorCode::AllocationMismatch)?;
        allocation.channels.purge(now_ms);
        let bound = allocation.channels.fits(number, peer);
        let bound = bound.map_err(|_| ErrorCode::BadRequest)?;
        if !bound && allocation.channels.count() >= limit {
            self.counters.reach(QuotaHit::Channels);
            return Err(Refused(ErrorCode::InsufficientCapacity));
        }
        Ok(())
    }

    /// Both halves, well-formed, or 400 (RFC 8656 §12.2).
    fn wanted(&self, message: &Message<'_>) -> Result<(ChannelNumber, SocketAddr), Refused> {
        let range = self.settings.channel_numbers;
        let number = message.channel_number()?.and_then(|n| ChannelNumber::new(n, range));
        let peer = message.peer()?.map(canonical).filter(|peer| peer.port() != 0);
        Ok((number.ok_or(ErrorCode::BadRequest)?, peer.ok_or(ErrorCode::BadRequest)?))
    }
}
