//! The machine as it is: what `/proc`, `/sys`, ethtool, nft and timedatectl say of it, without a
//! judgement.

mod ethtool;
pub(super) mod firewall;
pub(super) mod machine;
mod programs;
pub(super) mod service;
pub(super) mod sockets;
pub(super) mod tree;
