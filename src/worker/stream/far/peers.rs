//! Connections to peers (RFC 6062), as the state machine orders them.

use std::{io, net::SocketAddr};

use crate::worker::{
    reactor::Worker,
    stream::entry::{Far, FarPurpose},
};
use crate::{
    io::{Driver, HangUpHow, Remote, StreamId},
    stream::FrameKind,
    turn::{Connect, ConnectionId, NotConnected, Now, Path, RelayId},
};

impl<D: Driver> Worker<D> {
    /// Connects to a peer from a relayed address.
    pub(in crate::worker) fn connect_peer(&mut self, now: Now, connect: &Connect) {
        let Connect { id, local, peer, .. } = *connect;
        match self.connect_far(Remote::Tcp { from: Some(local), to: peer }) {
            // The state machine has a clock of its own for it.
            Ok(stream) => {
                let far = Far::new(FarPurpose::Peer(id), u64::MAX);
                self.streams.insert_far(stream, far);
            }
            Err(_) => {
                self.streams.counters.pipes.connects_failed += 1;
                self.server.connected(now, id, Err(NotConnected));
            }
        }
    }

    /// Connects a far side, if there may be one more.
    pub(super) fn connect_far(&mut self, remote: Remote<'_>) -> io::Result<StreamId> {
        if !self.streams.has_far_place() {
            return Err(io::Error::from_raw_os_error(libc::EMFILE));
        }
        self.driver.connect(remote)
    }

    /// A connection that was asked for is there.
    pub(in crate::worker::stream) fn on_connected(&mut self, now: Now, stream: StreamId) {
        let Some(far) = self.streams.far(stream) else { return };
        far.is_connected = true;
        far.due_ms = u64::MAX;
        let client = far.client;
        match far.purpose {
            FarPurpose::Peer(id) => {
                self.streams.counters.pipes.connects_made += 1;
                self.pause(stream, None);
                self.server.connected(now, id, Ok(()));
                self.carry_out(now);
            }
            FarPurpose::Web => {
                self.streams.counters.pipes.web_made += 1;
                // Whom it lets in is the backend's to say: he is no stranger here.
                client.into_iter().for_each(|client| self.streams.authenticated(client));
                self.write_far(now, stream);
            }
        }
    }

    /// A peer has connected to a relayed address. It is not read before it has a client.
    pub(in crate::worker::stream) fn on_peer_accepted(
        &mut self,
        now: Now,
        stream: StreamId,
        relay: RelayId,
        peer: SocketAddr,
    ) {
        let named =
            self.streams.has_far_place().then(|| self.server.peer_connected(now, relay, peer));
        match named {
            Some(Ok(id)) => {
                self.streams.counters.pipes.peers_taken += 1;
                let far = Far::connected(FarPurpose::Peer(id));
                self.streams.insert_far(stream, far);
                self.pause(stream, None);
            }
            Some(Err(_)) | None => {
                self.streams.counters.pipes.peers_refused += 1;
                self.streams.refuse(stream);
                self.driver.hang_up(stream, HangUpHow::Reset);
            }
        }
        self.carry_out(now);
    }

    /// Sends a whole message to a client.
    pub(in crate::worker) fn tell_client(&mut self, now: Now, path: Path, message: &[u8]) {
        let Some(stream) = self.streams.of(path.flow) else { return };
        self.queue_frame(now, stream, FrameKind::Answer, [message, &[], &[]]);
    }

    /// Has a client's connection and a peer's belong together. Bytes pass once the client has its
    /// answer.
    pub(in crate::worker) fn join(&mut self, now: Now, id: ConnectionId, path: Path) {
        let far = self.streams.connection(id);
        let client = self.streams.of(path.flow);
        match (client, far) {
            (Some(client), Some(far)) => {
                self.streams.authenticated(client);
                if let Some(client) = self.streams.client(client) {
                    client.far = Some(far);
                }
            }
            (_, Some(far)) => self.drop_far(now, far),
            (_, None) => self.server.connection_closed(now, id),
        }
    }

    /// Ends a connection to a peer, and that of its client.
    pub(in crate::worker) fn close_connection(&mut self, now: Now, id: ConnectionId) {
        let Some(stream) = self.streams.connection(id) else { return };
        let Some(far) = self.streams.take_far(stream) else { return };
        self.driver.hang_up(stream, HangUpHow::Close);
        self.part_from(now, &far);
    }
}
