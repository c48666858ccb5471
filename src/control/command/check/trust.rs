//! What the certificate of a server has to lead to.
//!
//! A server that is known by its file has to show the certificates that the file names, whoever
//! signed them; any other has to be trusted by this system, as browsers do it.

use std::path::Path;

use crate::control::config::Config;
use crate::control::tls::{load, pem};

/// Where systems keep the roots that they trust, of which each has one.
const SYSTEM_ROOTS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// DER of what is trusted; nothing where the system has no file of roots.
///
/// # Errors
/// Names a file that cannot be read, and why.
pub(super) fn roots(ca: Option<&Path>, config: Option<&Config>) -> Result<Vec<Vec<u8>>, String> {
    if let Some(file) = ca {
        return pem::chain(file).map_err(|unfit| format!("ca: {unfit}"));
    }
    let own = config.map(Config::tls_files).unwrap_or_default();
    if own.is_empty() {
        let file = SYSTEM_ROOTS.iter().map(Path::new).find(|file| file.exists());
        return file.map_or(Ok(Vec::new()), pem::chain).map_err(|unfit| unfit.to_string());
    }
    let mut roots = Vec::new();
    for files in own {
        roots.extend(pem::chain(&files.certificate).map_err(|unfit| unfit.to_string())?);
    }
    Ok(roots)
}

/// The first host that the first certificate of a configuration stands for.
///
/// # Errors
/// As [`roots`].
pub(super) fn first_name(config: &Config) -> Result<Option<String>, String> {
    let facts = load::facts(&config.tls_files()).map_err(|unfit| unfit.to_string())?;
    let names = facts.into_iter().next().map(|first| first.names).unwrap_or_default();
    // Any host will do under a pattern.
    Ok(names.into_iter().next().map(|name| name.replacen('*', "turn", 1)))
}
