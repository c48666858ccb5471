//! What other programs say of the machine, where no file does.

use std::process::{Command, Stdio};

/// Where programs of administrators are for people who are not root.
const PLACE: &str = "/usr/sbin";

/// What a program prints; `None` where it is missing or fails.
pub(super) fn printed(program: &str, arguments: &[&str]) -> Option<String> {
    let run = |program: String| {
        let mut command = Command::new(program);
        command.args(arguments).env("LC_ALL", "C").stdin(Stdio::null()).output().ok()
    };
    let output = run(program.to_owned()).or_else(|| run(format!("{PLACE}/{program}")))?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether the clock is synchronized (NTP, PTP), as `timedatectl` says; `None` where it says
/// nothing.
pub(super) fn clock_is_synchronized() -> Option<bool> {
    let said = printed("timedatectl", &["show", "--property=NTPSynchronized", "--value"])?;
    match said.trim() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}
