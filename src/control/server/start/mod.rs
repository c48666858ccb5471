//! What a server needs before it serves.
//!
//! ```text
//! wait      until the machine has addresses   plan      what workers are made from
//! files     the limit of open files           memory    what core dumps would hold
//! runtime   tokio-uring, or plain tokio       banner    what a person sees first
//! streams   the rules for connections
//! ```

pub(in crate::control) mod banner;
pub(in crate::control) mod files;
pub(in crate::control) mod memory;
pub(in crate::control) mod plan;
pub(in crate::control) mod runtime;
pub(in crate::control) mod streams;
pub(in crate::control) mod wait;
