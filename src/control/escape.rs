//! Characters that others chose, made fit to be shown.
//!
//! A user's name is whatever a client was let in with, and a configuration, a path or an error may
//! hold anything. On a terminal, in a log and in a record such text must neither write where it
//! does not stand nor look like something else: no control characters, no line or paragraph
//! separators, nothing that changes the direction of writing, nothing without a width. Everything
//! else, whatever its script, stays as it is.
//!
//! Law: whatever the server and its commands write for people passes through [`lines`] or [`text`],
//! and each line of JSON through [`json`]. JSON says the same after it.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::RangeInclusive;

/// Characters that take no place although Unicode calls them letters, marks or not assigned: what
/// the property Default_Ignorable_Code_Point has beside the format characters.
const IGNORABLE: [RangeInclusive<char>; 11] = [
    '\u{34F}'..='\u{34F}',
    '\u{115F}'..='\u{1160}',
    '\u{17B4}'..='\u{17B5}',
    '\u{180B}'..='\u{180F}',
    '\u{2065}'..='\u{2065}',
    '\u{3164}'..='\u{3164}',
    '\u{FE00}'..='\u{FE0F}',
    '\u{FFA0}'..='\u{FFA0}',
    '\u{FFF0}'..='\u{FFF8}',
    '\u{1BCA0}'..='\u{1BCA3}',
    '\u{E0000}'..='\u{E0FFF}',
];

/// Whether a character shows itself, and nothing else.
fn is_plain(c: char) -> bool {
    if c.is_ascii() {
        return !c.is_ascii_control();
    }
    !IGNORABLE.iter().any(|range| range.contains(&c)) && has_width(c)
}

/// What the standard library prints as it is: neither control nor format characters, separators,
/// private or unassigned ones. At the start of a string it escapes combining marks, too.
fn has_width(c: char) -> bool {
    let mut bytes = *b"x\0\0\0\0";
    let end = 1 + c.encode_utf8(&mut bytes[1..]).len();
    let text = std::str::from_utf8(&bytes[..end]).unwrap_or_default();
    text.escape_debug().eq(text.chars())
}

/// Writes text for people in which only plain characters are left; the others are `\u{202e}`.
pub(super) fn text(text: &str) -> Cow<'_, str> {
    replaced(text, is_plain, |out, c| {
        write!(out, "{}", c.escape_unicode()).expect("a string takes everything");
    })
}

/// As [`text`], and line feeds stay.
pub(super) fn lines(text: &str) -> Cow<'_, str> {
    replaced(
        text,
        |c| c == '\n' || is_plain(c),
        |out, c| {
            write!(out, "{}", c.escape_unicode()).expect("a string takes everything");
        },
    )
}

/// As [`text`], and escape characters stay, where they are the writer's own.
pub(super) fn coloured(text: &str) -> Cow<'_, str> {
    replaced(
        text,
        |c| c == '\x1b' || is_plain(c),
        |out, c| {
            write!(out, "{}", c.escape_unicode()).expect("a string takes everything");
        },
    )
}

/// Writes JSON that says the same in plain characters and line feeds: outside of its strings it has
/// no others, and inside the others are `\u202e`.
pub(super) fn json(json: &str) -> Cow<'_, str> {
    replaced(
        json,
        |c| c == '\n' || is_plain(c),
        |out, c| {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}").expect("a string takes everything");
            }
        },
    )
}

fn replaced(text: &str, stays: fn(char) -> bool, replace: fn(&mut String, char)) -> Cow<'_, str> {
    if text.chars().all(stays) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if stays(c) { out.push(c) } else { replace(&mut out, c) }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::control::any_text::{FORBIDDEN, any_text, is_forbidden};

    #[test]
    fn every_forbidden_character_is_escaped() {
        for c in FORBIDDEN.into_iter().flatten().filter_map(char::from_u32) {
            assert!(!is_plain(c), "{c:?}");
        }
    }

    #[test]
    fn names_of_every_script_stay_as_they_are() {
        for name in [
            "alice",
            "Ålice O'Hara \"A\" \\",
            "Пётр",
            "Ελένη",
            "राम",
            "ราม",
            "王芳",
            "김철수",
            "محمد",
            "👋🏽",
            "1700000000:bob@example.org",
        ] {
            assert_eq!(text(name), name);
        }
    }

    #[test]
    fn escapes_are_those_of_rust_and_of_json() {
        let name = "a\u{202E}b\u{2028}c\u{200B}d\ne\u{E0001}";
        assert_eq!(text(name), r"a\u{202e}b\u{2028}c\u{200b}d\u{a}e\u{e0001}");
        assert_eq!(lines("a\u{202E}\nb\n"), "a\\u{202e}\nb\n");
        assert_eq!(json("\"a\u{202E}\u{E0001}\"\n"), "\"a\\u202e\\udb40\\udc01\"\n");
    }

    proptest! {
        #[test]
        fn what_is_shown_holds_plain_characters_alone(any in any_text()) {
            prop_assert!(!text(&any).chars().any(is_forbidden), "{any:?}");
            prop_assert!(!lines(&any).chars().any(|c| c != '\n' && is_forbidden(c)), "{any:?}");
            prop_assert_eq!(lines(&any).matches('\n').count(), any.matches('\n').count());
        }

        #[test]
        fn json_says_the_same_after_it(any in any_text()) {
            let before = serde_json::json!({ any.clone(): [any.clone(), any] });
            let after = json(&before.to_string()).into_owned();
            prop_assert!(!after.chars().any(is_forbidden), "{after:?}");
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&after).unwrap(), before);
        }
    }
}
