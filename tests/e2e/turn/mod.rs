//! TURN itself: each request, packets both ways, what is refused and what is never answered.

mod allocate;
mod binding;
mod channel;
mod data;
mod faults;
mod hairpin;
mod limits;
mod permission;
mod refresh;
mod reservation;
mod silence;
