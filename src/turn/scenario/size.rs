//! What an idle allocation weighs.

use std::mem::size_of;

use crate::turn::{
    allocation::{Allocation, table::AllocationId},
    api::names::identity::FiveTuple,
};

/// More than any allocator rounds up to at these sizes.
const fn rounded(bytes: usize) -> usize {
    bytes.next_multiple_of(64)
}

// The limit is 4 KiB beside the kernel's socket. The aim here is a quarter of that, and
// half as much again once it has a permission and a channel, whose vectors begin with four places.
#[test]
fn an_idle_allocation_weighs_less_than_a_kilobyte() {
    let user = rounded(16 + "1800000000:somebody@example.org".len());
    let (timer, relay) = (12, 2 * 24);
    let table = size_of::<Option<Box<Allocation>>>()
        + 2 * (size_of::<(FiveTuple, AllocationId)>() + 1)
        + timer
        + relay;
    let bytes = rounded(size_of::<Allocation>()) + 2 * user + table;
    assert!(bytes < 1024, "{bytes} bytes, {} of them the allocation", size_of::<Allocation>());
    let (permissions, channels) = (4 * 32, 2 * 4 * 48);
    assert!(bytes + permissions + channels < 1536, "{bytes} bytes before the first permission");
}
