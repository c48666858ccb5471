//! What the kernel says about a process: CPU time to the nanosecond, memory, switches, and
//! datagrams there was no room for.

use std::{fs, io, path::Path};

use serde::{Deserialize, Serialize};

/// One look at a process; counters count from its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// Time on a core, all threads, ns. From `schedstat`: ticks are too coarse for short runs.
    pub(crate) cpu_ns: u64,
    /// User and system time in ticks of 10 ms: good for their proportion only.
    pub(crate) user_ticks: u64,
    pub(crate) system_ticks: u64,
    pub(crate) resident_bytes: u64,
    pub(crate) voluntary_switches: u64,
    pub(crate) involuntary_switches: u64,
}

impl Usage {
    /// What was used since an earlier look; memory stays what it is now.
    pub(crate) fn since(&self, earlier: &Usage) -> Usage {
        Usage {
            cpu_ns: self.cpu_ns.saturating_sub(earlier.cpu_ns),
            user_ticks: self.user_ticks.saturating_sub(earlier.user_ticks),
            system_ticks: self.system_ticks.saturating_sub(earlier.system_ticks),
            resident_bytes: self.resident_bytes,
            voluntary_switches: self.voluntary_switches.saturating_sub(earlier.voluntary_switches),
            involuntary_switches: self
                .involuntary_switches
                .saturating_sub(earlier.involuntary_switches),
        }
    }

    /// Share of the CPU time spent in user space, by ticks; `None` before the first tick.
    pub(crate) fn user_share(&self) -> Option<f64> {
        let ticks = self.user_ticks + self.system_ticks;
        (ticks > 0).then(|| self.user_ticks as f64 / ticks as f64)
    }
}

/// Looks at a process that has not ended. Threads that ended in between are missing from `cpu_ns`.
pub(crate) fn usage(pid: u32) -> io::Result<Usage> {
    let root = format!("/proc/{pid}");
    let stat = fs::read_to_string(format!("{root}/stat"))?;
    // One that nobody has waited for yet still has an entry.
    if stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['Z', 'X'])) {
        return Err(io::ErrorKind::NotFound.into());
    }
    let mut usage = Usage {
        user_ticks: stat_field(&stat, 14),
        system_ticks: stat_field(&stat, 15),
        resident_bytes: status_field(&fs::read_to_string(format!("{root}/status"))?, "VmRSS:")
            * 1_024,
        ..Usage::default()
    };
    for task in fs::read_dir(format!("{root}/task"))? {
        let path = task?.path();
        add_task(&mut usage, &path);
    }
    Ok(usage)
}

/// A thread may end while it is looked at: then it adds nothing.
fn add_task(usage: &mut Usage, task: &Path) {
    let read = |file: &str| fs::read_to_string(task.join(file)).unwrap_or_default();
    usage.cpu_ns += first_number(&read("schedstat"));
    let status = read("status");
    usage.voluntary_switches += status_field(&status, "voluntary_ctxt_switches:");
    usage.involuntary_switches += status_field(&status, "nonvoluntary_ctxt_switches:");
}

/// Kernel, cores and processor of this machine.
pub(crate) fn machine() -> String {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("", |(_, name)| name);
    let cores = cpus.lines().filter(|line| line.starts_with("processor")).count();
    format!("Linux {}, {cores} cores, {model}", kernel.trim())
}

/// Whether this process was started with a signal ignored.
pub(crate) fn ignores(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    ignored.unwrap_or_default() >> (signal - 1) & 1 == 1
}

/// CPU time of the calling thread, ns.
pub(crate) fn own_thread_cpu_ns() -> u64 {
    first_number(&fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default())
}

/// CPU time of a process, ns, all threads: the one figure that is read often.
pub(crate) fn cpu_ns(pid: u32) -> io::Result<u64> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))?.filter_map(Result::ok);
    let read = tasks.filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok());
    Ok(read.map(|text| first_number(&text)).sum())
}

/// A tick of the kernel's clock as it tells user space, ns; the same on every platform.
const TICK_NS: u64 = 10_000_000;

/// Time that all cores of this machine were busy, or were kept from it by its host, ns.
pub(crate) fn machine_cpu_ns() -> u64 {
    busy_ticks(&fs::read_to_string("/proc/stat").unwrap_or_default()) * TICK_NS
}

/// The sum of user, nice, system, irq, softirq and steal in the first line of /proc/stat: idle and
/// iowait, the fourth and fifth, are no work, and guests are in user already.
fn busy_ticks(stat: &str) -> u64 {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "));
    let ticks = line.unwrap_or_default().split_whitespace().take(8).enumerate();
    let busy = ticks.filter(|(at, _)| !matches!(at, 3 | 4));
    busy.filter_map(|(_, ticks)| ticks.parse::<u64>().ok()).sum()
}

/// CPU time of this process, ns, that of threads which have ended included.
pub(crate) fn own_cpu_ns() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    (stat_field(&stat, 14) + stat_field(&stat, 15)) * TICK_NS
}

