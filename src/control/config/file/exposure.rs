//! Files of which others on the machine may learn a password, or let themselves in with one.
//!
//! Who may write to the configuration or to the file of users lets in whom he likes; who may read a
//! file with passwords or secrets in it is a user. Nothing is refused for it, since some machines
//! have nobody else on them, but it is said at the start, at each reload, and by `check-config` and
//! `doctor`.
//!
//! The group of a file is no stranger where the process is in it, which is how a server that is not
//! root reads a file that root writes (`root:uturn`, 0640). Root cannot tell for whom a group is
//! meant, and says nothing about groups.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, getegid, geteuid, getgroups};

/// A file, or a folder, that is open to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposure {
    path: PathBuf,
    mode: u32,
    mended: u32,
    fault: String,
}

/// Whether others may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::control) enum Content {
    /// It holds passwords or secrets.
    Secret,
    /// It holds the private key of a certificate.
    PrivateKey,
    /// It holds none.
    Public,
}

/// Who looks at a file.
#[derive(Clone, Debug)]
struct Identity {
    is_root: bool,
    groups: Vec<u32>,
}

/// Owner, mode and group of a file, as far as they matter here.
#[derive(Clone, Copy, Debug)]
struct Access {
    mode: u32,
    group: u32,
}

impl Exposure {
    /// What is so, without what to do.
    pub(in crate::control) fn what(&self) -> String {
        format!("{} has mode {:04o}: {}", self.path.display(), self.mode, self.fault)
    }

    /// The command that mends it.
    pub(in crate::control) fn remedy(&self) -> String {
        format!("chmod {:04o} {}", self.mended, self.path.display())
    }
}

impl fmt::Display for Exposure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.what(), self.remedy())
    }
}

/// What is wrong with a file and with the folder it is in. Of what cannot be looked at nothing is
/// said.
pub(in crate::control) fn of(path: &Path, content: Content) -> Vec<Exposure> {
    let identity = Identity::of_this_process();
    let file = access(path).and_then(|access| of_file(path, access, content, &identity));
    let whole = fs::canonicalize(path).ok();
    let folder = whole.as_deref().and_then(Path::parent);
    let folder = folder.and_then(|folder| of_folder(folder, access(folder)?, path));
    file.into_iter().chain(folder).collect()
}

fn access(path: &Path) -> Option<Access> {
    let found = fs::metadata(path).ok()?;
    let is_kept = found.is_file() || found.is_dir();
    is_kept.then(|| Access { mode: found.mode() & 0o7777, group: found.gid() })
}

fn of_file(path: &Path, access: Access, content: Content, identity: &Identity) -> Option<Exposure> {
    let Access { mode, group } = access;
    let harmful = match content {
        Content::Secret | Content::PrivateKey => 0o6,
        Content::Public => 0o2,
    };
    let of_others = mode & harmful;
    let of_group = if identity.trusts(group) { 0 } else { mode >> 3 & harmful };
    let who = match (of_others, of_group) {
        (0, 0) => return None,
        (0, _) => format!("group {group}"),
        (_, _) => "every user of this machine".to_owned(),
    };
    let what = if content == Content::PrivateKey { "key" } else { "passwords" };
    let deed = match of_others | of_group {
        0o2 => "may change it".to_owned(),
        0o4 => format!("may read the {what} in it"),
        _ => format!("may read the {what} in it and change it"),
    };
    let mended = mode & !(of_others | of_group << 3);
    // Whoever may not read a file has no use for the right to write to it, either.
    let mended = if content == Content::Public { mended } else { mended & !0o7 };
    Some(Exposure { path: path.to_owned(), mode, mended, fault: format!("{who} {deed}") })
}

/// In a folder that everybody may write to, a file can be replaced whatever its own mode, unless
/// the folder is sticky.
fn of_folder(folder: &Path, access: Access, file: &Path) -> Option<Exposure> {
    let mode = access.mode;
    let is_open = mode & 0o2 != 0 && mode & 0o1000 == 0;
    is_open.then(|| {
        let fault = format!("every user of this machine may replace {} in it", file.display());
        Exposure { path: folder.to_owned(), mode, mended: mode & !0o2, fault }
    })
}

impl Identity {
    fn of_this_process() -> Self {
        let groups = getgroups().unwrap_or_default().into_iter().chain([getegid()]);
        Self { is_root: geteuid().is_root(), groups: groups.map(Gid::as_raw).collect() }
    }

