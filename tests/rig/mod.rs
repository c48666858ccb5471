//! What tests of the real binary stand on, whatever they test: `relay` starts and stops it,
//! `client` speaks TURN with it, over UDP or a `link`, `stun` is a second and independent reading
//! of the RFCs, `http` asks for what a server shows of itself, `machine` knows what there is to
//! test on, and `namespace` makes a network for one test.
//!
//! It is part of each target that names it.

pub mod client;
pub mod http;
pub mod link;
pub mod machine;
pub mod memory;
pub mod namespace;
pub mod relay;
pub mod stun;
