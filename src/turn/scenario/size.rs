//! What an idle allocation weighs.

use std::mem::size_of;

use crate::turn::{
    FiveTuple, allocation::Allocation, allocations::AllocationId, permission::Permissions,
};

/// Allocators round up to the next of sixteen bytes or a little more.
const fn rounded(bytes: usize) -> usize {
    bytes.next_multiple_of(64)
}

// performance.md: at most 4 KiB beside the kernel's socket. The aim here is 1 KiB.
#[test]
fn an_idle_allocation_with_a_permission_and_a_channel_weighs_less_than_a_kilobyte() {
    let user = rounded(16 + "1800000000:somebody@example.org".len());
    let table = size_of::<Option<Box<Allocation>>>()
        + 2 * (size_of::<(FiveTuple, AllocationId)>() + 1)
        + 12 /* timer */ + 2 * 24 /* relay slot and holder */;
    let vectors = 4 * 32 /* first permissions */ + 2 * 4 * 48 /* first channels, both orders */;
    let bytes = rounded(size_of::<Allocation>()) + 2 * user + table + vectors;
    assert!(bytes < 1536, "{bytes} bytes, {} of them the allocation", size_of::<Allocation>());
    assert!(size_of::<Permissions>() == 24);
}
