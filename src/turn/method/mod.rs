//! One method per file: what the request must say, what it does, what it is refused for.

mod allocate;
mod binding;
mod channel_bind;
mod create_permission;
mod open;
mod redeem;
mod refresh;
mod send;