    fn trusts(&self, group: u32) -> bool {
        self.is_root || self.groups.contains(&group)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const OWN: u32 = 7;
    const OTHER: u32 = 8;

    fn judge(mode: u32, group: u32, content: Content) -> Option<(String, u32)> {
        let server = Identity { is_root: false, groups: vec![OWN] };
        let found = of_file(Path::new("users"), Access { mode, group }, content, &server);
        found.map(|exposure| (exposure.fault, exposure.mended))
    }

    #[test]
    fn a_secret_file_is_its_owners_and_the_servers_groups() {
        for (mode, group) in [(0o600, OTHER), (0o400, OTHER), (0o640, OWN), (0o660, OWN)] {
            assert_eq!(judge(mode, group, Content::Secret), None, "{mode:o}");
        }
        for (mode, group, fault, mended) in [
            (
                0o666,
                OWN,
                "every user of this machine may read the passwords in it and change it",
                0o660,
            ),
            (0o604, OTHER, "every user of this machine may read the passwords in it", 0o600),
            (0o602, OTHER, "every user of this machine may change it", 0o600),
            (0o640, OTHER, "group 8 may read the passwords in it", 0o600),
            (0o620, OTHER, "group 8 may change it", 0o600),
            (0o644, OWN, "every user of this machine may read the passwords in it", 0o640),
            (
                0o647,
                OWN,
                "every user of this machine may read the passwords in it and change it",
                0o640,
            ),
        ] {
            let expected = Some((fault.to_owned(), mended));
            assert_eq!(judge(mode, group, Content::Secret), expected, "{mode:o}");
        }
    }

    #[test]
    fn a_private_key_is_closed_as_passwords_are() {
        let key = |mode| judge(mode, OTHER, Content::PrivateKey);
        assert_eq!(key(0o600), None);
        let fault = "every user of this machine may read the key in it".to_owned();
        assert_eq!(key(0o604), Some((fault, 0o600)));
    }

    #[test]
    fn a_file_without_secrets_may_be_read_and_not_written_by_others() {
        assert_eq!(judge(0o644, OTHER, Content::Public), None);
        let (fault, mended) = judge(0o666, OTHER, Content::Public).unwrap();
        assert_eq!((&*fault, mended), ("every user of this machine may change it", 0o644));
    }

    #[test]
    fn root_says_nothing_about_groups() {
        let root = Identity { is_root: true, groups: vec![0] };
        let judge = |mode| {
            let access = Access { mode, group: OTHER };
            of_file(Path::new("users"), access, Content::Secret, &root)
        };
        assert_eq!((judge(0o660), judge(0o664).map(|it| it.mended)), (None, Some(0o660)));
    }

    #[test]
    fn what_is_done_as_told_is_silent() {
        for mode in 0..=0o777 {
            for (content, group) in [(Content::Secret, OWN), (Content::Public, OTHER)] {
                let Some((_, mended)) = judge(mode, group, content) else { continue };
                assert_eq!(judge(mended, group, content), None, "{mode:o} {mended:o}");
                assert_eq!(mended & !mode, 0, "no right is added: {mode:o} {mended:o}");
            }
        }
    }

    #[test]
    fn a_line_names_file_mode_and_remedy() {
        let folder = std::env::temp_dir().join(format!("uturn-exposure-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let path = folder.join("users");
        fs::write(&path, "a:b\n").unwrap();
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
        set(&folder, 0o777).unwrap();
        set(&path, 0o646).unwrap();
        let lines: Vec<_> = of(&path, Content::Secret).iter().map(ToString::to_string).collect();
        let (file, folder_name) = (path.display(), folder.display());
        let who = "every user of this machine may";
        assert_eq!(
            lines,
            [
                format!(
                    "{file} has mode 0646: {who} read the passwords in it and change it: \
                     chmod 0640 {file}"
                ),
                format!(
                    "{folder_name} has mode 0777: {who} replace {file} in it: \
                     chmod 0775 {folder_name}"
                ),
            ]
        );
        set(&folder, 0o1777).unwrap();
        set(&path, 0o600).unwrap();
        assert_eq!(of(&path, Content::Secret), []);
        assert_eq!(of(Path::new("/dev/null"), Content::Secret), [], "there is nothing in it");
        fs::remove_dir_all(&folder).unwrap();
    }
}
