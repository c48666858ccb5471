//! One stream of a client, from its accept to its close.
//!
//! ```text
//!            ┌─▶ Hello ─▶ Handshake ─┐
//! Proxy ─▶ First ◀───────────────────┘        First inside TLS: nothing but STUN
//!            ├─▶ Web                          bytes as they are
//!            └─▶ Turn ─▶ Held ─▶ Data         frames, then a peer's bytes (RFC 6062)
//!                                             Draining, from any: the last words, and the end
//! ```
//!
//! Law: what arrives means the same however it is cut. Up to `Turn` all bytes go through the
//! carry, which is judged as a whole each time.

mod deadline;
mod outcome;
mod output;
mod receive;
#[cfg(test)]
mod tests;

use std::{fmt, net::SocketAddr, sync::Arc};

use super::{
    choice::WebNames,
    egress::{Egress, FrameKind, QueueMemory, Queued},
    hang_up::HangUp,
    limits::{FIRST_MS, PROXY_MS, StreamLimits},
    tls::{Handshake, Tls, TlsContext},
};

pub use outcome::{FillOutcome, Next, Then};

/// What is known of a stream at its accept.
#[derive(Debug, Clone, Copy)]
pub struct StreamSetup<'a> {
    /// Who connected.
    pub peer: SocketAddr,
    /// The address it connected to.
    pub local: SocketAddr,
    /// What a PROXY header in front is.
    pub proxy: ProxyRule,
    /// Clear text is refused.
    pub only_tls: bool,
    /// Certificates, where TLS is served.
    pub tls: Option<&'a Arc<TlsContext>>,
    /// Names of the web backend, where there is one.
    pub web: Option<&'a Arc<WebNames>>,
    /// Delay and bytes of what waits for the client.
    pub limits: StreamLimits,
}

/// What a PROXY header in front of a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyRule {
    /// The source is a balancer, which always sends one.
    Required,
    /// Anybody may connect, and nobody may say to be another.
    Refused,
}

/// What a stream carries, by what it has shown so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamPhase {
    /// It has not shown what it is, or its handshake is not over.
    Opening,
    /// Frames.
    Turn,
    /// A peer's bytes (RFC 6062).
    Data,
    /// A browser's bytes, for the web backend.
    Web,
    /// The last words are written; nothing that comes counts.
    Draining,
}

/// How a client's frames travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKind {
    /// In clear text.
    Tcp,
    /// Inside TLS.
    Tls,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Proxy,
    First,
    Hello,
    Handshake,
    Turn,
    Held,
    Data,
    Web,
    Draining(HangUp),
}

/// Whether this side says that it sends no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finish {
    Open,
    Wanted,
    Said,
}

/// One client's stream. It owns no socket and no buffer while nothing waits, and may move to
/// another thread at any time.
pub struct Connection {
    stage: Stage,
    client: SocketAddr,
    server: SocketAddr,
    only_tls: bool,
    /// Until the ClientHello has been judged.
    context: Option<Arc<TlsContext>>,
    /// Until the stream has shown what it is.
    web: Option<Arc<WebNames>>,
    tls: Option<Box<Tls>>,
    /// What has come and is not used: raw up to `Hello`, plaintext from then on.
    carry: Vec<u8>,
    egress: Egress,
    limits: StreamLimits,
    finish: Finish,
    /// One of the two directions of raw bytes is over.
    is_half_closed: bool,
    has_allocation: bool,
    wants_step: bool,
    accepted_ms: u64,
    /// When frames could first come.
    turn_ms: u64,
    stage_deadline_ms: u64,
    frame_deadline_ms: u64,
    write_deadline_ms: u64,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Connection { stage, client, .. } = self;
        f.debug_struct("Connection").field("stage", stage).field("client", client).finish()
    }
}

impl Connection {
    /// Begins a stream that has just been accepted.
    pub fn new(now_ms: u64, setup: StreamSetup<'_>) -> Connection {
        let (stage, deadline_ms) = match setup.proxy {
            ProxyRule::Required => (Stage::Proxy, now_ms + PROXY_MS),
            ProxyRule::Refused => (Stage::First, now_ms + FIRST_MS),
        };
        Connection {
            stage,
            client: canonical(setup.peer),
            server: canonical(setup.local),
            only_tls: setup.only_tls,
            context: setup.tls.cloned(),
            web: setup.web.cloned(),
            tls: None,
            carry: Vec::new(),
            egress: Egress::default(),
            limits: setup.limits,
            finish: Finish::Open,
            is_half_closed: false,
            has_allocation: false,
            wants_step: false,
            accepted_ms: now_ms,
            turn_ms: now_ms,
            stage_deadline_ms: deadline_ms,
            frame_deadline_ms: u64::MAX,
            write_deadline_ms: u64::MAX,
        }
    }

