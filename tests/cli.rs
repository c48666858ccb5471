//! The command line of the real binary: what it prints, where, and with which exit status.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::Write;
use std::process::{Command, Output};

fn uturn(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_uturn")).args(words).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A file with options, gone when dropped.
struct File(std::path::PathBuf);

impl File {
    fn with(name: &str, text: &str) -> Self {
        let name = format!("uturn-cli-{}-{name}.toml", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

/// Runs something that must be refused: status 2, nothing on standard output, one line on
/// standard error, which is returned.
fn refused(words: &[&str]) -> String {
    let output = uturn(words);
    assert_eq!(output.status.code(), Some(2), "{words:?}: {}", stderr(&output));
    assert_eq!(stdout(&output), "", "{words:?}");
    let line = stderr(&output);
    assert_eq!(line.lines().count(), 1, "{words:?}: {line}");
    line
}

#[test]
fn check_config_prints_what_would_hold_without_secrets() {
    let text = "listen = ['127.0.0.1:3478']\nuser = ['alice:wonderland']\n\
                secret = ['looking-glass']\nrelay-ports = '50000-50999'\nworkers = 2\n";
    let output = uturn(&["check-config", File::with("good", text).path()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let printed = stdout(&output);
    for line in [
        "listen = [\"127.0.0.1:3478\"]",
        "relay-ports = \"50000-50999\"",
        "user = [\"alice:***\"]",
        "secret = [\"***\"]",
        "max-lifetime = 3600",
    ] {
        assert!(printed.lines().any(|printed| printed == line), "{line} is not in:\n{printed}");
    }
    assert!(!printed.contains("wonderland") && !printed.contains("looking-glass"));
}

#[test]
fn what_check_config_prints_is_a_file_again() {
    let text = "listen = ['127.0.0.1:3478']\nrealm = 'say \"hello\"'\nsecret = 'generate'\n";
    let file = File::with("first", text);
    let first = stdout(&uturn(&["check-config", file.path()]));
    let again = File::with("again", &first);
    assert_eq!(stdout(&uturn(&["check-config", again.path()])), first);
}

#[test]
fn a_bad_file_is_refused_with_its_line() {
    let file = File::with("bad", "realm = 'a'\n\nrelay-ports = '60000-50000'\n");
    let expected = format!(
        "uturn: {}:3: relay-ports: 60000-50000 is reversed: write 50000-60000\n",
        file.path()
    );
    assert_eq!(refused(&["check-config", file.path()]), expected);
    assert_eq!(refused(&["--config", file.path()]), expected);
}

#[test]
fn a_file_that_is_not_there_is_refused() {
    let line = refused(&["check-config", "/nonexistent/uturn.toml"]);
    assert!(line.contains("/nonexistent/uturn.toml: config: the file cannot be read"), "{line}");
}

#[test]
fn bad_flags_are_refused_in_one_line_that_names_them() {
    let host = ["credentials", "--secret", "looking-glass", "--host", "http://x/"];
    let refusals: [(&[&str], &str); 16] = [
        (&["--relay-ports", "5-4"], "command line: relay-ports: 5-4 is reversed"),
        (&["--workers", "0"], "command line: workers: 0 is out of bounds"),
        (&["--workers", "many"], "command line: workers: 'many' is not a whole number"),
        (&["--max-bps", "1Mbit"], "max-bps: '1Mbit' is not a whole number: write digits alone"),
        (&["--max-bps", "5000000000"], "max-bps: 5000000000 is too large"),
        (&["--user", "alice"], "command line: user: there is no ':' in it"),
        (&["--listen", "nowhere"], "command line: listen: 'nowhere' is not an address"),
        (&["--deny-peers", "10.0.0.0/40"], "command line: deny-peers: '10.0.0.0/40' is not"),
        (&["--realm"], "a value is required for '--realm <NAME>'"),
        (&["--relam", "a"], "unexpected argument '--relam'"),
        (&["credentials", "--ttl", "abc"], "ttl: write a whole number of seconds, 1 to 315360000"),
        (&["drain", "--deadline", "1h"], "deadline: write a whole number of seconds, 0 to 604800"),
        (&["check", "--timeout", "0"], "timeout: write a whole number of seconds, 1 to 60"),
        (&["check", "--server", "http://x/"], "server: write a name or an address"),
        (&host, "host: write a name or an address, such as turn.example.org"),
        (&["credentials"], "no secret: name the server's file with --config"),
    ];
    for (words, problem) in refusals {
        let line = refused(words);
        assert!(line.contains(problem), "{words:?}: {line}");
    }
}

#[test]
fn a_bad_password_is_not_repeated() {
    assert!(!refused(&["--user", ":wonderland"]).contains("wonderland"));
    let long = "wonderland".repeat(60);
    assert!(!refused(&["--secret", &long]).contains("wonderland"));
}

#[test]
fn credentials_can_be_used_as_they_are_printed() {
    let words = ["--secret", "looking-glass", "--user", "alice", "--ttl", "60", "--host", "h"];
    let output = uturn(&[&["credentials"], &words[..]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let printed = stdout(&output);
    let value = |name: &str| {
        let line = printed.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("{name} is not in:\n{printed}")).to_owned()
    };
    let (username, password) = (value("username: "), value("password: "));
    let (expiry, user) = username.split_once(':').unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert!((0..=60).contains(&(expiry.parse::<i64>().unwrap() - now.as_secs().cast_signed())));
    assert_eq!(user, "alice");
    let ice: serde_json::Value = serde_json::from_str(&value("iceServers: ")).unwrap();
    let urls = serde_json::json!(["stun:h:3478", "turn:h:3478", "turn:h:3478?transport=tcp"]);
    assert_eq!(ice[0]["urls"], urls);
    assert_eq!(ice[0]["username"], username);
    assert_eq!(ice[0]["credential"], password);
    let expected = uturn::wire::time_limited_password(b"looking-glass", username.as_bytes());
    assert_eq!(password, expected.as_str());
    let json = stdout(&uturn(&[&["credentials", "--json"], &words[..]].concat()));
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON and nothing else");
    assert_eq!(
        (&json["iceServers"][0]["urls"], &json["username"]),
        (&urls, &json["iceServers"][0]["username"])
    );
    assert_eq!(json["password"], json["iceServers"][0]["credential"]);
    assert!(json["username"].as_str().unwrap().starts_with(&json["expiry_s"].to_string()));
}

#[test]
fn credentials_name_the_transports_of_the_servers_file() {
    let file =
        File::with("ice", "listen = ['127.0.0.1:3400']\ntcp = 'off'\nsecret = ['a-secret']\n");
    let urls = |more: &[&str]| {
        let words = [&["credentials", "--config", file.path()], more].concat();
        let printed = stdout(&uturn(&words));
        let ice = printed.lines().find_map(|line| line.strip_prefix("iceServers: "));
        let ice: serde_json::Value = serde_json::from_str(ice.expect("a line")).expect("JSON");
        ice[0]["urls"].clone()
    };
    assert_eq!(urls(&["--host", "h"]), serde_json::json!(["stun:h:3400", "turn:h:3400"]));
    assert_eq!(urls(&[]), serde_json::json!(["stun:127.0.0.1:3400", "turn:127.0.0.1:3400"]));
}

#[test]
fn help_names_every_option() {
    let output = uturn(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    let help = stdout(&output);
    for key in uturn::control::config::schema::KEYS {
        assert!(help.contains(&format!("--{}", key.name)), "--{} is missing", key.name);
    }
    assert!(stdout(&uturn(&["--version"])).starts_with("uturn "));
}

#[test]
fn the_short_help_fits_a_screen_and_the_long_one_is_by_subject() {
    let short = stdout(&uturn(&["-h"]));
    assert!(short.lines().count() <= 50, "{} lines:\n{short}", short.lines().count());
    for part in ["--listen", "--secret", "--config", "drain", "uturn --help"] {
        assert!(short.contains(part), "{part} is not in:\n{short}");
    }
    assert!(!short.contains("--busy-poll-us"));
    let long = stdout(&uturn(&["--help"]));
    let heads = ["Addresses:", "Users:", "Performance:", "Limits:", "Operation:", "Examples:"];
    let places = heads.map(|head| long.lines().position(|line| line == head).expect(head));
    assert!(places.is_sorted(), "{places:?}");
}

// A server that lasts must not have another secret after each start without a word.
#[test]
fn a_file_that_lets_nobody_in_is_refused_unless_it_asks_for_a_secret() {
    let file = File::with("nobody", "realm = 'a'\n");
    for words in [["check-config", file.path()], ["--config", file.path()]] {
        let line = refused(&words);
        assert!(line.contains("secret: there is neither a user nor a secret"), "{line}");
    }
    let file = File::with("generate", "realm = 'a'\nsecret = 'generate'\n");
    let output = uturn(&["check-config", file.path()]);
    let printed = stdout(&output);
    assert!(
        printed.contains("\nsecret = [\"generate\"] # one is made at every start\n"),
        "{printed}"
    );
}

#[test]
fn the_environment_stands_between_the_file_and_the_command_line() {
    let file = File::with("environment", "realm = 'file'\nuser-quota = 7\n");
    let with = |variables: &[(&str, &str)], words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_uturn"));
        command.args(words).envs(variables.iter().copied());
        command.output().expect("it runs")
    };
    let variables = [
        ("UTURN_REALM", "variable"),
        ("UTURN_SECRET", "one-secret two-secrets"),
        ("UTURN_USER", ""),
    ];
    let output = with(&variables, &["check-config", file.path()]);
    let printed = stdout(&output);
    for line in [
        "realm = \"variable\" # from UTURN_REALM",
        "secret = [\"***\", \"***\"] # from UTURN_SECRET",
        "user = []",
        "user-quota = 7",
    ] {
        assert!(printed.lines().any(|printed| printed == line), "{line} is not in:\n{printed}");
    }
    let output = with(&[("UTURN_SECRET", "short")], &["check-config", file.path()]);
    let problem = "uturn: UTURN_SECRET: secret: the secret has 5 bytes: write 8 to 512\n";
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(2), problem));
}

#[test]
fn the_doctor_says_in_its_status_whether_it_found_anything_of_weight() {
    let output = uturn(&["doctor", "--json"]);
    let found: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert!(found["checks"].as_u64().unwrap() > 15);
    let findings = found["findings"].as_array().unwrap();
    let has_weight = findings.iter().any(|finding| finding["severity"] != "hint");
    assert_eq!(output.status.code(), Some(i32::from(has_weight)), "{found:#}");
    let text = stdout(&uturn(&["doctor"]));
    assert!(text.lines().last().unwrap().contains(" checks: "), "{text}");
}

#[test]
fn the_doctor_finds_what_the_configuration_asks_for_in_vain() {
    let text = "listen = ['127.0.0.1:50000']\nrelay-ip = ['127.0.0.1']\n\
                relay-ports = '50000-50999'\nuser = 'alice:wonderland'\n";
    let file = File::with("doctor", text);
    let output = uturn(&["doctor", "--config", file.path()]);
    assert_eq!(output.status.code(), Some(1));
    for check in ["[listener-among-relay-ports]", "[private-address]"] {
        assert!(stdout(&output).contains(check), "{check} is not in:\n{}", stdout(&output));
    }
    let bad = File::with("doctor-bad", "colour = 1\n");
    assert!(refused(&["doctor", "--config", bad.path()]).contains("colour"));
}

#[test]
fn the_example_is_a_configuration() {
    let example = stdout(&uturn(&["example-config"]));
    let file = File::with("untouched", &example);
    assert!(refused(&["check-config", file.path()]).contains("neither a user nor a secret"));
    let file = File::with("example", &format!("secret = 'generate'\n{example}"));
    let output = uturn(&["check-config", file.path()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn the_manual_has_every_option_and_every_command() {
    let page = stdout(&uturn(&["man"])).replace("\\-", "-");
    for key in uturn::control::config::schema::KEYS {
        assert!(page.contains(&format!("--{}", key.name)), "--{} is missing", key.name);
    }
    let help = stdout(&uturn(&["--help"]));
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands: Vec<&str> = commands
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(commands.contains(&"check-config"), "the commands are found: {help}");
    for command in commands {
        let title = format!("UTURN {}", command.to_uppercase());
        assert!(page.contains(&title), "{title} is missing");
    }
}

#[test]
fn completions_are_a_script_of_the_shell() {
    let script = File::with("completions", &stdout(&uturn(&["completions", "bash"])));
    assert!(std::fs::read_to_string(script.path()).unwrap().contains("check-config"));
    let checked = Command::new("bash").args(["-n", script.path()]).output().unwrap();
    assert!(checked.status.success(), "{}", stderr(&checked));
}
