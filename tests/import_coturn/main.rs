//! `uturn import-coturn` on whole files, and on every option that an installed coturn knows.
//!
//! Beside each sample stand what is to come out of it (`.toml`) and what the reader is to be told
//! (`.notes`).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod real;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

const SAMPLES: &str = "tests/import_coturn";
const NAMES: [&str; 9] =
    ["node", "users", "homeserver", "meeting", "edited", "balanced", "talk", "classroom", "fleet"];

fn uturn(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_uturn"));
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(SAMPLES)).args(words);
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A folder of this test alone, gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("uturn-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn samples_come_out_as_they_stand_beside_them() {
    let folder = Folder::new("import-samples");
    for name in NAMES {
        let output = uturn(&["import-coturn", &format!("{name}.conf")]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        for (extension, made) in [("toml", &output.stdout), ("notes", &output.stderr)] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(SAMPLES).join(name);
            let expected = fs::read_to_string(path.with_extension(extension)).unwrap_or_default();
            let made = text(made);
            assert!(made == expected, "{name}.{extension} should be:\n{made}");
        }
        let toml = folder.file(name);
        fs::write(&toml, &output.stdout).unwrap();
        let checked = uturn(&["check-config", &toml]);
        // Certificates of a sample are not on this machine.
        let (code, said) = (checked.status.code(), text(&checked.stderr));
        let has_no_file = said.contains(": no such file");
        assert_eq!(code, Some(if has_no_file { 2 } else { 0 }), "{said}");
        assert_eq!(has_no_file, text(&output.stdout).contains("tls-certificate"), "{said}");
    }
}

#[test]
fn the_guide_shows_notes_as_they_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guide = fs::read_to_string(root.join("docs/from-coturn.md")).unwrap();
    let shown = guide.lines().filter_map(|line| Some((line, line.split_once(".conf:")?.0)));
    let shown: Vec<(&str, &str)> = shown.collect();
    assert!(shown.len() > 3, "{shown:?}");
    for (note, name) in shown {
        let notes = fs::read_to_string(root.join(SAMPLES).join(name).with_extension("notes"));
        assert!(notes.unwrap().lines().any(|line| line == note), "{note}");
    }
}

#[test]
fn the_file_is_for_its_owner_alone_and_none_is_overwritten() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("import-file");
    let toml = folder.file("uturn.toml");
    let output = uturn(&["import-coturn", "node.conf", "-o", &toml]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), String::new()));
    assert_eq!(fs::metadata(&toml).unwrap().permissions().mode() & 0o777, 0o600);
    let again = uturn(&["import-coturn", "node.conf", "-o", &toml]);
    let said = format!("uturn: {toml}: there is a file already: name another\n");
    assert_eq!((again.status.code(), text(&again.stderr)), (Some(2), said));
    let missing = uturn(&["import-coturn", "missing.conf"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(text(&missing.stderr).starts_with("uturn: missing.conf: the file cannot be read"));
}

#[test]
fn users_with_keys_go_to_a_file_of_their_own() {
    let folder = Folder::new("import-keys");
    let (toml, users) = (folder.file("uturn.toml"), folder.file("users"));
    let output = uturn(&["import-coturn", "users.conf", "-o", &toml, "--users-file", &users]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(!text(&output.stderr).contains("carol"), "{}", text(&output.stderr));
    let expected = "carol:0x5dc2ec4ddfc0a5a8b80c1f0c3dcb8d2f\n";
    assert_eq!(fs::read_to_string(&users).unwrap(), expected);
    let checked = uturn(&["check-config", &toml]);
    assert!(text(&checked.stdout).contains(&users), "{}", text(&checked.stderr));
}

#[test]
fn every_option_of_an_installed_coturn_is_known() {
    let options = installed_options();
    if options.is_empty() {
        return skip("every_option_of_an_installed_coturn_is_known", "coturn");
    }
    assert!(options.len() > 90, "the options of coturn are found: {options:?}");
    let folder = Folder::new("import-options");
    let conf = folder.file("turnserver.conf");
    fs::write(&conf, options.iter().map(|name| format!("{name}\n")).collect::<String>()).unwrap();
    let notes = text(&uturn(&["import-coturn", &conf]).stderr);
    let unknown: Vec<&str> = notes.lines().filter(|note| note.contains(": unknown: ")).collect();
    assert!(unknown.is_empty(), "{}", unknown.join("\n"));
    // And the whole of Debian's file, with everything that is commented out said.
    let said: String = example().lines().filter_map(commented).map(|line| line + "\n").collect();
    fs::write(&conf, &said).unwrap();
    let output = uturn(&["import-coturn", &conf]);
    assert_eq!(output.status.code(), Some(0));
    assert!(!text(&output.stderr).contains(": unknown: "), "{}", text(&output.stderr));
}

/// The names of all options that the help and the example of the installed coturn have.
fn installed_options() -> BTreeSet<String> {
    let Ok(help) = Command::new("turnserver").arg("-h").output() else { return BTreeSet::new() };
    let help = text(&help.stdout) + &text(&help.stderr);
    let heads = help.lines().filter(|line| line.trim_start().starts_with('-'));
    let long = heads.flat_map(|line| {
        let line = line.split('\t').next().unwrap_or_default();
        line.split("--").skip(1).map(|rest| rest.chars().take_while(is_name).collect())
    });
    let said = example().lines().filter_map(commented).collect::<Vec<_>>();
    let said = said.iter().map(|line| line.chars().take_while(is_name).collect());
    long.chain(said).filter(|name: &String| !name.is_empty()).collect()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what take_while hands over")]
fn is_name(letter: &char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_')
}

/// Debian's file, or nothing.
fn example() -> String {
    let file = "/usr/share/doc/coturn/examples/etc/turnserver.conf";
    fs::read_to_string(file)
        .or_else(|_| fs::read_to_string("/etc/turnserver.conf"))
        .unwrap_or_default()
}

/// An option of the file, whether it is commented out or not; `None` for prose.
fn commented(line: &str) -> Option<String> {
    let line = line.strip_prefix('#').unwrap_or(line);
    let name: String = line.chars().take_while(is_name).collect();
    let rest = &line[name.len()..];
    let is_option = !name.is_empty() && (rest.is_empty() || rest.starts_with(['=', ' ']));
    let is_prose = rest.trim_start().contains(' ') && !rest.contains(['=', '"']);
    (is_option && !is_prose).then(|| line.to_owned())
}

/// Notes that a test could not run here and why; `tests/run` prints the notes at its end.
fn skip(test: &str, missing: &str) {
    use std::io::Write;
    let note = format!("{test}: this machine lacks {missing}");
    eprintln!("skipped: {note}");
    let Some(path) = env::var_os("UTURN_SKIPPED") else { return };
    let file = fs::OpenOptions::new().create(true).append(true).open(path);
    file.and_then(|mut file| writeln!(file, "{note}")).unwrap();
}
