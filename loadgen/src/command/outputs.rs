//! The files a command writes, opened before it measures.

use serde::Serialize;

use crate::{
    command::args::ReportArgs,
    fault::Fault,
    report::output::{self, Output},
};

/// Where a result goes, beside the terminal.
pub(crate) struct Outputs {
    json: Option<Output>,
    page: Option<Output>,
    picture: Option<Output>,
}

impl Outputs {
    pub(crate) fn open(report: &ReportArgs, picture: Option<&String>) -> Result<Outputs, Fault> {
        let open = |path: Option<&String>| path.map(|path| Output::open(path)).transpose();
        Ok(Outputs {
            json: open(report.json.as_ref())?,
            page: open(report.report.as_ref())?,
            picture: open(picture)?,
        })
    }

    pub(crate) fn json(&mut self, result: &impl Serialize) -> Result<(), Fault> {
        self.json.take().map_or(Ok(()), |output| output.write(&output::json(result)))
    }

    pub(crate) fn page(&mut self, page: impl FnOnce() -> String) -> Result<(), Fault> {
        self.page.take().map_or(Ok(()), |output| output.write(&page()))
    }

    pub(crate) fn picture(&mut self, picture: impl FnOnce() -> String) -> Result<(), Fault> {
        self.picture.take().map_or(Ok(()), |output| output.write(&picture()))
    }
}
