//! Results for people: lines that move, tables, pages, pictures; and the files they go to.
//!
//! ```text
//! run, sweep, comparison, overload, plan   a result each
//! progress                                 while something is measured
//! text, table, page/                       what they are made of
//! number                                   figures in words
//! output                                   files, opened before anything is measured
//! ```

pub(crate) mod comparison;
mod number;
pub(crate) mod output;
pub(crate) mod overload;
mod page;
pub(crate) mod plan;
pub(crate) mod progress;
pub(crate) mod run;
pub(crate) mod sweep;
mod table;
mod text;
