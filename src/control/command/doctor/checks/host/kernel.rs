//! What the kernel can do.

use crate::control::command::doctor::facts::machine::MachineFacts;
use crate::control::command::doctor::finding::{Finding, Severity};
use crate::control::command::doctor::need::Need;
use crate::control::config::IoChoice;
use crate::io::Obstacle;

const WHY: &str = "io_uring moves a packet with a fraction of the system calls of epoll";

/// Whether io_uring works, if it is wanted.
pub(in crate::control::command::doctor) fn io_uring(
    machine: &MachineFacts,
    need: &Need,
) -> Vec<Finding> {
    let severity = match need.io {
        IoChoice::Portable => return Vec::new(),
        IoChoice::Auto => Severity::Warning,
        IoChoice::Uring => Severity::Error,
    };
    let Err(obstacle) = machine.kernel.uring else { return Vec::new() };
    let (change, with) = remedy(obstacle);
    vec![Finding {
        check: "io_uring",
        severity,
        what: obstacle.to_string(),
        why: WHY,
        change: change.to_owned(),
        with: with.to_owned(),
    }]
}

fn remedy(obstacle: Obstacle) -> (&'static str, &'static str) {
    match obstacle {
        Obstacle::Absent | Obstacle::TooOld | Obstacle::NoBufferRing | Obstacle::NoMultishot => {
            ("run Linux 6.1 or later", "apt install linux-image-amd64")
        }
        Obstacle::Forbidden => (
            "allow io_uring_setup, io_uring_enter and io_uring_register in the sandbox",
            "tuning/docker/seccomp.json",
        ),
        Obstacle::Disabled => ("kernel.io_uring_disabled = 0", "sysctl kernel.io_uring_disabled=0"),
        Obstacle::NoRoom => {
            ("raise the limits of open files and locked memory", "tuning/uturn-limits.conf")
        }
        Obstacle::Other(_) => ("set io = \"portable\" if it stays", "uturn --io portable"),
    }
}

/// What works, but not as well as it could.
pub(in crate::control::command::doctor) fn features(
    machine: &MachineFacts,
    need: &Need,
) -> Vec<Finding> {
    let kernel = &machine.kernel;
    let is_uring = kernel.uring.is_ok() && need.io != IoChoice::Portable;
    let lacks = [
        (is_uring && !kernel.registered_files, Severity::Hint, "sockets stay unregistered", "6.13"),
        (
            is_uring && kernel.registered_files && !kernel.direct_sockets,
            Severity::Hint,
            "each relay port takes an open file",
            "6.13",
        ),
        (!kernel.gro, Severity::Warning, "no UDP_GRO: trains arrive one by one", "5.0"),
        (
            !kernel.segmentation,
            Severity::Warning,
            "no UDP_SEGMENT: trains are sent one by one",
            "4.18",
        ),
    ];
    let lacking = lacks.into_iter().filter(|(lacks, ..)| *lacks);
    let finding = |(_, severity, what, since): (bool, Severity, &str, &str)| Finding {
        check: "features",
        severity,
        what: what.to_owned(),
        why: "each packet takes more of a core",
        change: format!("run Linux {since} or later"),
        with: "apt install -t stable-backports linux-image-amd64".to_owned(),
    };
    lacking.map(finding).collect()
}
