//! The supervisor of a server, from the settled configuration to its last log line.
//!
//! ```text
//! serve        brings a server up            supervisor   runs it, on the control thread
//! start/       what it needs before that     change/      what changes while it runs
//! signals      SIGTERM, SIGINT, SIGHUP, SIGUSR1
//! service      what the service manager is told
//! connections  a listener's, so many at once
//! reports      what workers tell             answers      what they answer
//! background   what takes long, beside the loop
//! ```

pub(super) mod answers;
pub(super) mod background;
mod change;
pub(super) mod connections;
pub(super) mod reports;
pub(super) mod serve;
pub(super) mod service;
pub(super) mod signals;
pub(super) mod start;
pub(super) mod supervisor;
