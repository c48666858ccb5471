//! Scenes of relaying: which packets pass, by which way, and how many.

mod forwarding;
mod hairpin;
mod limits;
mod trains;
