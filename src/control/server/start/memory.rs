//! What the memory of this process tells others: nothing.
//!
//! It holds every password, secret and key that the server knows. A core dump would be a copy of it
//! on a disk, and a debugger of the same user would read it. The systemd unit forbids both; outside
//! of it the process does so itself, as its first deed.

use nix::sys::prctl::set_dumpable;
use nix::sys::resource::{Resource, setrlimit};
use tracing::warn;

/// Closes the memory, before there is a secret in it. With a kernel that does not do that, it is as
/// open as that of other processes.
pub(in crate::control) fn close() {
    set_dumpable(false).unwrap_or_default();
}

/// Leaves it closed, or opens it for whoever looks for the cause of a crash.
pub(in crate::control) fn settle(core_dumps: bool) {
    let (settled, outcome) = if core_dumps {
        ("opened", set_dumpable(true))
    } else {
        let no_core = setrlimit(Resource::RLIMIT_CORE, 0, 0);
        ("closed", set_dumpable(false).and(no_core))
    };
    if let Err(error) = outcome {
        warn!(%error, "the memory of the process cannot be {settled} to core dumps");
    }
}
