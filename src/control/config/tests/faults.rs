//! What is wrong with what was written, and where that is said.

use super::settle;
use crate::control::config::schema::KEYS;

/// Each file, the line that is named, the key, and a part of the problem.
const BAD_FILES: [(&str, usize, &str, &str); 69] = [
    ("relay-ports = '6000-5000'", 1, "relay-ports", "6000-5000 is reversed: write 5000-6000"),
    ("relay-ports = '5000'", 1, "relay-ports", "write LOW-HIGH"),
    ("relay-ports = '80-5000'", 1, "relay-ports", "begins below 1024"),
    ("relay-ports = '5000-70000'", 1, "relay-ports", "not a port range"),
    ("relay-ports = 5000", 1, "relay-ports", "not a port range"),
    ("\nrelay-ip = ['192.0.2.9']", 2, "relay-ip", "not an address of this machine"),
    ("relay-ip = ['0.0.0.0']", 1, "relay-ip", "write the address itself"),
    ("relay-ip = ['224.0.0.1']", 1, "relay-ip", "group address"),
    ("relay-ip = ['::ffff:10.0.0.5']", 1, "relay-ip", "write it as 10.0.0.5"),
    ("relay-ip = ['node-1']", 1, "relay-ip", "not an IP address"),
    (
        "external-ip = ['2001:db8::9']\nrelay-ip = ['10.0.0.5']",
        1,
        "external-ip",
        "no relay address of the family",
    ),
    (
        "external-ip = ['198.51.100.1']\nrelay-ip = ['10.0.0.5', '10.0.0.6']",
        1,
        "external-ip",
        "several relay addresses",
    ),
    (
        "external-ip = ['198.51.100.1/10.0.0.6']\nrelay-ip = ['10.0.0.5']",
        1,
        "external-ip",
        "10.0.0.6 is not a relay address",
    ),
    ("external-ip = ['198.51.100.1/2001:db8::5']", 1, "external-ip", "mixes IPv4 with IPv6"),
    (
        "external-ip = ['198.51.100.1',\n '198.51.100.2']",
        2,
        "external-ip",
        "second external address",
    ),
    ("user = ['alice:a',\n  'bob:b',\n  'alice:c']", 3, "user", "'alice' is there twice"),
    ("user = ['alice:']", 1, "user", "the password is empty"),
    ("user = [':secret']", 1, "user", "the name is empty"),
    ("user = ['alice']", 1, "user", "write NAME:PASSWORD"),
    ("user = { alice = 'a' }", 1, "user", "one value or an array of them"),
    ("secret = ['short']", 1, "secret", "has 5 bytes"),
    ("secret = ['']", 1, "secret", "empty"),
    ("realm = ''", 1, "realm", "it has 0 characters: write 1 to 127"),
    ("workers = 0", 1, "workers", "0 is out of bounds: write 1-128"),
    ("workers = 129", 1, "workers", "out of bounds"),
    ("workers = -1", 1, "workers", "not a whole number"),
    ("workers = 1.5", 1, "workers", "'1.5' is not a whole number"),
    ("max-lifetime = 0", 1, "max-lifetime", "write 1-86400"),
    ("allow-peers = ['10.0.0.0/33']", 1, "allow-peers", "not a network"),
    ("deny-peers = ['everything']", 1, "deny-peers", "not a network"),
    ("listen = ['127.0.0.1:0']", 1, "listen", "port 0"),
    ("listen = ['192.0.2.9:3478']", 1, "listen", "not an address of this machine"),
    ("metrics = ['127.0.0.1']", 1, "metrics", "write 9641 or"),
    ("metrics = [0]", 1, "metrics", "port 0"),
    ("\nusage-interval = 60", 2, "usage-interval", "write usage-records, too"),
    ("usage-records = ''", 1, "usage-records", "no path"),
    ("log = 'loud'", 1, "log", "write one of off, error"),
    ("control = 'on'", 1, "control", "write a path, or off"),
    ("external-ip = 'auto'", 1, "external-ip", "write stun:HOST"),
    ("\nrealm = example.org", 2, "realm", "text stands in quotes: write realm = \"…\""),
    ("relay-ports = 50000-50010", 1, "relay-ports", "text stands in quotes"),
    ("listen = 0.0.0.0:3478", 1, "listen", "text stands in quotes"),
    ("realm =", 1, "realm", "text stands in quotes"),
    ("secret = [north-of-here]", 1, "secret", "write secret = [\"…\"]"),
    ("secret = [\n  north-of-here\n]", 2, "secret", "invalid"),
    ("realm: example.org", 1, "realm", "there is no '=' in the line: write realm = \"…\""),
    ("user = 'a:b'\n[server]\nlog = 'info'", 2, "server", "unknown field `server`"),
    ("[listen]\nport = 3478", 1, "listen", "one value or an array of them"),
    ("listening-port=3478", 1, "listening-port", "uturn import-coturn FILE"),
    ("# turnserver.conf\nlt-cred-mech", 2, "lt-cred-mech", "uturn import-coturn FILE"),
    ("realm = 'a'\ncli-password=word", 2, "cli-password", "uturn import-coturn FILE"),
    ("user = 'a:b", 1, "user", "invalid"),
    ("tls-certificate = ['/a',\n '/b']\ntls-key = ['/a']", 2, "tls-certificate", "write tls-key"),
    ("tls-key = ['/a']", 1, "tls-key", "write tls-certificate, too"),
    ("listen-tls = ['10.0.0.5']", 1, "listen-tls", "there is no certificate"),
    ("listen-tls = ['10.0.0.5:0']", 1, "listen-tls", "port 0"),
    (
        "listen = ['10.0.0.5:443']\nlisten-tls = ['10.0.0.5:443']\n\
         tls-certificate = ['/a']\ntls-key = ['/b']",
        2,
        "listen-tls",
        "10.0.0.5:443 is in listen, which takes TLS, too",
    ),
    ("web-backend = '127.0.0.1'", 1, "web-backend", "write 127.0.0.1:8443"),
    ("web-backend = 'unix:'", 1, "web-backend", "it is no path"),
    ("web-backend = '0.0.0.0:80'", 1, "web-backend", "is not a place"),
    ("web-names = ['a.example']", 1, "web-names", "there is no web backend"),
    ("web-backend = '[::1]:1'\nweb-names = ['a..b']", 2, "web-names", "is no host"),
    ("\nweb-proxy = true", 2, "web-proxy", "there is no web backend"),
    ("stream-delay = 49", 1, "stream-delay", "write 50-5000"),
    ("realm = 'a'\nrealm = 'b'", 2, "realm", "duplicate key"),
    ("realm = 'a'\nrelam = 'b'", 2, "relam", "did you mean `realm`?"),
    ("relay_ports = '5000-6000'", 1, "relay_ports", "did you mean `relay-ports`?"),
    ("\ncolour = 'red'", 2, "colour", "`uturn example-config` shows every key"),
    ("realm = 'a'\nworkers 4", 2, "workers", "="),
];

