//! What the log is told of connections that are refused or closed for a fault.

use std::net::SocketAddr;

use crate::worker::{
    reactor::Worker,
    status::report::{Report, StreamRefused},
    stream::bounds::sources::SourceKey,
};
use crate::{
    io::Driver,
    stream::HangUp,
    turn::{Now, Transport},
};

impl<D: Driver> Worker<D> {
    /// Has the log hear of a connection that is closed for a fault, or refused.
    pub(in crate::worker::stream) fn tell_fault(
        &mut self,
        now: Now,
        client: SocketAddr,
        transport: Transport,
        reason: HangUp,
    ) {
        if !reason.is_fault() {
            return;
        }
        if matches!(reason, HangUp::SourceStreams | HangUp::SourceRate) {
            self.tell_refused_source(now);
            self.streams.refusals.count(now.mono_ms, SourceKey::of(client.ip()));
        }
        if let Some(left_out) = self.streams.refusals.admit(now.mono_ms) {
            let refused = StreamRefused { client, transport, reason, left_out };
            self.report(Report::StreamRefused(refused));
        }
    }

    /// Has the log hear of the source that was refused most, once its minute is over.
    pub(in crate::worker::stream) fn tell_refused_source(&mut self, now: Now) {
        if let Some(refused) = self.streams.refusals.most_refused(now.mono_ms) {
            self.report(Report::SourceRefused(refused));
        }
    }
}
