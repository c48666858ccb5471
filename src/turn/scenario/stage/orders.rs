//! What a server wants done with connections.

use crate::turn::api::{
    effect::Effect,
    names::{
        connection::{Connect, ConnectionId},
        path::Path,
    },
};

/// What was ordered, and not yet asked about, by worker.
#[derive(Debug, Default)]
pub(in crate::turn) struct StreamOrders {
    pub(in crate::turn) connects: Vec<(u8, Connect)>,
    pub(in crate::turn) told: Vec<(Path, Vec<u8>)>,
    pub(in crate::turn) joined: Vec<(u8, ConnectionId, Path)>,
    pub(in crate::turn) closed: Vec<(u8, ConnectionId)>,
}

impl StreamOrders {
    pub(super) fn carry_out(&mut self, worker: u8, effect: Effect) {
        match effect {
            Effect::Connect(connect) => self.connects.push((worker, connect)),
            Effect::Tell { path, message } => self.told.push((path, message.into())),
            Effect::Join { id, path } => self.joined.push((worker, id, path)),
            Effect::CloseConnection(id) => self.closed.push((worker, id)),
            other => panic!("not about a stream: {other:?}"),
        }
    }
}
