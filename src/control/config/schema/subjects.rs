//! What `uturn --help` puts together, and the few options that `-h` shows.

/// Subjects, each with its keys; the help has them in the order of their first keys.
const SUBJECTS: [(&str, &[&str]); 9] = [
    ("Addresses", &["listen", "relay-ip", "external-ip", "relay-ports"]),
    ("Users", &["realm", "user", "users-file", "secret", "coturn-names"]),
    ("Peers", &["allow-peers", "deny-peers"]),
    (
        "Connections (TCP and TLS)",
        &[
            "tcp",
            "tls-certificate",
            "tls-key",
            "listen-tls",
            "proxy-from",
            "tcp-relay",
            "web-backend",
            "web-names",
            "web-proxy",
            "streams",
            "streams-per-source",
            "strangers-per-source",
            "connects-per-source",
            "stream-delay",
        ],
    ),
    (
        "Limits",
        &[
            "user-quota",
            "total-quota",
            "permission-quota",
            "channel-quota",
            "max-bps",
            "max-pps",
            "stranger-reply-bytes",
            "max-lifetime",
        ],
    ),
    ("Protocol", &["software", "channel-numbers", "on-reallocate"]),
    ("Drain", &["alternate-server", "drain-deadline"]),
    ("Performance", &["workers", "io", "steer", "batch-wait-us", "spin-us", "busy-poll-us"]),
    (
        "Operation",
        &[
            "metrics",
            "control",
            "usage-records",
            "usage-interval",
            "log",
            "log-format",
            "core-dumps",
        ],
    ),
];
/// Stands over keys that no subject has.
const OTHERS: &str = "Others";

/// What a newcomer needs.
const COMMON: [&str; 8] =
    ["listen", "external-ip", "relay-ports", "realm", "user", "secret", "metrics", "log"];

/// The heading that a key stands under.
pub(super) fn subject(name: &str) -> &'static str {
    let found = SUBJECTS.iter().find(|(_, keys)| keys.contains(&name));
    found.map_or(OTHERS, |(subject, _)| subject)
}

/// Whether `-h` shows a key.
pub(super) fn is_common(name: &str) -> bool {
    COMMON.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::config::schema::KEYS;

    #[test]
    fn every_key_has_one_subject_and_every_word_is_a_key() {
        let words: Vec<&str> = SUBJECTS.iter().flat_map(|(_, keys)| keys.iter().copied()).collect();
        for key in KEYS {
            let count = words.iter().filter(|word| **word == key.name).count();
            assert_eq!(count, 1, "{}: write it under a subject", key.name);
        }
        for word in words.iter().chain(&COMMON) {
            assert!(KEYS.iter().any(|key| key.name == *word), "{word} is no key");
        }
    }
}