    /// The client: the source of the PROXY header where there is one.
    pub fn client(&self) -> SocketAddr {
        self.client
    }

    /// The address the client connected to: the destination of the PROXY header where there is one.
    pub fn server(&self) -> SocketAddr {
        self.server
    }

    /// How frames travel; final from [`StreamPhase::Turn`] on.
    pub fn transport(&self) -> StreamKind {
        if self.tls.is_some() { StreamKind::Tls } else { StreamKind::Tcp }
    }

    /// What it carries.
    pub fn phase(&self) -> StreamPhase {
        match self.stage {
            Stage::Proxy | Stage::First | Stage::Hello | Stage::Handshake => StreamPhase::Opening,
            Stage::Turn | Stage::Held => StreamPhase::Turn,
            Stage::Data => StreamPhase::Data,
            Stage::Web => StreamPhase::Web,
            Stage::Draining(_) => StreamPhase::Draining,
        }
    }

    /// True while a ConnectionBind request waits for `go_on`: reading more only fills the carry.
    pub fn is_held(&self) -> bool {
        self.stage == Stage::Held
    }

    /// True when bytes of a TLS handshake wait for [`Connection::step`].
    pub fn wants_step(&self) -> bool {
        self.wants_step
    }

    /// What the TLS handshake came to; `None` until it is over, and for TCP.
    pub fn handshake(&self) -> Option<Handshake> {
        self.tls.as_ref()?.handshake()
    }

    /// Queues a frame for the client; the parts are written in a row and padded to 4 bytes. The
    /// queue's memory comes from the worker's, and goes back there.
    ///
    /// # Errors
    /// [`HangUp::TooManyAnswers`] for a client that asks and does not read.
    pub fn queue(
        &mut self,
        now_ms: u64,
        kind: FrameKind,
        parts: [&[u8]; 3],
        memory: &mut QueueMemory,
    ) -> Result<Queued, HangUp> {
        match self.stage {
            Stage::Draining(_) => Ok(Queued::default()),
            _ => self.egress.queue(now_ms, kind, parts, self.limits, memory),
        }
    }

    /// Queues raw bytes, of a peer (RFC 6062) or of the web backend, behind all that waits. None
    /// are dropped: whoever sends them is to be read no further while the answer says so.
    pub fn queue_data(&mut self, bytes: &[u8], memory: &mut QueueMemory) -> Queued {
        match self.stage {
            Stage::Draining(_) => Queued::default(),
            _ => self.egress.queue_raw(bytes, memory),
        }
    }

    /// Plaintext bytes that wait to be written.
    pub fn waiting_bytes(&self) -> usize {
        self.egress.waiting_bytes()
    }

    /// Bytes of memory that the queues take, used or not.
    pub fn queue_memory_bytes(&self) -> usize {
        self.egress.memory_bytes()
    }

    /// Drops the oldest media until the queues take `most_bytes` of memory; returns how many
    /// frames. For a worker whose streams together take more than they may.
    pub fn shed(&mut self, most_bytes: usize, memory: &mut QueueMemory) -> u32 {
        self.egress.shed(most_bytes, memory)
    }

    /// Bytes of buffers, used or not.
    #[cfg(test)]
    pub(in crate::stream) fn buffer_bytes(&self) -> usize {
        let of_tls = self.tls.as_ref().map_or(0, |tls| tls.buffer_bytes());
        of_tls + self.carry.capacity() + self.queue_memory_bytes()
    }

    /// Begins the end: answers that wait are still written, then TLS's close_notify, then
    /// [`Then::HangUp`]. A second reason changes nothing.
    pub fn drain(&mut self, now_ms: u64, reason: HangUp) {
        if matches!(self.stage, Stage::Draining(_)) {
            return;
        }
        self.enter(now_ms, Stage::Draining(reason));
        self.egress.drop_media();
        self.carry = Vec::new();
        self.wants_step = false;
    }

    /// Says that nothing follows what waits: of a peer or web backend that sends no more.
    pub fn finish(&mut self, now_ms: u64) {
        if self.finish == Finish::Open {
            self.finish = Finish::Wanted;
            self.half_close(now_ms);
        }
    }

    /// Tells what the FIN of the client means, after all its bytes: `None` where the other
    /// direction may go on.
    pub fn finished(&mut self, now_ms: u64) -> Option<HangUp> {
        match self.stage {
            Stage::Data | Stage::Web => {
                self.half_close(now_ms);
                None
            }
            Stage::Draining(reason) => Some(reason),
            _ => Some(HangUp::Left),
        }
    }
}

/// IPv4 clients of a dual-stack socket or balancer are IPv4 clients.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
