//! A worker that hangs: what the control thread does meanwhile.
//!
//! The test stops one thread of the server as a debugger would, which needs no help of the
//! server's.

use std::fs;
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::control::commands::Controlled;
use crate::http::ask;
use crate::machine::{self, Folder};
use crate::relay::{LOOPBACK4, PASSWORD, Relay, Setup, USER};

/// A worker's thread that the test holds.
struct Stopped(Pid);

/// Stops the first worker of a server; `None` where it may not.
fn stop_worker(relay: &Relay) -> Option<Stopped> {
    let tasks = format!("/proc/{}/task", relay.process.pid);
    let threads = fs::read_dir(tasks).expect("it lives").map(|task| task.expect("an entry").path());
    let is_worker = |task: &std::path::PathBuf| {
        fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim() == "uturn-0")
    };
    let worker = threads.into_iter().find(is_worker).expect("a worker");
    let id = worker.file_name().and_then(|name| name.to_str()?.parse().ok()).expect("a number");
    let thread = Pid::from_raw(id);
    ptrace::attach(thread).ok()?;
    waitpid(thread, Some(WaitPidFlag::__WALL)).expect("it stops");
    Some(Stopped(thread))
}

impl Stopped {
    /// Lets the thread end with its process, which stays until somebody has heard of that.
    fn end_within(self, within: Duration) {
        let deadline = Instant::now() + within;
        let flags = WaitPidFlag::__WALL | WaitPidFlag::WNOHANG;
        while matches!(waitpid(self.0, Some(flags)), Ok(WaitStatus::StillAlive)) {
            if Instant::now() > deadline {
                ptrace::kill(self.0).expect("it is held");
                panic!("the server does not end");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn kill(relay: &Relay, signal: libc::c_int) {
    let kill = format!("kill -{signal} {}", relay.process.pid);
    assert!(Command::new("sh").args(["-c", &kill]).status().expect("a shell").success());
}

#[test]
fn a_second_signal_ends_a_server_that_waits_for_a_hanging_worker_to_take_a_reload() {
    let folder = Folder::new();
    let file = folder.write("uturn.toml", &format!("user = ['{USER}:{PASSWORD}']\n"));
    let arguments = ["--config", &file, "--core-dumps", "on", "--workers", "1"];
    let mut relay = Setup::of_nobody().with(&arguments).start();
    let Some(worker) = stop_worker(&relay) else {
        return machine::skip("a second signal and a hanging worker", "the right to stop a thread");
    };
    folder.write("uturn.toml", &format!("user = ['bob:{PASSWORD}']\n"));
    kill(&relay, libc::SIGHUP);
    // The file is read by then, and the worker has two seconds to take what it says.
    std::thread::sleep(Duration::from_millis(300));
    let asked = Instant::now();
    kill(&relay, libc::SIGTERM);
    relay.process.wait_until_it_logs("stopping", 1);
    kill(&relay, libc::SIGTERM);
    worker.end_within(Duration::from_secs(1));
    let status = relay.process.wait();
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    assert_eq!(status.code(), Some(143), "{}", relay.process.output());
}

#[test]
fn health_checks_and_commands_are_answered_while_a_worker_hangs_through_a_drain() {
    let free = TcpListener::bind((LOOPBACK4, 0)).and_then(|free| free.local_addr());
    let metrics = free.expect("a free port");
    let setup = Setup::new().with(&["--core-dumps", "on", "--workers", "1"]);
    let mut server = Controlled::start(setup.with(&["--metrics", &metrics.port().to_string()]));
    let Some(worker) = stop_worker(&server.relay) else {
        return machine::skip("commands and a hanging worker", "the right to stop a thread");
    };
    kill(&server.relay, libc::SIGUSR1);
    server.relay.process.wait_until_it_logs("draining", 1);
    let asked = Instant::now();
    assert_eq!(ask(metrics, "GET", "/live").status, 200);
    assert!(server.says(&["drain", "--cancel"]).contains("serv"));
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    kill(&server.relay, libc::SIGTERM);
    server.relay.process.wait_until_it_logs("stopping", 1);
    kill(&server.relay, libc::SIGTERM);
    worker.end_within(Duration::from_secs(2));
    assert_eq!(server.relay.process.wait().code(), Some(143));
}
