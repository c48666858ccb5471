//! Certificates for tests, made when they are wanted.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, date_time_ymd};

use crate::control::config::PairFiles;

/// A directory that is gone with the test.
pub(in crate::control) struct Folder(PathBuf);

impl Folder {
    pub(in crate::control) fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("uturn-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder can be made");
        Self(path)
    }

    pub(in crate::control) fn path(&self) -> &Path {
        &self.0
    }

    pub(in crate::control) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).expect("a file can be written");
        path
    }

    /// Writes a certificate for these hosts and its key.
    pub(in crate::control) fn pair(&self, name: &str, hosts: &[&str]) -> PairFiles {
        self.pair_until(name, hosts, 4000)
    }

    /// The same, valid from 2000 to the beginning of a year.
    pub(in crate::control) fn pair_until(
        &self,
        name: &str,
        hosts: &[&str],
        until: i32,
    ) -> PairFiles {
        let (certificate, key) = pem(hosts, 2000, until);
        PairFiles {
            certificate: self.write(&format!("{name}.pem"), &certificate),
            key: self.write(&format!("{name}.key"), &key),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// A certificate that holds from the beginning of one year to that of another, and its key.
pub(in crate::control) fn pem(hosts: &[&str], from: i32, until: i32) -> (String, String) {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key can be made");
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(hosts).expect("the names are names");
    (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(until, 1, 1));
    let certificate = params.self_signed(&key).expect("the key can sign");
    (certificate.pem(), key.serialize_pem())
}
