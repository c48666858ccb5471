//! Connections of clients and of peers.

use std::net::SocketAddr;

use super::{
    client::{Client, Heard},
    world::World,
};
use crate::turn::{
    REPLY_BYTES,
    allocation::Way,
    api::{
        names::connection::{ConnectionId, NotConnected},
        reason::Reason,
        verdict::Verdict,
    },
};
use crate::wire::{Class, Message, Method};

impl World {
    /// The connection of a client ends.
    pub(in crate::turn) fn disconnect(&mut self, who: Client) -> &mut World {
        let (now, flow) = (self.now(), who.path().flow);
        self.servers[usize::from(who.worker)].disconnected(now, flow);
        self.carry_out(who.worker, &mut Vec::new());
        self
    }

    /// Allocate with REQUESTED-TRANSPORT TCP.
    pub(in crate::turn) fn allocate_tcp(&mut self, who: Client) -> Heard {
        self.ask(who, Method::Allocate, |writer| _ = writer.requested_transport(6))
    }

    pub(in crate::turn) fn connect(&mut self, who: Client, peer: &str) -> Heard {
        self.ask(who, Method::Connect, |writer| _ = writer.xor_peer_address(peer.parse().unwrap()))
    }

    pub(in crate::turn) fn bind_connection(&mut self, who: Client, id: ConnectionId) -> Heard {
        self.ask(who, Method::ConnectionBind, |writer| _ = writer.connection_id(id.0))
    }

    /// As [`World::bind_connection`]; a connection that is to move is handed over to its worker.
    pub(in crate::turn) fn bind_anywhere(&mut self, who: Client, id: ConnectionId) -> Heard {
        let request = self.request(who, Method::ConnectionBind, |w| _ = w.connection_id(id.0));
        let heard = self.says(who, &request);
        let Verdict::Move(worker) = heard.verdict else { return heard };
        self.disconnect(who);
        self.arrives(who.on(worker.0), &request)
    }

    /// A client's connection comes from another worker with a request.
    pub(in crate::turn) fn arrives(&mut self, who: Client, request: &[u8]) -> Heard {
        let mut reply = vec![0; REPLY_BYTES];
        let (now, path) = (self.now(), who.path());
        let server = &mut self.servers[usize::from(who.worker)];
        let verdict = server.from_moved_client(now, path, request, &mut reply);
        self.carry_out(who.worker, &mut Vec::new());
        Heard::answer(verdict, &reply, request)
    }

    /// The connection of the one Connect that waits is made, or is not.
    pub(in crate::turn) fn connected(
        &mut self,
        outcome: Result<(), NotConnected>,
    ) -> Option<ConnectionId> {
        let (worker, connect) = self.streams.connects.pop().expect("a connect");
        let now = self.now();
        self.servers[usize::from(worker)].connected(now, connect.id, outcome);
        self.carry_out(worker, &mut Vec::new());
        self.told_connection()
    }

    /// A peer connects to a relayed address.
    pub(in crate::turn) fn peer_connects(
        &mut self,
        relayed: SocketAddr,
        peer: &str,
    ) -> Result<ConnectionId, Reason> {
        let (now, (worker, relay)) = (self.now(), self.relay_at(relayed));
        let server = &mut self.servers[usize::from(worker)];
        let taken = server.peer_connected(now, relay, peer.parse().unwrap());
        self.carry_out(worker, &mut Vec::new());
        taken
    }

    pub(in crate::turn) fn connection_closed(&mut self, id: ConnectionId) {
        let now = self.now();
        self.servers[usize::from(id.worker().0)].connection_closed(now, id);
        self.carry_out(id.worker().0, &mut Vec::new());
    }

    /// Bytes go through a connection; until when no more are to be read, from now on.
    pub(in crate::turn) fn relays(&mut self, id: ConnectionId, way: Way, bytes: usize) -> u64 {
        let now = self.now();
        let server = &mut self.servers[usize::from(id.worker().0)];
        server.relayed(now, id, way, bytes).map_or(0, |until_ms| until_ms - now.mono_ms)
    }

    /// The CONNECTION-ID of the message told last, which is taken; `None` for an error.
    pub(in crate::turn) fn told_connection(&mut self) -> Option<ConnectionId> {
        let (_, message) = self.streams.told.pop().expect("somebody was told");
        let message = Message::parse(&message).expect("a message");
        assert_eq!(message.class() == Class::Error, message.error_code().unwrap().is_some());
        message.connection_id().unwrap().map(ConnectionId)
    }

    /// The code of the message told last, which is taken; 200 when it is none.
    pub(in crate::turn) fn told_code(&mut self) -> u16 {
        let (_, message) = self.streams.told.pop().expect("somebody was told");
        Message::parse(&message).expect("a message").error_code().unwrap().unwrap_or(200)
    }

    /// A client with a TCP allocation that has a connection with [`super::world::PEER`], which
    /// waits to be bound.
    pub(in crate::turn) fn waiting_connection(&mut self, who: Client) -> ConnectionId {
        self.allocate_tcp(who).expect_success();
        assert_eq!(self.connect(who, super::world::PEER).verdict, Verdict::Pending);
        self.connected(Ok(())).expect("a connection")
    }
}
