//! What befalls connections.

use super::{client::Client, world::World};

impl World {
    /// The connection of a client ends.
    pub(in crate::turn) fn disconnect(&mut self, who: Client) -> &mut World {
        let (now, flow) = (self.now(), who.path().flow);
        self.servers[usize::from(who.worker)].disconnected(now, flow);
        self.carry_out(who.worker, &mut Vec::new());
        self
    }
}
