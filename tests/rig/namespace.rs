//! Network namespaces: a loopback of a test's own, to which it may give any address there is.
//!
//! A namespace belongs to the thread that made it and to what that thread starts, and ends with the
//! last of them: there is nothing to clean up.

use std::process::Command;

use nix::sched::{CloneFlags, unshare};

use super::machine::skip;

/// Runs a test on a thread with a network of its own, in which loopback is up and nothing else is
/// there; skips it where that cannot be had.
pub fn in_own_network(test: &str, run: impl FnOnce() + Send) {
    let outcome = std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            if unshare(CloneFlags::CLONE_NEWNET).is_err() {
                return skip(test, "the right to make a network namespace");
            }
            if Command::new("ip").arg("-V").output().is_err() {
                return skip(test, "iproute2");
            }
            ip("link set lo up");
            run();
        });
        inside.join()
    });
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

/// Changes the network of this thread, or shows it, as `ip` does.
pub fn ip(words: &str) -> String {
    let done = Command::new("ip").args(words.split(' ')).output().expect("iproute2 is there");
    assert!(done.status.success(), "ip {words}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// Changes a setting of this thread's network, named by its path under `/proc/sys`.
pub fn set(name: &str, value: &str) {
    std::fs::write(format!("/proc/sys/{name}"), value).unwrap_or_else(|e| panic!("{name}: {e}"));
}
