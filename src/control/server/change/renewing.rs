//! The supervisor has certificates read again, and hands out what came of it.

use tracing::{error, info};

use super::renewal::{CertificateReading, ReadCause, Renewed};
use crate::control::server::background::BackgroundOutcome;
use crate::control::server::start::streams::stream_rules;
use crate::control::server::supervisor::{Supervisor, WorkerControl};

impl<W: WorkerControl> Supervisor<W> {
    /// Has the certificates read again, if there are any.
    pub(in crate::control) fn renew(&mut self, cause: ReadCause) {
        let files = self.reload.config().tls_files();
        if files.is_empty() {
            return;
        }
        if self.renewal.reading != CertificateReading::None {
            if cause == ReadCause::News {
                self.renewal.reading = CertificateReading::Stale;
            }
            return;
        }
        self.renewal.reading = CertificateReading::UnderWay;
        let work = move || BackgroundOutcome::Renewed(Box::new(Renewed::read(files, cause)));
        if let Err(error) = self.background.run("certificates", work) {
            self.renewal.reading = CertificateReading::None;
            error!("the certificates stay as they were: no thread to read them with: {error}");
        }
    }

    /// Takes certificates that were read beside the loop.
    pub(in crate::control) fn on_renewed(&mut self, renewed: Renewed) {
        let reading = std::mem::replace(&mut self.renewal.reading, CertificateReading::None);
        if self.take_certificates(renewed).is_ok_and(|is_new| is_new) {
            self.hand_out_streams();
        }
        if reading == CertificateReading::Stale {
            self.renew(ReadCause::News);
        }
    }

    /// Has certificates hold from now on; says whether they are others. Those of other files than
    /// the configuration names have been read for nothing.
    ///
    /// # Errors
    /// Says what is wrong with them; those that held go on.
    pub(in crate::control) fn take_certificates(
        &mut self,
        renewed: Renewed,
    ) -> Result<bool, String> {
        let files = self.reload.config().tls_files();
        if renewed.files != files {
            return Ok(false);
        }
        self.renewal.watch.follow(&files);
        match renewed.outcome {
            Ok(certificates) if certificates.are(&self.renewal.holds) => Ok(false),
            Ok(certificates) => {
                for facts in &certificates.facts {
                    info!(name = facts.name, until = facts.not_after, "certificate taken");
                }
                self.status.send_modify(|status| {
                    status.certificates.clone_from(&certificates.facts);
                    status.certificate_reloads.succeeded += 1;
                });
                self.renewal.holds = certificates;
                Ok(true)
            }
            Err(_) if renewed.cause == ReadCause::Routine => Ok(false),
            Err(unfit) => {
                error!("the certificates stay as they were: {unfit}");
                self.status.send_modify(|status| status.certificate_reloads.failed += 1);
                Err(unfit.to_string())
            }
        }
    }

    /// Gives every worker the rules for connections as they are now.
    pub(in crate::control) fn hand_out_streams(&self) {
        let rules = stream_rules(self.reload.config(), &self.renewal.holds);
        self.workers.set_stream_rules(&rules);
    }
}
