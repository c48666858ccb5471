//! Results for people: a progress line, a table, a page.

mod escape;
pub(crate) mod html;
pub(crate) mod lists;
mod number;
pub(crate) mod overload;
mod plot;
pub(crate) mod progress;
pub(crate) mod table;

use serde::Serialize;

use crate::fault::Fault;

/// Writes a result as JSON.
pub(crate) fn write_json(path: &str, result: &impl Serialize) -> Result<(), Fault> {
    let text = serde_json::to_string_pretty(result).map_err(|error| Fault::file(path, error))?;
    std::fs::write(path, text + "\n").map_err(|error| Fault::file(path, error))
}
