//! Streams: TCP and unix connections beside the datagrams, what both kernels have in common of
//! them.
//!
//! ```text
//! accept ──▶ Accepted, Bytes …  ─┐
//! connect ─▶ Connected, Bytes …  ├─▶ Finished (the peer's FIN), Written … ─▶ Closed, Detached
//! adopt ───▶            Bytes …  ─┘
//! ```
//!
//! A stream is a plain descriptor, so that it can leave a driver for another one. It has at most
//! one write under way, for as long as its peer likes: a turn waits for datagram sends alone, never
//! for a write (see `engine/turn.rs`).
//!
//! ```text
//! streams.rs      the face: what a driver is asked to do
//! event.rs        what it is asked with, and what it answers
//! kernel.rs       what a kernel has to do for streams, and the steps it tells
//! entry.rs        one stream: what is asked of it, and what of it is with the kernel
//! acceptor.rs     one listener
//! numbered.rs     both by number, with generations
//! stream_set.rs   all of a driver's, each brought turn by turn to where it is to be
//! steps.rs        what becomes of the kernel's steps
//! news.rs         what is to be told, in order; next.rs tells it
//! ```

pub(in crate::io) mod acceptor;
mod entry;
pub(in crate::io) mod event;
pub(in crate::io) mod kernel;
mod news;
mod next;
mod numbered;
mod steps;
pub(in crate::io) mod stream_set;
pub(in crate::io) mod streams;
