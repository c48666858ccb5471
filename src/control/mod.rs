//! Cold work: command line, configuration, operators' wishes, logging, signals.
//!
//! Everything here happens once, or a few times a second at most; it may allocate and it may log.
//! Nothing here is called for a packet.
//!
//! ```text
//! cli.rs          what is asked for: serve, check-config, credentials, …
//! config/         options, read raw and settled once
//! serve.rs        brings a server up
//! plan.rs         what the workers are made from
//! files.rs        the limit of open files
//! run.rs          its life: serve, change, stop
//! reload.rs       the configuration, read again
//! drain.rs        no new clients, and the end with the last
//! service.rs      what the service manager is told
//! signals.rs      SIGTERM, SIGINT, SIGHUP, SIGUSR1
//! answers.rs      what workers answer
//! connections.rs  a listener's, so many at a time
//! reports.rs      the door through which workers' reports come
//! diary.rs        what workers report, as log lines
//! journal.rs      allocations opened and closed, as log lines
//! faults.rs       sockets that fail, as log lines
//! rate.rs         so many lines a second, the rest counted
//! drops.rs        what was dropped, one log line a minute
//! overflow.rs     what the kernel drops before a worker sees it
//! totals.rs       what was done, summed over the workers
//! usage/          records of allocations, one JSON line each
//! admin/          the control socket, and the commands that use it
//! metrics/        numbers for Prometheus, and whether the server is ready, over HTTP
//! logging.rs      where log lines go
//! banner.rs       what a person sees at the start
//! doctor/         what keeps the machine from being a good relay node
//! import/         coturn's configuration, in our words
//! credentials.rs  time-limited usernames and passwords
//! manual.rs       the manual page and completions for shells
//! runtime.rs      tokio-uring where it works, else tokio
//! ```

mod admin;
mod answers;
mod banner;
mod cli;
pub mod config;
mod connections;
mod credentials;
mod diary;
mod doctor;
mod drain;
mod drops;
mod faults;
mod files;
mod import;
mod journal;
mod logging;
mod manual;
mod metrics;
mod overflow;
mod plan;
mod rate;
mod reload;
mod reports;
mod run;
mod runtime;
mod serve;
mod service;
mod signals;
mod totals;
mod usage;

pub use cli::command_line;
pub use credentials::{Credential, CredentialsArgs};
pub use serve::serve;
