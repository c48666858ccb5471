//! What people hear: bytes as they are, answers, and of peers.

use std::{io::Read, net::SocketAddr};

use uturn::wire::{AttributeType, Class, Message};

use super::{Asked, Far, Known, end::Role};
use crate::{
    line::frames,
    machine::Adrift,
    scenario::{LOCAL_V4, ip},
    wires::Down,
};

impl Far {
    /// What workers have said reaches people, and connections that no driver has any more are over.
    pub(super) fn deliver(&mut self) {
        let mut machine = self.node.machine.lock();
        let mut down: Vec<_> = machine
            .sides
            .iter_mut()
            .flat_map(|side| std::mem::take(&mut side.wires.down))
            .collect();
        let is_closed = |_: &_, it: &mut Adrift| matches!((&it.end).read(&mut [0]), Ok(0));
        let closed: Vec<_> = machine.adrift.extract_if(.., is_closed).collect();
        drop(machine);
        down.extend(closed.into_iter().map(|(_, adrift)| (adrift.stream.client, Down::Over)));
        for (who, down) in down {
            let end = self.ends.get_mut(&who).expect("somebody");
            assert!(!end.is_closed, "{who}: {down:?} behind the end");
            match down {
                Down::Bytes(bytes) => {
                    assert!(!end.heard_end, "{who} hears more behind the end");
                    self.hear(who, &bytes);
                }
                Down::Fin => {
                    assert!(!std::mem::replace(&mut end.heard_end, true), "{who}: two ends");
                }
                Down::Over => {
                    (end.is_over, end.is_closed) = (true, true);
                    end.outbox.clear();
                    if end.role == Role::Control {
                        self.control_over_ms.get_or_insert(self.now_ms);
                    }
                }
            }
        }
    }

    pub(super) fn hear(&mut self, who: SocketAddr, bytes: &[u8]) {
        let end = self.ends.get_mut(&who).expect("somebody");
        if end.role == Role::Peer || end.is_bound {
            return end.heard.extend_from_slice(bytes);
        }
        end.unread.extend_from_slice(bytes);
        while let (Some(frame), rest) = first_frame(&self.ends[&who].unread) {
            let end = self.ends.get_mut(&who).expect("somebody");
            end.unread = rest;
            self.take(who, &frame);
            let end = self.ends.get_mut(&who).expect("somebody");
            if end.is_bound {
                end.heard = std::mem::take(&mut end.unread);
                return;
            }
        }
    }

    /// A client takes an answer, or hears of a peer.
    pub(super) fn take(&mut self, who: SocketAddr, frame: &[u8]) {
        let message = Message::parse(frame).expect("a message");
        let id = message.connection_id().expect("well-formed");
        if message.class() == Class::Indication {
            let peer = message.peer().expect("well-formed").expect("whose it is");
            let id = id.expect("its name");
            assert_eq!(self.ends[&peer].role, Role::Peer);
            return self.known.push(Known { id, peer, data: None });
        }
        let asked = self.asked.remove(&message.transaction().0);
        let asked = asked.expect("what was asked is answered once, and nothing else");
        match (asked, message.class()) {
            (Asked::Allocate, Class::Success) => {
                let relayed = message.xor_address(AttributeType::XOR_RELAYED_ADDRESS);
                let relayed = relayed.expect("well-formed").expect("where peers connect to");
                self.relayed = Some(SocketAddr::new(ip(LOCAL_V4), relayed.port()));
            }
            (Asked::Connect(peer), Class::Success) => {
                let id = id.expect("its name");
                self.known.push(Known { id, peer, data: None });
            }
            (Asked::Bind(data), Class::Success) => {
                assert_eq!(who, data, "the answer goes where the request came from");
                self.ends.get_mut(&who).expect("somebody").is_bound = true;
            }
            (_, Class::Success | Class::Error) => {}
            (_, class) => panic!("{class:?} is no answer"),
        }
    }
}

/// The first whole frame, and what is behind it.
fn first_frame(bytes: &[u8]) -> (Option<Vec<u8>>, Vec<u8>) {
    let first = frames(bytes).0.into_iter().next();
    let rest = bytes[first.as_ref().map_or(0, Vec::len)..].to_vec();
    (first, rest)
}
