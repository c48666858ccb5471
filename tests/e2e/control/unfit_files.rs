//! Files that cannot be read whole: pipes, devices, directories, files of gigabytes. Each is one
//! clear line, at the start and at a reload; nothing waits for them, and they take little memory.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::process::Command;

use rcgen::{CertificateParams, KeyPair};

use crate::client::{Client, allocate};
use crate::machine::Folder;
use crate::memory::peak_resident_bytes;
use crate::relay::{PASSWORD, Setup, USER, command};

/// Longer than 32 bits count.
const GIGABYTES: u64 = 5 << 30;

/// What stands in place of a file, and what is said of it.
const UNFIT: [(&str, &str); 4] = [
    ("pipe", "not a regular file"),
    ("device", "not a regular file"),
    ("folder", "a folder, not a file"),
    ("gigabytes", "more than 64 MiB"),
];

/// Puts something else in place of a file.
fn place(kind: &str, path: &str) {
    // It may be a directory by now.
    let _ = fs::remove_file(path).or_else(|_| fs::remove_dir(path));
    match kind {
        "pipe" => assert!(Command::new("mkfifo").arg(path).status().expect("it runs").success()),
        "device" => symlink("/dev/zero", path).expect("a link can be made"),
        "folder" => fs::create_dir(path).expect("a directory can be made"),
        _ => File::create(path).and_then(|file| file.set_len(GIGABYTES)).expect("it has holes"),
    }
}

#[test]
fn an_unfit_file_is_one_line_at_the_start() {
    let folder = Folder::new();
    let path = folder.path("it");
    let fit = folder.write("fit", &certificate());
    for (kind, words) in UNFIT {
        place(kind, &path);
        for options in [
            &["--config", &path][..],
            &["--users-file", &path],
            &["--user", "a:b", "--tls-certificate", &path, "--tls-key", &fit],
            &["--user", "a:b", "--tls-certificate", &fit, "--tls-key", &path],
        ] {
            let output = command().args(options).output().expect("it runs");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success(), "{kind}, {options:?}: {said}");
            // Beside warnings of who else may read it.
            let errors = said.lines().filter(|line| !line.contains(" WARN "));
            let about: Vec<_> = errors.filter(|line| line.contains(&path)).collect();
            assert_eq!(about.len(), 1, "{kind}, {options:?}: {said}");
            assert!(about[0].contains(words), "{kind}, {options:?}: {said}");
        }
    }
}

/// A certificate that holds.
fn certificate() -> String {
    let key = KeyPair::generate().expect("a key can be made");
    let params = CertificateParams::new(vec!["a".to_owned()]).expect("it is a name");
    params.self_signed(&key).expect("the key can sign").pem()
}

#[test]
fn an_unfit_file_of_users_at_a_reload_leaves_those_there_are() {
    let folder = Folder::new();
    let path = folder.write("users", &format!("{USER}:{PASSWORD}\n"));
    let relay = Setup::of_nobody().with(&["--users-file", &path]).start();
    Client::new(relay.v4()).allocate();
    let before = peak_resident_bytes(relay.process.pid);
    for (times, (kind, words)) in UNFIT.into_iter().enumerate() {
        place(kind, &path);
        relay.process.signal(libc::SIGHUP);
        let stays = "the configuration stays as it was";
        let log = relay.process.wait_until_it_logs(stays, times + 1);
        let last = log.lines().rfind(|line| line.contains(stays)).expect("just seen");
        assert!(last.contains(&path) && last.contains(words), "{kind}: {last}");
        Client::new(relay.v4()).allocate();
        assert_eq!(Client::login(relay.v4(), "bob", "builder").fail(allocate()), 401);
    }
    let more = peak_resident_bytes(relay.process.pid) - before;
    assert!(more < 16 << 20, "{more} bytes went to files that are not read");
}
