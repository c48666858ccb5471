//! Memory of the process under test.

/// Resident memory of a process, in bytes.
pub fn resident_bytes(pid: u32) -> u64 {
    bytes(pid, "VmRSS:")
}

/// The most that was ever resident of a process, in bytes.
pub fn peak_resident_bytes(pid: u32) -> u64 {
    bytes(pid, "VmHWM:")
}

fn bytes(pid: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it is running");
    let line = status.lines().find(|line| line.starts_with(field)).expect("the field is there");
    let kib: u64 = line.split_whitespace().nth(1).expect("a number").parse().expect("a number");
    kib * 1024
}
