//! What the scenes are played with: clients, the world they live in and its kernel.

pub(super) mod client;
mod kernel;
mod orders;
mod streams;
pub(super) mod world;
