//! Where a result comes from: enough to read it elsewhere, and to repeat it.

use std::{
    fs,
    net::SocketAddr,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use super::secrets::own_command;
use crate::{procfs, rig::Rig};

/// Goes up when a field changes its meaning.
const FORMAT: u32 = 2;

const DAY_S: u64 = 86_400;

/// Which program measured what, when, and where.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct About {
    pub(crate) format: u32,
    /// Version of this program.
    pub(crate) loadgen: String,
    /// Without passwords and secrets.
    pub(crate) command: String,
    /// When it began, UTC, RFC 3339.
    pub(crate) date: String,
    /// Where the generator ran.
    pub(crate) machine: String,
    pub(crate) servers: Vec<ServerAbout>,
}

/// A server that was measured.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ServerAbout {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    /// What it calls itself (SOFTWARE), often with a version.
    pub(crate) software: Option<String>,
    /// What TLS connections to it agreed on, and whether its certificate was verified.
    #[serde(default)]
    pub(crate) tls: Option<String>,
    /// Its program, where it runs on this machine.
    pub(crate) program: Option<String>,
}

impl About {
    /// Of a measurement that begins now.
    pub(crate) fn now() -> About {
        About {
            format: FORMAT,
            loadgen: env!("CARGO_PKG_VERSION").to_owned(),
            command: own_command(&std::env::args().collect::<Vec<_>>()),
            date: date(SystemTime::now()),
            machine: procfs::machine(),
            servers: Vec::new(),
        }
    }

    /// The servers in half a line.
    pub(crate) fn server(&self) -> Option<String> {
        let names: Vec<String> = self.servers.iter().map(ServerAbout::line).collect();
        (!names.is_empty()).then(|| names.join(", "))
    }
}

impl ServerAbout {
    pub(crate) fn new(name: &str, address: SocketAddr, pid: Option<u32>) -> ServerAbout {
        let program = pid.and_then(|pid| fs::read_link(format!("/proc/{pid}/exe")).ok());
        let program = program.map(|path| path.display().to_string());
        ServerAbout { name: name.to_owned(), address, software: None, tls: None, program }
    }

    /// Takes over what a set-up found out.
    pub(crate) fn learn(&mut self, rig: &Rig) {
        self.software = rig.software();
        self.tls = rig.secured();
    }

    fn line(&self) -> String {
        let at = self.address.to_string();
        let name = if self.name == at { at } else { format!("{} ({at})", self.name) };
        let more = self.software.iter().chain(&self.tls);
        more.fold(name, |line, more| format!("{line}, {more}"))
    }
}

/// `2026-02-28T13:45:00Z`.
fn date(at: SystemTime) -> String {
    let seconds = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (year, month, day) = civil(seconds / DAY_S);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day of a day after 1970-01-01, by counting years from March, so that the leap
/// day is their last.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_827_696, "2000-02-29T12:34:56Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (1_798_761_599, "2026-12-31T23:59:59Z"),
        ] {
            assert_eq!(date(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
    }
}
