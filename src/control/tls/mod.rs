//! Certificates for TLS: read, checked, and read again when their files are replaced.
//!
//! ```text
//! tls-certificate, tls-key ── pem ── certificate ── load ── Certificates ── workers
//!         │                                          ▲
//!         └── watch: the directories ── a second of quiet
//! ```
//!
//! Law: everything is checked before anything is replaced. Whatever is wrong with a file is one
//! line that names the file and the reason, and the certificates that held go on.

pub(super) mod certificate;
pub(super) mod flaw;
pub(super) mod load;
pub(super) mod pem;
pub(super) mod watch;

#[cfg(test)]
pub(super) mod testing;
