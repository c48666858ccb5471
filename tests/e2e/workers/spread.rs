//! Workers as a machine sees them: pinned to cores, all of them serving, none of them awake for
//! nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::client::{Call, Client};
use crate::machine::{Folder, skip};
use crate::relay::{Relay, Setup, command};

/// The `status` of each thread of the relay.
fn threads(relay: &Relay) -> Vec<String> {
    let folder = format!("/proc/{}/task", relay.process.pid);
    let threads = fs::read_dir(folder).expect("it is running");
    let status = |thread: std::io::Result<fs::DirEntry>| {
        fs::read_to_string(thread.expect("a thread").path().join("status")).unwrap_or_default()
    };
    threads.map(status).collect()
}

fn value<'a>(status: &'a str, name: &str) -> &'a str {
    let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_whitespace().nth(1).unwrap_or_default()
}

#[test]
fn each_worker_has_a_core_of_its_own() {
    let cores = std::thread::available_parallelism().expect("it is known").get();
    let relay = Setup::new().with(&["--workers", &cores.to_string()]).start();
    let mut pinned: Vec<_> = threads(&relay)
        .iter()
        .map(|status| value(status, "Cpus_allowed_list:").to_owned())
        .filter(|list| list.parse::<u32>().is_ok())
        .collect();
    pinned.sort();
    pinned.dedup();
    assert!(pinned.len() >= cores, "pinned to {pinned:?} of {cores} cores");
}

/// A control group whose processes may use half of one CPU; gone with the test.
struct HalfACpu(PathBuf);

impl HalfACpu {
    /// In the second version of control groups or in the first; `None` where neither can be
    /// written.
    fn new() -> Option<HalfACpu> {
        let name = format!("uturn-e2e-{}", std::process::id());
        let homes = [
            ("/sys/fs/cgroup", "cpu.max", "50000 100000"),
            ("/sys/fs/cgroup/cpu", "cpu.cfs_quota_us", "50000"),
        ];
        let mut homes = homes.into_iter().filter(|(home, ..)| {
            // A folder that is none of the kernel's would take any file.
            Path::new(home).join("cgroup.procs").exists()
        });
        homes.find_map(|(home, file, quota)| {
            let group = HalfACpu(Path::new(home).join(&name));
            fs::create_dir(&group.0).ok()?;
            fs::write(group.0.join(file), quota).ok()?;
            Some(group)
        })
    }

    /// What a command says that runs in it.
    fn says(&self, command: &Command) -> String {
        let enter = format!("echo $$ > {}/cgroup.procs; exec \"$@\"", self.0.display());
        let mut shell = Command::new("sh");
        shell.args(["-c", &enter, "sh"]).arg(command.get_program()).args(command.get_args());
        let output = shell.output().expect("a shell runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }
}

impl Drop for HalfACpu {
    fn drop(&mut self) {
        // Left where the group could not be made whole.
        fs::remove_dir(&self.0).unwrap_or_default();
    }
}

#[test]
fn a_container_with_little_of_the_cpu_gets_one_worker_unless_it_asks_for_more() {
    let Some(group) = HalfACpu::new() else {
        return skip("half a CPU", "control groups that can be written");
    };
    let folder = Folder::new();
    let says_workers = |text: &str, workers: &str| {
        let file =
            folder.write("uturn.toml", &format!("user = 'a:b'\nlisten = '127.0.0.1:3478'\n{text}"));
        let settled = group.says(command().args(["check-config", &file]));
        let line = settled.lines().find(|line| line.starts_with("workers ="));
        assert!(line.is_some_and(|line| line.starts_with(workers)), "{settled}");
    };
    says_workers("", "workers = 1 ");
    says_workers("workers = 2", "workers = 2 ");
}

// With nothing to do, nothing is to be done: an idle relay lets its cores sleep.
#[test]
fn an_idle_relay_sleeps() {
    let relay = Setup::new().with(&["--workers", "2"]).start();
    let mut client = Client::new(relay.v4());
    client.allocate();
    std::thread::sleep(Duration::from_millis(500));
    let wake_ups = || -> u64 {
        let count =
            |status: &String| value(status, "voluntary_ctxt_switches:").parse().unwrap_or(0);
        threads(&relay).iter().map(count).sum()
    };
    let before = wake_ups();
    std::thread::sleep(Duration::from_secs(2));
    let count = wake_ups() - before;
    assert_eq!(count, 0, "wake-ups in 2 s");
}

#[test]
fn every_client_is_served_whichever_worker_it_meets() {
    let relay = Setup::new().with(&["--workers", "4"]).start();
    let server = |number| if number % 2 == 0 { relay.v4() } else { relay.v6() };
    let mut calls: Vec<_> = (0..40).map(|number| Call::of(Client::new(server(number)))).collect();
    calls.iter_mut().for_each(Call::talk);
    calls.iter_mut().for_each(|call| assert_eq!(call.client.refresh(0).lifetime_s(), 0));
}

// However a worker waits, whoever calls alone is heard.
#[test]
fn a_lone_call_is_relayed_whatever_the_wait() {
    let waits: [&[&str]; 3] = [
        &["--batch-wait-us", "0"],
        &["--spin-us", "50"],
        &["--spin-us", "200", "--batch-wait-us", "2000", "--busy-poll-us", "20"],
    ];
    for wait in waits {
        let relay = Setup::new().with(wait).start();
        let mut call = Call::on(&relay);
        (0..5).for_each(|_| call.talk());
    }
}
