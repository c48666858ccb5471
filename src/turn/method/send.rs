//! Send: a payload for a peer without a channel (RFC 8656 §11.2). An indication: never answered.

use std::{net::SocketAddr, ops::Range};

use crate::turn::{
    api::{names::identity::FiveTuple, now::Now, reason::Reason, verdict::Verdict},
    method::request::attributes::is_unknown,
    relay::{payload::ToPeerPayload, peer::canonical},
    server::Server,
};
use crate::wire::{AttributeType, Message};

impl Server {
    /// Relays the payload of a Send indication.
    pub(in crate::turn) fn send(
        &mut self,
        now: Now,
        flow: FiveTuple,
        message: &Message<'_>,
    ) -> Verdict {
        let Some(outgoing) = outgoing(message) else { return Verdict::Drop(Reason::BadSend) };
        let Some(id) = self.allocations.find(flow) else {
            return Verdict::Drop(Reason::NoAllocation);
        };
        if self.allocations.at(id).is_some_and(|allocation| allocation.connections.is_some()) {
            return Verdict::Drop(Reason::TcpAllocation);
        }
        self.towards_peer(now, id, outgoing)
    }
}

/// Peer and payload, in one walk over the attributes; `None` when one of them is missing or an
/// attribute is not understood (RFC 8489 §6.3.2).
fn outgoing(message: &Message<'_>) -> Option<ToPeerPayload> {
    let mut payload: Option<Range<usize>> = None;
    let mut dont_fragment = false;
    for attribute in message.attributes() {
        match attribute.kind {
            AttributeType::DATA if payload.is_none() => {
                let begin = attribute.offset + 4;
                payload = Some(begin..begin + attribute.value.len());
            }
            AttributeType::DONT_FRAGMENT => dont_fragment = true,
            kind if is_unknown(kind) => return None,
            _ => {}
        }
    }
    let peer: SocketAddr = message.peer().ok()??;
    Some(ToPeerPayload { peer: canonical(peer), payload: payload?, frames: 1, dont_fragment })
}
