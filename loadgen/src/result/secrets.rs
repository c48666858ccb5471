//! Command lines without their secrets: our own, and those of servers that are started.

use std::env;

use crate::offer::account::VARIABLES;

/// What stands for a secret.
const HIDDEN: &str = "***";

/// What of a value is a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Secret {
    All,
    /// Of `NAME:PASSWORD`.
    AfterColon,
}

/// Our own words as a shell would take them, all secrets hidden.
pub(super) fn own_command(words: &[String]) -> String {
    let secrets = own_secrets(words);
    let mut expected = None;
    let shown = words.iter().enumerate().map(|(at, word)| {
        let word = match expected.take() {
            _ if at == 0 => "loadgen".to_owned(),
            Some(secret) => mask(word, secret),
            None if word.contains(char::is_whitespace) => command(word),
            None => {
                let (word, next) = option(word);
                expected = next;
                word
            }
        };
        let word = secrets.iter().fold(word, |word, secret| hide(&word, secret));
        let is_plain = word.chars().all(|c| c.is_alphanumeric() || "-_=./,:@%+*[]".contains(c));
        if is_plain { word } else { format!("'{}'", word.replace('\'', "'\\''")) }
    });
    shown.collect::<Vec<_>>().join(" ")
}

/// The command of a server, its secrets hidden.
pub(crate) fn command(text: &str) -> String {
    let mut shown = String::new();
    let mut expected = None;
    let mut quote = None;
    for piece in text.split_inclusive(char::is_whitespace) {
        let word = piece.trim_end();
        let space = &piece[word.len()..];
        if let Some(mark) = quote {
            // The rest of a value that is hidden already.
            if word.ends_with(mark) {
                quote = None;
                shown += space;
            }
            continue;
        }
        let before = expected.take();
        let (masked, next) = match before {
            Some(secret) if !word.starts_with('-') => (mask(word, secret), None),
            Some(_) | None => option(word),
        };
        expected = next;
        let value =
            if before.is_some() { word } else { word.split_once('=').map_or("", |(_, v)| v) };
        quote = value.chars().next().filter(|mark| "'\"".contains(*mark) && masked != word);
        quote = quote.filter(|mark| value.len() == 1 || !value.ends_with(*mark));
        shown += &masked;
        shown += if quote.is_some() { "" } else { space };
    }
    shown
}

/// An option, its value hidden if it carries one that is a secret; or what of the next word is.
fn option(word: &str) -> (String, Option<Secret>) {
    let (name, value) = word.split_once('=').map_or((word, None), |(n, v)| (n, Some(v)));
    match (secret_of(name), value) {
        (None, _) => (word.to_owned(), None),
        (secret @ Some(_), None) => (word.to_owned(), secret),
        (Some(secret), Some(value)) => (format!("{name}={}", mask(value, secret)), None),
    }
}

/// What of an option's or a variable's value is a secret, by its name. What is neither is what a
/// server is called: `u=127.0.0.1:3478`.
fn secret_of(name: &str) -> Option<Secret> {
    let is_variable = !name.contains(|c: char| c.is_lowercase());
    let option = name.strip_prefix('-').or(is_variable.then_some(name))?;
    let name = option.trim_start_matches('-').to_lowercase();
    let is_secret = ["secret", "passw", "pwd"].iter().any(|part| name.contains(part));
    let is_user = name == "user" || name == "u" || name.ends_with("_user");
    match (is_secret, is_user) {
        (true, _) => Some(Secret::All),
        (false, true) => Some(Secret::AfterColon),
        (false, false) => None,
    }
}

fn mask(value: &str, secret: Secret) -> String {
    match (secret, value.split_once(':')) {
        (Secret::All, _) => HIDDEN.to_owned(),
        (Secret::AfterColon, Some((name, _))) => format!("{name}:{HIDDEN}"),
        (Secret::AfterColon, None) => value.to_owned(),
    }
}

/// Our own password or secret, wherever else it may stand.
fn own_secrets(words: &[String]) -> Vec<String> {
    let value = |option: &str| {
        let apart = words.iter().position(|word| word == option);
        let apart = apart.and_then(|at| words.get(at + 1)).cloned();
        let joined = || words.iter().find_map(|word| word.strip_prefix(&format!("{option}=")));
        apart.or_else(|| joined().map(str::to_owned))
    };
    let [user, secret] = VARIABLES.map(|name| env::var(name).ok());
    let users = [value("--user"), user].into_iter().flatten();
    let passwords = users.filter_map(|user| Some(user.split_once(':')?.1.to_owned()));
    let secrets = [value("--secret"), secret].into_iter().flatten();
    passwords.chain(secrets).filter(|secret| !secret.is_empty()).collect()
}

/// Replaces a secret where it is a word of its own.
fn hide(text: &str, secret: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(secret) {
        let end = at + secret.len();
        let touches = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let before = rest[..at].chars().next_back().or_else(|| shown.chars().next_back());
        let inside = touches(before) || touches(rest[end..].chars().next());
        shown += &rest[..at];
        shown += if inside { secret } else { HIDDEN };
        rest = &rest[end..];
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_of_ours_is_shown() {
        let shown = |line: &[&str]| {
            let words: Vec<String> = line.iter().map(|word| (*word).to_owned()).collect();
            own_command(&words)
        };
        assert_eq!(
            shown(&["x", "run", "--user", "a:pa", "--json", "a.json", "-s", "b"]),
            "loadgen run --user a:*** --json a.json -s b"
        );
        assert_eq!(
            shown(&["x", "--secret=abc", "--name", "abcd"]),
            "loadgen --secret=*** --name abcd"
        );
        assert_eq!(shown(&["x", "--user=a:s", "s"]), "loadgen --user=a:*** ***");
        let line = ["x", "compare", "--server", "u=127.0.0.1:3478,7", "--server", "user=[::1]:1,8"];
        assert_eq!(shown(&line), line.join(" ").replacen('x', "loadgen", 1));
        assert_eq!(
            shown(&["x", "--user", "a:pa", "--server-cmd", "b=s --odd a:pa --secret other"]),
            "loadgen --user a:*** --server-cmd 'b=s --odd a:*** --secret ***'"
        );
    }

    #[test]
    fn no_secret_of_a_server_is_shown() {
        for (given, shown) in [
            ("uturn --user a:p --secret s --realm x", "uturn --user a:*** --secret *** --realm x"),
            (
                "turnserver -n -u a:p  --cli-password=q",
                "turnserver -n -u a:***  --cli-password=***",
            ),
            (
                "turnserver --use-auth-secret --static-auth-secret=z -p 1",
                "turnserver --use-auth-secret --static-auth-secret=*** -p 1",
            ),
            (
                "env UTURN_SECRET='a b' UTURN_USER=a:p uturn",
                "env UTURN_SECRET=*** UTURN_USER=a:*** uturn",
            ),
            ("uturn --secret \"a b c\" --user-quota 3", "uturn --secret *** --user-quota 3"),
            ("uturn --secret 'a' --users-file u.txt", "uturn --secret *** --users-file u.txt"),
        ] {
            assert_eq!(command(given), shown);
        }
    }
}
