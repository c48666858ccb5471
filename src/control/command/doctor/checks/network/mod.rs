//! What packets pass on their way: card and queues, buffers, firewall, addresses and ports.

pub(super) mod addresses;
pub(super) mod buffers;
pub(super) mod conntrack;
pub(super) mod firewall;
pub(super) mod interfaces;
pub(super) mod offloads;
pub(super) mod ports;
