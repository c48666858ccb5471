//! One client's stream, layer by layer, without I/O: PROXY header, TLS, frames, and what waits to
//! be written.
//!
//! A [`Connection`] gets bytes and the time. [`Connection::receive`] says what they are, as ranges
//! in an [`Intake`]; [`Connection::fill`] says what is to be written. Sockets, buffers and timers
//! are the worker's, and what a frame means is the state machine's.
//!
//! ```text
//!   bytes ─▶ receive ─▶ PROXY ─▶ TLS ─▶ frames ─▶ Intake { Frames, Bind, Data, Web, Finished }
//!   bytes ◀─ fill ◀──── sealed late ◀── answers, media by age ◀── queue, queue_data
//! ```
//!
//! Laws: no clock, no socket, no thread; a byte stream means the same however it is cut; an idle
//! connection keeps no buffer; whatever a client may make wait is bounded by a name in `limits.rs`,
//! in bytes and in time; every end has a [`HangUp`].
//!
//! ```text
//! connection/     one stream: stages, deadlines, what comes in, what goes out
//! intake.rs       what arrived, as ranges
//! walk.rs         from bytes to frames and trains of them
//! egress/         what waits to be written, and what of it is dropped
//! choice.rs       whose a TLS client is, by its ClientHello
//! names.rs        host names that a pattern stands for
//! tls/            the only folder that names the TLS library
//! limits.rs       bytes and milliseconds
//! hang_up.rs      why a stream was closed
//! ```

mod choice;
mod connection;
mod egress;
mod hang_up;
mod intake;
pub mod limits;
mod names;
mod tls;
mod walk;

pub use choice::WebNames;
pub use connection::{
    Connection, FillOutcome, Next, ProxyRule, StreamKind, StreamPhase, StreamSetup, Then,
};
pub use egress::{FrameKind, LEAST_QUEUE_BYTES, QueueMemory, Queued};
pub use hang_up::HangUp;
pub use intake::{Arrival, Intake, Span};
pub use limits::StreamLimits;
pub use tls::{
    ClientFault, ClientSession, Distrust, Handshake, Pair, TlsContext, TlsError, TlsFault,
    server_verifier,
};
