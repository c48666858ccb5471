//! Certificates that are replaced while the server runs.
//!
//! ```text
//! files replaced, a second of quiet ── a thread reads and checks ─┐
//! SIGHUP, `uturn reload` ── with everything else ─────────────────┴── workers: new connections
//! ```
//!
//! Law: a pair of no use replaces nothing. It is one line in the log and is counted.

use std::time::SystemTime;

use crate::control::config::PairFiles;
use crate::control::tls::flaw::UnfitFile;
use crate::control::tls::load::{Certificates, load};
use crate::control::tls::watch::FileWatch;

/// The certificates that hold, and what may replace them.
pub(in crate::control) struct Renewal {
    pub(in crate::control) holds: Certificates,
    pub(in crate::control) watch: FileWatch,
    pub(in crate::control) reading: CertificateReading,
}

/// Whether the files are being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::control) enum CertificateReading {
    None,
    UnderWay,
    /// Something has happened to them since it began.
    Stale,
}

/// Certificates as they were read, and from where.
#[derive(Debug)]
pub(in crate::control) struct Renewed {
    pub(in crate::control) files: Vec<PairFiles>,
    pub(in crate::control) outcome: Result<Certificates, UnfitFile>,
    pub(in crate::control) cause: ReadCause,
}

/// Why certificates were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::control) enum ReadCause {
    /// They were replaced, or somebody asks for it.
    News,
    /// A minute is over: what replaces a directory as a whole is seen by nobody. Certificates that
    /// are of no use then are no news.
    Routine,
}

impl Renewal {
    /// Begins with the certificates of the start. Has to be called on a runtime.
    ///
    /// # Errors
    /// Says what is wrong with them.
    pub(in crate::control) fn begin(files: &[PairFiles]) -> Result<Self, UnfitFile> {
        let watch = FileWatch::begin(files);
        let holds = load(files, SystemTime::now())?;
        Ok(Self { holds, watch, reading: CertificateReading::None })
    }
}

impl Renewed {
    /// Reads and checks the files.
    pub(in crate::control) fn read(files: Vec<PairFiles>, cause: ReadCause) -> Self {
        let outcome = load(&files, SystemTime::now());
        Self { files, outcome, cause }
    }
}
