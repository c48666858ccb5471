//! Scenes of change: rules, addresses and processes come and go while allocations live.

mod draining;
mod handover;
mod moving;
mod reload;
