//! What the kernel drops before a worker sees it: datagrams for a UDP socket whose buffer is full.

use std::fs;

/// Datagrams the kernel dropped because a UDP socket's buffer was full: of every process in this
/// network namespace, since the kernel counts no other way for all sockets at once.
pub(in crate::control) fn socket_overflow() -> Option<u64> {
    let v4 = fs::read_to_string("/proc/net/snmp").ok().and_then(|text| overflow_v4(&text))?;
    let v6 = fs::read_to_string("/proc/net/snmp6").ok().and_then(|text| overflow_v6(&text));
    Some(v4 + v6.unwrap_or_default())
}

/// A line of names and a line of numbers, both of which begin with `Udp:`.
fn overflow_v4(text: &str) -> Option<u64> {
    let mut lines = text.lines().filter(|line| line.starts_with("Udp: "));
    let place = lines.next()?.split(' ').position(|name| name == "RcvbufErrors")?;
    lines.next()?.split(' ').nth(place)?.parse().ok()
}

fn overflow_v6(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with("Udp6RcvbufErrors"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_counters_are_found_by_name() {
        let v4 = "Ip: A B\nIp: 1 2\nUdp: InDatagrams NoPorts RcvbufErrors\nUdp: 7 8 9\n";
        assert_eq!(overflow_v4(v4), Some(9));
        assert_eq!(overflow_v4("Udp: InDatagrams\nUdp: 7\n"), None);
        assert_eq!(overflow_v6("Udp6InErrors 1\nUdp6RcvbufErrors     \t17\n"), Some(17));
        assert!(socket_overflow().is_some(), "this kernel has them");
    }
}
