//! What the terminal at the other end shows.

use std::env;
use std::ffi::OsStr;
use std::io::IsTerminal;

/// Whether what is written there may be coloured: it is a terminal that has colours, and NO_COLOR
/// (no-color.org) is not set.
pub(in crate::control) fn has_colours(out: &impl IsTerminal) -> bool {
    let wish = env::var_os("NO_COLOR");
    out.is_terminal() && takes_colours(wish.as_deref(), env::var_os("TERM").as_deref())
}

fn takes_colours(no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
    let is_unwanted = no_color.is_some_and(|value| !value.is_empty());
    let is_dumb = term.is_none_or(|term| term.is_empty() || term == "dumb");
    !is_unwanted && !is_dumb
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_that_have_them_and_users_who_want_them() {
        for (no_color, term, is_coloured) in [
            (None, Some("xterm-256color"), true),
            (Some(""), Some("linux"), true),
            (Some("1"), Some("linux"), false),
            (None, Some("dumb"), false),
            (None, Some(""), false),
            (None, None, false),
        ] {
            let told = takes_colours(no_color.map(OsStr::new), term.map(OsStr::new));
            assert_eq!(told, is_coloured, "{no_color:?} {term:?}");
        }
    }
}
