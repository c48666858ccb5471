//! uturn is a TURN/STUN relay for Linux on io_uring.
//!
//! ```text
//! floor 4   main.rs     parse, settle, spawn, wait
//! floor 3   control/    cold: config, reload, drain, operators, metrics, logs. May allocate, may log
//! floor 2   worker/     one pinned thread = one turn::Server + one io driver
//! floor 1   turn/ | io/ the state machine, pure | rings, buffers, sockets
//! floor 0   wire/       bytes <-> meaning. No allocation, no I/O
//! ```
//!
//! Imports only go down, and `turn` and `io` never import each other.

pub mod control;
pub mod io;
pub mod turn;
pub mod wire;
pub mod worker;
