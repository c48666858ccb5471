//! Time-limited credentials, for an operator to try and for a web page to use.
//!
//! The username says until when it is valid, the password proves that it was made with the shared
//! secret; the server keeps nothing.

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::account::SecretArgs;
use super::credential::{Credential, DEFAULT_TTL_S, DEFAULT_USER};
use super::ice;
use crate::control::numbers::{now_s, seconds};

/// Ten years; beyond this a credential is no longer time-limited.
const MAX_TTL_S: u32 = 315_360_000;
/// USERNAME has fewer than 509 bytes (RFC 8489 §14.3), of which the time and ':' take 21 at most.
const USER_MAX_BYTES: usize = 487;

/// What stands under `uturn credentials --help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  uturn credentials --config /etc/uturn/uturn.toml --user alice --host turn.example.org
  UTURN_SECRET=… uturn credentials --host turn.example.org --ttl 3600 --json | jq .iceServers";

/// Arguments of `uturn credentials`.
#[derive(Args, Clone, Debug)]
pub struct CredentialsArgs {
    #[command(flatten)]
    secret: SecretArgs,
    /// Name that the credential is for; it appears in the server's log
    #[arg(long, value_name = "ID", default_value = DEFAULT_USER, value_parser = user)]
    user: String,
    /// How long the credential is valid
    #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_TTL_S)]
    #[arg(value_parser = seconds(1..=MAX_TTL_S), allow_negative_numbers = true)]
    ttl: u32,
    /// Name or address, and port if it is not that of --config or 3478, that clients reach the
    /// server at [default: the address that it gives its clients]
    #[arg(long, value_name = "HOST", value_parser = ice::host)]
    host: Option<String>,
    /// Prints one JSON object in place of text
    #[arg(long)]
    json: bool,
}

/// What `uturn credentials --json` prints.
#[derive(Serialize)]
struct Printed<'a> {
    username: &'a str,
    password: &'a str,
    /// Last second that the login is good, since the Unix epoch.
    expiry_s: u64,
    #[serde(rename = "iceServers")]
    ice_servers: &'a Value,
}

/// Writes what `uturn credentials` prints: three lines, each `name: value`, or a JSON object.
///
/// # Errors
/// No secret was given, or the file that should hold it cannot be read.
pub(in crate::control) fn printed(args: &CredentialsArgs) -> Result<String, String> {
    let config = args.secret.config()?;
    let secret = args.secret.needed_secret(config.as_ref())?;
    let expiry_s = now_s() + u64::from(args.ttl);
    let credential = Credential::until(expiry_s, &args.user, &secret);
    let urls = ice::urls(config.as_ref(), args.host.as_deref());
    let ice_servers = credential.ice_servers(&urls);
    let Credential { username, password } = &credential;
    if args.json {
        let ice_servers = serde_json::from_str(&ice_servers).expect("it is JSON");
        let printed = Printed { username, password, expiry_s, ice_servers: &ice_servers };
        return Ok(serde_json::to_string(&printed).expect("text is always JSON") + "\n");
    }
    Ok(format!("username: {username}\npassword: {password}\niceServers: {ice_servers}\n"))
}

fn user(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > USER_MAX_BYTES || text.chars().any(char::is_control) {
        return Err(format!("write 1 to {USER_MAX_BYTES} printable bytes"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Credential, ice};
    use crate::control::config::Secret;

    fn credential() -> Credential {
        Credential::until(1_433_895_918, "ninefingers", &Secret::new("north".to_owned()))
    }

    // printf 1433895918:ninefingers | openssl dgst -sha1 -hmac north -binary | base64
    #[test]
    fn the_password_proves_the_username() {
        assert_eq!(credential().username, "1433895918:ninefingers");
        assert_eq!(credential().password, "jy8hTxmOO7UtEKXqSkSlvakPVYA=");
    }

    #[test]
    fn a_browser_can_take_the_ice_servers_as_they_are() {
        let json = credential().ice_servers(&ice::urls(None, Some("turn.example.org")));
        let [server]: [serde_json::Value; 1] = serde_json::from_str(&json).unwrap();
        assert_eq!(server["urls"][1], "turn:turn.example.org:3478");
        assert_eq!(server["username"], credential().username);
        assert_eq!(server["credential"], credential().password);
    }
}