#[test]
fn a_bad_value_in_the_file_names_file_line_and_key() {
    for (file, line, key, problem) in BAD_FILES {
        let error = settle(file, &[]).expect_err(file);
        assert_eq!(error.origin, format!("uturn.toml:{line}"), "{file}: {error}");
        assert_eq!(error.key, key, "{file}: {error}");
        assert!(error.problem.contains(problem), "{file}: {error}");
        assert_eq!(error.to_string().lines().count(), 1, "{file}: {error}");
    }
}

#[test]
fn a_secret_without_quotes_on_a_line_of_its_own_is_shown_nowhere() {
    for secret in ["c2VjcmV0", "c2VjcmV0cw==", "c2VjcmV0cw=", "c2Vj_-V0cw==", "c2Vj+mV0cw=="] {
        for behind in ["", ",", " ,", "\",", "'", "]", " # the old one", ", # the old one"] {
            let file = format!("secret = [\n  'another-secret',\n  {secret}{behind}\n]\n");
            let error = settle(&file, &[]).expect_err(&file);
            assert!(!error.to_string().contains("c2Vj"), "{file}: {error}");
            assert_eq!(error.key, "secret", "{file}: {error}");
        }
    }
}

// One line of the log, whatever somebody put into the file.
#[test]
fn an_error_shows_little_of_a_long_line() {
    let long = "long words ".repeat(10_000);
    let one = "x".repeat(100_000);
    let most = 400 + KEYS.iter().map(|key| key.name.len() + 4).sum::<usize>();
    for file in [
        long.clone(),
        one.clone(),
        format!("{one} = 1"),
        format!("'{long}' = 1"),
        format!("realm = '{long}"),
        format!("log = '{long}'"),
        format!("workers = '{one}'"),
        format!("allow-peers = ['{long}']"),
        format!("realm = 1\nrealm = {one}"),
    ] {
        let start = &file[..20];
        let error = settle(&file, &[]).expect_err(start).to_string();
        assert!(error.len() <= most, "{} bytes for {start}…: {error:.600}", error.len());
    }
    let error = settle(&format!("log = '{long}'"), &[]).unwrap_err();
    assert!(error.problem.contains("write one of off, error"), "{error}");
}

#[test]
fn a_bad_value_on_the_command_line_is_named_after_its_flag() {
    let bad = [
        (["--workers", "300"], "command line: workers: 300 is out of bounds"),
        (["--relay-ip", "192.0.2.9"], "command line: relay-ip: 192.0.2.9 is not an address"),
        (
            ["--external-ip", "2001:db8::9/::1"],
            "command line: external-ip: ::1 is not a relay address",
        ),
    ];
    for (words, start) in bad {
        let error = settle("relay-ip = ['10.0.0.5']", &words).unwrap_err().to_string();
        assert!(error.starts_with(start), "{error}");
    }
}
