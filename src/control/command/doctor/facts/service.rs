//! What the service's user may read: root may read everything, and so proves nothing.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::geteuid;

use super::tree::Tree;

/// Where units are, the administrator's first.
const UNITS: [&str; 3] = [
    "etc/systemd/system/uturn.service",
    "usr/lib/systemd/system/uturn.service",
    "lib/systemd/system/uturn.service",
];

/// The user of the unit, and what of the server's files is closed to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::control) struct ServiceUser {
    pub(in crate::control) name: String,
    pub(in crate::control) unreadable: Vec<PathBuf>,
}

impl ServiceUser {
    /// Tries each file as the user of the unit; `None` where there is no unit, or where this
    /// process is not root and cannot be another user.
    pub(in crate::control) fn trying(files: &[PathBuf]) -> Option<Self> {
        if !geteuid().is_root() {
            return None;
        }
        let name = user(&Tree::at(Path::new("/")))?;
        // A user who is not there yet reads nothing, and says nothing about the files.
        let can = |test: &str, path: &Path| may(&name, test, path);
        if !can("-d", Path::new("/"))? {
            return None;
        }
        let closed = |path: &&PathBuf| path.exists() && can("-r", path) == Some(false);
        let unreadable = files.iter().filter(closed).cloned().collect();
        Some(Self { name, unreadable })
    }
}

/// The `User=` of the unit that holds.
fn user(tree: &Tree) -> Option<String> {
    let unit = UNITS.iter().find_map(|path| tree.text(path))?;
    let mut named = unit.lines().filter_map(|line| line.trim().strip_prefix("User="));
    named.next_back().map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned)
}

/// Whether a test of a path holds for a user; `None` where it cannot be tried.
fn may(user: &str, test: &str, path: &Path) -> Option<bool> {
    let mut command = Command::new("runuser");
    command.args(["-u", user, "--", "test", test]).arg(path);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().ok().map(|status| status.success())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_administrators_unit_wins_and_its_last_user_holds() {
        let root = std::env::temp_dir().join(format!("uturn-units-{}", std::process::id()));
        let put = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let tree = Tree::at(&root);
        assert_eq!(user(&tree), None);
        put(UNITS[1], "[Service]\nUser=packaged\n");
        assert_eq!(user(&tree).as_deref(), Some("packaged"));
        put(UNITS[0], "[Service]\nUser=uturn\n User= relay\nGroup=relay\n");
        assert_eq!(user(&tree).as_deref(), Some("relay"));
        put(UNITS[0], "[Service]\nExecStart=/usr/bin/uturn\n");
        assert_eq!(user(&tree), None, "it is root's");
        fs::remove_dir_all(&root).unwrap();
    }

    // Only root can be somebody else.
    #[test]
    fn a_file_of_root_is_closed_to_others_and_one_for_all_is_not() {
        if !geteuid().is_root() || may("nobody", "-d", Path::new("/")) != Some(true) {
            return;
        }
        assert_eq!(may("nobody", "-r", Path::new("/etc/passwd")), Some(true));
        assert_eq!(may("nobody", "-r", Path::new("/etc/shadow")), Some(false));
    }
}
