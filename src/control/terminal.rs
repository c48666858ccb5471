//! What the terminal at the other end shows.

use std::env;
use std::io::IsTerminal;

/// Whether what is written there may be coloured: it is a terminal that has colours, and NO_COLOR
/// (no-color.org) is not set.
pub(in crate::control) fn has_colours(out: &impl IsTerminal) -> bool {
    let is_unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let is_dumb = env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    out.is_terminal() && !is_unwanted && !is_dumb
}
