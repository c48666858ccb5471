//! The supervisor of a server, from the settled configuration to its last log line.
//!
//! ```text
//! serve        brings a server up            run       its supervisor on the control thread
//! plan         what workers are made from    reload    the configuration, read again
//! memory       what core dumps would hold
//! files        the limit of open files       drain     no new clients, and the end with the last
//! runtime      tokio-uring, or plain tokio   signals   SIGTERM, SIGINT, SIGHUP, SIGUSR1
//! banner       what a person sees first      service   what the service manager is told
//! follow       the machine's addresses       connections a listener's, so many at once
//! reports      what workers tell, answers    what they answer
//! wait         until the machine has addresses   background what takes long, beside the loop
//!
//! draining, following, reloading             what the supervisor does with drain, follow, reload
//! ```

pub(super) mod answers;
pub(super) mod background;
pub(super) mod banner;
pub(super) mod connections;
pub(super) mod drain;
mod draining;
pub(super) mod files;
pub(super) mod follow;
mod following;
pub(super) mod memory;
pub(super) mod plan;
pub(super) mod reload;
mod reloading;
pub(super) mod reports;
pub(super) mod rules;
pub(super) mod runtime;
pub(super) mod serve;
pub(super) mod service;
pub(super) mod signals;
pub(super) mod supervisor;
pub(super) mod wait;
