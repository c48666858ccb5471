//! What this process costs, as the kernel counts it: CPU time of each worker and of everything,
//! memory, open files.
//!
//! All of it is in `/proc/self`, and read when somebody looks. A system that hides `/proc` has no
//! such numbers, and nothing else changes.

use std::collections::BTreeMap;
use std::fs;
use std::sync::OnceLock;
use std::time::Duration;

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use nix::time::ClockId;

use crate::turn::WorkerIndex;

/// What the names of the workers' threads begin with; the index of the worker follows.
const WORKER: &str = "uturn-";

/// Resources of the whole process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::control) struct Process {
    /// CPU time of all threads, user and system, seconds.
    pub(in crate::control) cpu_s: Option<f64>,
    /// Memory that is in RAM.
    pub(in crate::control) resident_bytes: Option<u64>,
    /// Address space.
    pub(in crate::control) virtual_bytes: Option<u64>,
    /// Open file descriptors.
    pub(in crate::control) open_fds: Option<u64>,
    /// The limit of open file descriptors; `None` where there is no limit, too.
    pub(in crate::control) max_fds: Option<u64>,
}

impl Process {
    /// Reads what the kernel says now.
    pub(in crate::control) fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let limit = getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft);
        Self {
            cpu_s: ClockId::CLOCK_PROCESS_CPUTIME_ID
                .now()
                .ok()
                .map(|it| Duration::from(it).as_secs_f64()),
            resident_bytes: memory(&status, "VmRSS:"),
            virtual_bytes: memory(&status, "VmSize:"),
            open_fds: fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as u64),
            max_fds: limit.filter(|limit| *limit != RLIM_INFINITY),
        }
    }
}

/// CPU time of each worker's thread since its start, in microseconds.
pub(in crate::control) fn worker_cpu_us() -> BTreeMap<WorkerIndex, u64> {
    static THREADS: OnceLock<Vec<(WorkerIndex, u32)>> = OnceLock::new();
    // Workers are there before anybody can ask, and none is started later.
    let threads = THREADS.get_or_init(worker_threads);
    let cpu = |(worker, thread): &(WorkerIndex, u32)| {
        let text = fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).ok()?;
        Some((*worker, on_cpu_ns(&text)? / 1000))
    };
    threads.iter().filter_map(cpu).collect()
}

/// The threads that bear a worker's name.
fn worker_threads() -> Vec<(WorkerIndex, u32)> {
    let Ok(tasks) = fs::read_dir("/proc/self/task") else { return Vec::new() };
    let worker = |task: std::io::Result<fs::DirEntry>| {
        let task = task.ok()?;
        let name = fs::read_to_string(task.path().join("comm")).ok()?;
        Some((worker_named(name.trim())?, task.file_name().to_str()?.parse().ok()?))
    };
    tasks.filter_map(worker).collect()
}

/// `uturn-log` and `uturn-free` are no workers.
fn worker_named(name: &str) -> Option<WorkerIndex> {
    name.strip_prefix(WORKER)?.parse().ok().map(WorkerIndex)
}

/// The first number of `schedstat`: nanoseconds on a CPU.
fn on_cpu_ns(schedstat: &str) -> Option<u64> {
    schedstat.split(' ').next()?.parse().ok()
}

/// A line of `status`, which has kibibytes.
fn memory(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_words_are_read() {
        assert_eq!(on_cpu_ns("1234567 89 10\n"), Some(1_234_567));
        assert_eq!(memory("VmSize:\t 9 kB\nVmRSS:\t  2 kB\n", "VmRSS:"), Some(2048));
        for other in ["", "x", "VmRSS: 2 pages"] {
            assert_eq!((on_cpu_ns(other), memory(other, "VmRSS:")), (None, None), "{other}");
        }
    }

    #[test]
    fn only_workers_are_workers() {
        assert_eq!(worker_named("uturn-12"), Some(WorkerIndex(12)));
        for other in ["uturn-log", "uturn-", "uturn", "uturn-900", "main"] {
            assert_eq!(worker_named(other), None, "{other}");
        }
    }

    #[test]
    fn this_process_uses_memory_and_files() {
        let process = Process::now();
        assert!(process.resident_bytes > Some(1 << 20), "{process:?}");
        assert!(process.virtual_bytes > process.resident_bytes, "{process:?}");
        assert!(process.open_fds >= Some(3) && process.cpu_s.is_some(), "{process:?}");
    }
}
