//! What a server says of itself: log, health, numbers, usage records, `uturn top`.

mod health;
mod log;
mod metrics;
mod top;
mod usage;
