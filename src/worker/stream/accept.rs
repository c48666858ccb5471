//! A new connection: what may come of it is bounded before anything is known of it.

use std::net::SocketAddr;

use crate::worker::{
    data::sockets::Acceptor,
    reactor::Worker,
    start::plan::ListenKind,
    stream::{bounds::sources::SourceKey, entry::Client},
};
use crate::{
    io::{AcceptorId, Driver, HangUpHow, StreamId},
    stream::{Connection, HangUp, ProxyRule, StreamPhase, StreamSetup},
    turn::{ListenerId, Now, Transport},
};

/// Who has connected, and where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Accepted {
    pub(super) acceptor: AcceptorId,
    pub(super) peer: SocketAddr,
    pub(super) local: SocketAddr,
}

impl<D: Driver> Worker<D> {
    /// Takes a connection, unless its source has too many. Of those without credentials the oldest
    /// makes room for it.
    pub(super) fn on_accepted(&mut self, now: Now, stream: StreamId, accepted: Accepted) {
        if self.ends_at_ms.is_some() {
            return self.refuse(stream, HangUp::ServerEnds);
        }
        let (listener, kind) = match self.sockets.acceptor(accepted.acceptor) {
            Some(Acceptor::Listener(listener, kind)) => (listener, kind),
            Some(Acceptor::Relay(relay)) => {
                return self.on_peer_accepted(now, stream, relay, accepted.peer);
            }
            None => return self.refuse(stream, HangUp::ServerEnds),
        };
        let client = self.admitted(now, accepted, listener, kind);
        match client {
            Ok(client) => {
                self.streams.counters.accepted += 1;
                self.streams.insert(stream, client);
                self.streams.settle(stream);
                if let Some(oldest) = self.streams.stranger_too_many() {
                    self.hang_up(now, oldest, HangUp::Displaced, HangUpHow::Reset);
                }
            }
            Err(reason) => {
                let transport = match kind {
                    ListenKind::TlsStreams => Transport::Tls,
                    ListenKind::Streams | ListenKind::Datagrams => Transport::Tcp,
                };
                self.tell_fault(now, accepted.peer, transport, reason);
                self.refuse(stream, reason);
            }
        }
    }

    fn admitted(
        &mut self,
        now: Now,
        accepted: Accepted,
        listener: ListenerId,
        kind: ListenKind,
    ) -> Result<Client, HangUp> {
        let Accepted { peer, local, .. } = accepted;
        let rules = &self.streams.rules;
        let proxy = rules.proxy(peer.ip());
        let connection = Connection::new(
            now.mono_ms,
            StreamSetup {
                peer,
                local,
                proxy,
                only_tls: kind == ListenKind::TlsStreams,
                tls: rules.tls.as_ref(),
                web: rules.web.as_ref(),
                limits: rules.limits,
            },
        );
        let mut client = Client::new(connection, listener, peer, now.mono_ms);
        if proxy == ProxyRule::Refused {
            let source = SourceKey::of(peer.ip());
            self.admit_source(now, source)?;
            client.source = Some(source);
        }
        Ok(client)
    }

    /// Counts a connection that came through a balancer as its client's, once that is known.
    pub(super) fn admit_behind_proxy(&mut self, now: Now, stream: StreamId) -> Result<(), HangUp> {
        let Some(client) = self.streams.client(stream) else { return Ok(()) };
        let (peer, claimed) = (client.peer, client.connection.client());
        let is_known =
            claimed.ip() != peer.ip() || client.connection.phase() != StreamPhase::Opening;
        if client.source.is_some() || !is_known {
            return Ok(());
        }
        let source = SourceKey::of(claimed.ip());
        self.admit_source(now, source)?;
        if let Some(client) = self.streams.client(stream) {
            client.source = Some(source);
        }
        Ok(())
    }

    /// Counts one more connection of a source. Where that has as many without credentials as it
    /// may have, one that has had time to show some makes room: whoever opens connections and says
    /// nothing does not keep his neighbours behind the same address out.
    fn admit_source(&mut self, now: Now, source: SourceKey) -> Result<(), HangUp> {
        let limits = self.streams.rules.of_a_source;
        self.streams.sources.admit(now.mono_ms, source, limits)?;
        if self.streams.sources.has_too_many_strangers(source, limits) {
            let Some(overdue) = self.streams.overdue_stranger(now.mono_ms, source) else {
                self.streams.sources.leave(now.mono_ms, source, true);
                return Err(HangUp::SourceStreams);
            };
            self.hang_up(now, overdue, HangUp::Displaced, HangUpHow::Reset);
        }
        Ok(())
    }

    fn refuse(&mut self, stream: StreamId, reason: HangUp) {
        self.streams.counters.count(reason);
        self.streams.refuse(stream);
        self.driver.hang_up(stream, HangUpHow::Reset);
    }
}
