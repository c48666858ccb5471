//! Where a command's result goes: the terminal, and files that are opened before it measures.

use serde::Serialize;

use crate::{
    command::args::ReportArgs,
    fault::Fault,
    report::output::{self, Output, STANDARD},
};

/// Where a result goes.
pub(crate) struct Outputs {
    json: Option<Output>,
    page: Option<Output>,
    picture: Option<Output>,
    /// Standard output is taken.
    is_text_aside: bool,
}

impl Outputs {
    pub(crate) fn open(report: &ReportArgs, picture: Option<&String>) -> Result<Outputs, Fault> {
        let ReportArgs { json, report: page, .. } = report;
        let paths = [("--json", json.as_ref()), ("--report", page.as_ref()), ("--plot", picture)];
        let paths = || paths.into_iter().filter_map(|(option, path)| Some((option, path?)));
        for (at, (option, path)) in paths().enumerate() {
            if let Some((other, _)) = paths().take(at).find(|(_, before)| *before == path) {
                return Err(Fault::usage(format!("{other} and {option} both write to {path}")));
            }
        }
        let open = |path: Option<&String>| path.map(|path| Output::open(path)).transpose();
        Ok(Outputs {
            json: open(json.as_ref())?,
            page: open(page.as_ref())?,
            picture: open(picture)?,
            is_text_aside: paths().any(|(_, path)| path == STANDARD),
        })
    }

    /// Prints the result for people, to standard error where standard output is another's.
    pub(crate) fn text(&self, text: &str) -> Result<(), Fault> {
        match self.is_text_aside {
            true => {
                output::say_aside(text);
                Ok(())
            }
            false => output::say(text),
        }
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