/// Datagrams that found the receive buffer of a UDP socket full, in the network namespace of a
/// process, since that began: its own, wherever it keeps its sockets, and its neighbours'.
///
/// The table of sockets (/proc/net/udp) would tell them apart, but misses sockets that only a ring
/// has, and reading it takes time with the square of their number: a quarter of a second for
/// 12,000.
pub(crate) fn namespace_drops(pid: u32) -> io::Result<u64> {
    let root = format!("/proc/{pid}/net");
    let v4 = fs::read_to_string(format!("{root}/snmp"))?;
    // A kernel without IPv6 has no such file.
    let v6 = fs::read_to_string(format!("{root}/snmp6")).unwrap_or_default();
    Ok(snmp_field(&v4, "Udp:", "RcvbufErrors") + status_field(&v6, "Udp6RcvbufErrors"))
}

/// Whether a process is in our network namespace.
pub(crate) fn shares_network(pid: u32) -> bool {
    let namespace = |process: &str| fs::read_link(format!("/proc/{process}/ns/net")).ok();
    namespace("self") == namespace(&pid.to_string())
}

/// A value of /proc/net/snmp, where a line of names precedes one of values.
fn snmp_field(snmp: &str, protocol: &str, name: &str) -> u64 {
    let mut lines = snmp.lines().filter_map(|line| line.strip_prefix(protocol));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else { return 0 };
    let mut pairs = names.split_whitespace().zip(values.split_whitespace());
    pairs.find(|(own, _)| *own == name).map_or(0, |(_, value)| first_number(value))
}

/// Field of /proc/PID/stat by its number in proc(5); the name before it may contain spaces.
fn stat_field(stat: &str, number: usize) -> u64 {
    let behind_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let field = behind_name.split_whitespace().nth(number - 3);
    field.and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn status_field(status: &str, name: &str) -> u64 {
    let value = status.lines().find_map(|line| line.strip_prefix(name));
    first_number(value.unwrap_or_default())
}

fn first_number(text: &str) -> u64 {
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn a_machine_is_busy_with_all_but_waiting() {
        let stat = "cpu  10 20 300 4000 50000 1 2 4 7 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
        assert_eq!(busy_ticks(stat), 337);
        assert_eq!(busy_ticks(""), 0);
        assert!(machine_cpu_ns() > 0);
    }

    #[test]
    fn threads_that_have_ended_have_used_time_all_the_same() {
        let before = own_cpu_ns();
        let spin = || {
            let begin = own_thread_cpu_ns();
            while own_thread_cpu_ns() < begin + 5 * TICK_NS {
                std::hint::spin_loop();
            }
        };
        std::thread::spawn(spin).join().unwrap();
        assert!(own_cpu_ns() >= before + 4 * TICK_NS);
    }

    #[test]
    fn own_process_uses_time_and_memory() {
        let before = usage(std::process::id()).unwrap();
        let begin = own_thread_cpu_ns();
        while own_thread_cpu_ns() < begin + 1_000_000 {
            std::hint::black_box((0..100_000_u64).sum::<u64>());
        }
        let after = usage(std::process::id()).unwrap();
        assert!(after.since(&before).cpu_ns >= 1_000_000);
        assert!(after.resident_bytes > 1 << 20);
    }

    #[test]
    fn a_full_receive_buffer_shows_as_drops() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let receiver = UdpSocket::bind(address).unwrap();
            socket2::SockRef::from(&receiver).set_recv_buffer_size(4_096).unwrap();
            let before = namespace_drops(std::process::id()).unwrap();
            let sender = UdpSocket::bind(address).unwrap();
            for _ in 0..100 {
                sender.send_to(&[0; 1_000], receiver.local_addr().unwrap()).unwrap();
            }
            let drops = namespace_drops(std::process::id()).unwrap() - before;
            assert!(drops >= crate::socket::drops(&receiver).unwrap(), "{address}: {drops}");
            assert!(drops >= 80, "{address}: {drops}");
        }
    }

    #[test]
    fn a_field_is_found_by_its_name() {
        let snmp = "Ip: A B\nIp: 1 2\nUdp: In RcvbufErrors\nUdp: 7 9\nUdpLite: In\nUdpLite: 3\n";
        assert_eq!(snmp_field(snmp, "Udp:", "RcvbufErrors"), 9);
        assert_eq!(snmp_field(snmp, "Udp:", "Gone"), 0);
        assert_eq!(snmp_field("", "Udp:", "RcvbufErrors"), 0);
    }

    #[test]
    fn we_share_our_own_network() {
        assert!(shares_network(std::process::id()));
    }

    #[test]
    fn a_name_with_spaces_does_not_shift_the_fields() {
        let stat = "7 (a b) c) S 1 2 3 4 5 6 7 8 9 10 140 150 0";
        assert_eq!((stat_field(stat, 14), stat_field(stat, 15)), (140, 150));
    }

    #[test]
    fn a_process_that_nobody_has_waited_for_is_gone() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        while usage(child.id()).is_ok() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        assert!(fs::exists(format!("/proc/{}", child.id())).unwrap());
        child.wait().unwrap();
    }

    #[test]
    fn a_process_that_is_gone_is_an_error() {
        assert!(usage(u32::MAX / 2).is_err());
        assert!(namespace_drops(u32::MAX / 2).is_err());
    }
}
