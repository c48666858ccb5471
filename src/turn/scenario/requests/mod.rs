//! Scenes of requests: what a client may ask, what it is granted, and what strangers get.

mod allocate;
mod channels;
mod hostile;
mod lifetimes;
mod permissions;
mod ports;
mod reservations;
mod strangers;
