//! Bursts through connections: whole, in order, and never waited for.
//!
//! A burst that finds room is taken whole; what of it the kernel does not take at once follows when
//! there is room again. A burst that comes before that is blocked: the server, or the way to it,
//! does not keep up, and a client of an open loop has nowhere to put it.

use std::{io, time::Duration};

use crate::{
    fault::Fault,
    offer::{packet::Packet, schedule::Burst},
    rig::framing::Framing,
    socket::{HEAD_BYTES, Poller},
    stream::Connection,
};

/// What became of a burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piped {
    Sent,
    /// An earlier burst still waits for room.
    Blocked {
        /// This is not the first that finds it so.
        again: bool,
    },
    /// The connection has ended.
    Broken,
}

/// How it stands with the connection of one flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pipe {
    Open,
    Full { is_told: bool },
    Broken,
}

/// The connections that the flows of one thread send through.
pub(crate) struct Pipes {
    /// By flow.
    pipes: Vec<Pipe>,
    full: usize,
    poller: Poller,
    ready: Vec<u64>,
    /// The burst that is being written, and where its messages end.
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

/// Who sends, and what the packets say.
#[derive(Clone, Copy)]
pub(crate) struct From<'a> {
    pub(crate) flow: usize,
    pub(crate) connection: &'a Connection,
    pub(crate) framing: &'a Framing,
    /// Of the first packet of the burst.
    pub(crate) first: Packet,
}

impl Pipes {
    pub(crate) fn new(flows: usize) -> Result<Pipes, Fault> {
        let poller = Poller::new().map_err(|error| Fault::io("create an epoll", error))?;
        Ok(Pipes {
            pipes: vec![Pipe::Open; flows],
            full: 0,
            poller,
            ready: Vec::new(),
            bytes: Vec::new(),
            ends: Vec::new(),
        })
    }

    /// True while something waits for room.
    pub(crate) fn is_waiting(&self) -> bool {
        self.full > 0
    }

    /// Sends a burst, all or nothing.
    pub(crate) fn send(&mut self, burst: &Burst, from: From<'_>) -> Result<Piped, Fault> {
        match self.pipes[from.flow] {
            Pipe::Open => {}
            Pipe::Full { is_told } => {
                self.pipes[from.flow] = Pipe::Full { is_told: true };
                return Ok(Piped::Blocked { again: is_told });
            }
            Pipe::Broken => return Ok(Piped::Broken),
        }
        self.write(burst, from);
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        let messages = begins.zip(&self.ends).map(|(begin, end)| &self.bytes[begin..*end]);
        let sent = from.connection.send(messages);
        self.note(from.flow, from.connection, &sent)?;
        Ok(if self.pipes[from.flow] == Pipe::Broken { Piped::Broken } else { Piped::Sent })
    }

    /// Goes on with what waits, where there is room now.
    pub(crate) fn flush<'a>(
        &mut self,
        connection: impl Fn(usize) -> Option<&'a Connection>,
    ) -> Result<(), Fault> {
        if self.full == 0 {
            return Ok(());
        }
        let ready = self.poller.wait(Duration::ZERO);
        self.ready.clear();
        self.ready.extend(ready.map_err(|error| Fault::io("wait for room to send", error))?);
        for at in 0..self.ready.len() {
            let flow = self.ready[at] as usize;
            let Some(connection) = connection(flow) else { continue };
            self.full -= 1;
            self.pipes[flow] = Pipe::Open;
            self.note(flow, connection, &connection.flush())?;
        }
        Ok(())
    }

    fn note(
        &mut self,
        flow: usize,
        connection: &Connection,
        sent: &io::Result<bool>,
    ) -> Result<(), Fault> {
        match sent {
            Ok(true) => {}
            Ok(false) => {
                self.pipes[flow] = Pipe::Full { is_told: false };
                self.full += 1;
                let waits = self.poller.await_room(connection, flow as u64);
                waits.map_err(|error| Fault::io("watch a connection", error))?;
            }
            // The receiving side tells why.
            Err(_) => self.pipes[flow] = Pipe::Broken,
        }
        Ok(())
    }

    /// Writes the messages of a burst one behind the other.
    fn write(&mut self, burst: &Burst, from: From<'_>) {
        self.bytes.clear();
        self.ends.clear();
        let mut head = [0; HEAD_BYTES];
        for at in 0..burst.packets {
            let is_last = at + 1 == burst.packets;
            let payload_bytes = if is_last { burst.last_bytes } else { burst.payload_bytes };
            let sequence = from.first.sequence + u64::from(at);
            let packet = Packet { payload_bytes, sequence, ..from.first };
            let head_bytes = from.framing.write(&packet, &mut head);
            self.bytes.extend_from_slice(&head[..head_bytes]);
            self.bytes.extend_from_slice(packet.body());
            let pad_bytes = from.framing.pad_bytes(usize::from(payload_bytes));
            self.bytes.resize(self.bytes.len() + pad_bytes, 0);
            self.ends.push(self.bytes.len());
        }
    }
}
