//! What others on the machine can learn of passwords and secrets: from files, from a core dump,
//! from memory that was given back.

use std::fs::{self, File, Permissions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::auth::time_limited::credential_of;
use crate::client::{Client, allocate};
use crate::machine::{Folder, Ports, skip};
use crate::relay::{REALM, Relay, Setup, command};
use crate::stun::long_term_key;

const DRIVERS: [&str; 2] = ["uring", "portable"];

fn set_mode(path: &str, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("it is ours");
}

#[test]
fn a_file_that_others_may_change_or_read_is_named_at_start_reload_check_and_by_the_doctor() {
    let folder = Folder::new();
    let users = folder.write("users", "bob:builder\n");
    let config = folder.write("uturn.toml", &format!("users-file = '{users}'\n"));
    let setup = Setup::new().with(&["--config", &config]);
    set_mode(&users, 0o666);
    set_mode(&config, 0o646);
    let relay = setup.start();
    let told = [
        format!(
            "{users} has mode 0666: every user of this machine may read the passwords in it and \
                 change it: chmod 0660 {users}"
        ),
        format!(
            "{config} has mode 0646: every user of this machine may change it: chmod 0644 {config}"
        ),
    ];
    for line in &told {
        relay.process.wait_until_it_logs(line, 1);
    }
    relay.process.signal(libc::SIGHUP);
    for line in &told {
        relay.process.wait_until_it_logs(line, 2);
    }
    let run = |words: &[&str]| command().args(words).output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let check = run(&["check-config", &config]);
    let doctor = run(&["doctor", "--config", &config]);
    assert!(check.status.success());
    for line in &told {
        assert!(text(&check.stderr).lines().any(|it| it == format!("uturn: {line}")), "{check:?}");
        let (what, change) = line.rsplit_once(": ").expect("two parts");
        let said = text(&doctor.stdout);
        assert!(said.contains(what) && said.contains(change), "{said}");
    }
    set_mode(&users, 0o600);
    set_mode(&config, 0o644);
    relay.process.signal(libc::SIGHUP);
    relay.process.wait_until_it_logs("configuration read again", 2);
    let log = relay.process.stderr();
    assert_eq!(log.lines().filter(|line| line.contains("has mode")).count(), 4, "{log}");
    assert!(!text(&run(&["check-config", &config]).stderr).contains("has mode"));
}

// A login shell may well allow core dumps of any size.
#[test]
fn a_crash_leaves_no_core_dump_unless_it_is_asked_for() {
    let folder = Folder::new();
    let crash = |words: &[&str]| {
        let ports = Ports::claim();
        let mut command = std::process::Command::new("prlimit");
        let built = crate::relay::command();
        // Cut off there, or a busy disk takes its time for all that is mapped.
        command.arg("--core=1048576").arg(built.get_program()).args(words);
        command.args(["--listen", &format!("127.0.0.1:{}", ports.listening()), "--workers", "1"]);
        command.current_dir(folder.path("")).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = crate::relay::Process::spawn(command);
        process.wait_until_it_serves(([127, 0, 0, 1], ports.listening()).into());
        let limits = fs::read_to_string(format!("/proc/{}/limits", process.pid)).expect("it runs");
        // Not SIGQUIT, which a shell has ignored by what it runs in the background.
        process.signal(libc::SIGABRT);
        let status = process.wait();
        assert_eq!(status.signal(), Some(libc::SIGABRT), "{}", process.output());
        let line = limits.lines().find(|line| line.starts_with("Max core file size"));
        let line = line.expect("there is such a limit").split_whitespace().collect::<Vec<_>>();
        (status.core_dumped(), line[4].to_owned(), line[5].to_owned())
    };
    assert_eq!(crash(&[]), (false, "0".to_owned(), "0".to_owned()));
    assert_eq!(fs::read_dir(folder.path("")).expect("a folder").count(), 0);
    let (dumped, soft, _) = crash(&["--core-dumps", "on"]);
    assert_eq!(soft, "1048576");
    if !dumped {
        skip("a core dump that is asked for", "a kernel.core_pattern that takes one");
    }
}

/// How often some bytes stand in the memory that a process may write to.
fn occurrences(pid: u32, needle: &[u8]) -> Option<usize> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let mut memory = File::open(format!("/proc/{pid}/mem")).ok()?;
    let mut found = 0;
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (begin, rest) = line.split_once('-')?;
        let end = rest.split(' ').next()?;
        let [begin, end] = [begin, end].map(|text| u64::from_str_radix(text, 16).expect("hex"));
        memory.seek(SeekFrom::Start(begin)).ok()?;
        let mut bytes = Vec::new();
        // Some mappings, such as a ring's, cannot be read this way.
        let _ = (&mut memory).take(end - begin).read_to_end(&mut bytes);
        let first = needle[0];
        let starts = bytes.iter().enumerate().filter(|(_, byte)| **byte == first);
        found += starts.filter(|(at, _)| bytes[*at..].starts_with(needle)).count();
    }
    Some(found)
}

/// The long-term key of a user in a file that knows no passwords.
fn digits(password: &str) -> String {
    let key = long_term_key("carol", REALM, password);
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn log_in_with_everything(relay: &Relay, secret: &str, password: &str) {
    let (user, by_secret) = credential_of("rabbit", secret, 600);
    let by_password = ["alice", "bob", "carol"].map(|user| (user, password));
    for (user, password) in [(&*user, &*by_secret)].into_iter().chain(by_password) {
        let mut client = Client::login(relay.v4(), user, password);
        client.allocate();
        client.refresh(0);
    }
}

#[test]
fn a_secret_that_a_reload_has_replaced_is_nowhere_in_memory() {
    for io in DRIVERS {
        let folder = Folder::new();
        let write = |round: &str| {
            let (secret, password) =
                (format!("shared-{round}-secret"), format!("{round}-password"));
            let lines = format!("# people\nbob:{password}\ncarol:0x{}\n", digits(&password));
            let users = folder.write("users", &lines);
            let file = format!(
                "secret = ['{secret}']\nuser = [\"alice:{password}\"]\nusers-file = '{users}'\n"
            );
            (folder.write("uturn.toml", &file), secret, password)
        };
        let (config, secret, password) = write("before");
        let setup = Setup::of_nobody().with(&["--config", &config, "--io", io]);
        let relay = setup.with(&["--workers", "2", "--core-dumps", "on"]).start();
        log_in_with_everything(&relay, &secret, &password);
        let count = |needle: &str| occurrences(relay.process.pid, needle.as_bytes());
        let Some(before) = count(&secret) else {
            return skip("a scan of the server's memory", "the right to read it");
        };
        assert!(before > 0 && count(&password).is_some_and(|count| count > 0), "both are in use");
        let (_, new_secret, new_password) = write("after");
        relay.process.signal(libc::SIGHUP);
        relay.process.wait_until_it_logs("configuration read again", 1);
        log_in_with_everything(&relay, &new_secret, &new_password);
        assert_eq!(Client::login(relay.v4(), "bob", &password).fail(allocate()), 401);
        for old in [&secret, &password, &digits(&password)] {
            // A look at the machine that began before the reload has a copy until it is over.
            let deadline = Instant::now() + Duration::from_secs(5);
            while count(old) != Some(0) && Instant::now() < deadline {
                sleep(Duration::from_millis(50));
            }
            assert_eq!(count(old), Some(0), "{io}: {old}");
        }
        let key = long_term_key("carol", REALM, &password);
        assert_eq!(occurrences(relay.process.pid, &key), Some(0), "{io}: a key");
    }
}
