//! The machine as it is: what `/proc`, `/sys` and ethtool say of it, without a judgement.

mod ethtool;
pub(super) mod machine;
mod sockets;
pub(super) mod tree;
