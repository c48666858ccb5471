//! Results for people: lines that move, tables, pages, pictures; and the files they go to.
//!
//! ```text
//! run, sweep, comparison, overload, plan   a result each
//! progress                                 while something is measured
//! text, html, table, plot                  what they are made of
//! number, scale, escape                    figures in words, ticks of axes, markup
//! output                                   files, opened before anything is measured
//! ```

pub(crate) mod comparison;
mod escape;
mod html;
mod number;
pub(crate) mod output;
pub(crate) mod overload;
pub(crate) mod plan;
mod plot;
pub(crate) mod progress;
pub(crate) mod run;
mod scale;
pub(crate) mod sweep;
mod table;
mod text;
