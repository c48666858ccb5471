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
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every character that must not be shown, from the Unicode 16 tables: Cc, Cf, Zl, Zp, and
    /// Default_Ignorable_Code_Point.
    const FORBIDDEN: [RangeInclusive<u32>; 40] = [
        0x00..=0x1F,
        0x7F..=0x9F,
        0xAD..=0xAD,
        0x34F..=0x34F,
        0x600..=0x605,
        0x61C..=0x61C,
        0x6DD..=0x6DD,
        0x70F..=0x70F,
        0x890..=0x891,
        0x8E2..=0x8E2,
        0x115F..=0x1160,
        0x17B4..=0x17B5,
        0x180B..=0x180F,
        0x200B..=0x200F,
        0x2028..=0x202E,
        0x2060..=0x206F,
        0x3164..=0x3164,
        0xFE00..=0xFE0F,
        0xFEFF..=0xFEFF,
        0xFFA0..=0xFFA0,
        0xFFF0..=0xFFFB,
        0x110BD..=0x110BD,
        0x110CD..=0x110CD,
        0x13430..=0x1343F,
        0x1BCA0..=0x1BCA3,
        0x1D173..=0x1D17A,
        0xE0000..=0xE0FFF,
        // Private use: each terminal has its own idea of it.
        0xE000..=0xF8FF,
        0xF_0000..=0xF_FFFD,
        0x10_0000..=0x10_FFFD,
        // Not characters.
        0xFFFE..=0xFFFF,
        0x1_FFFE..=0x1_FFFF,
        0xF_FFFE..=0xF_FFFF,
        0x10_FFFE..=0x10_FFFF,
        // Spaces that look like another one, or like none.
        0xA0..=0xA0,
        0x1680..=0x1680,
        0x2000..=0x200A,
        0x202F..=0x202F,
        0x205F..=0x205F,
        0x3000..=0x3000,
    ];

    pub(in crate::control) fn is_forbidden(c: char) -> bool {
        FORBIDDEN.iter().any(|range| range.contains(&u32::from(c)))
    }

    /// Strings with many characters of each kind in them.
    pub(in crate::control) fn any_text() -> impl Strategy<Value = String> {
        let forbidden = prop::sample::select(FORBIDDEN.to_vec())
            .prop_flat_map(|range| range.prop_filter_map("no character", char::from_u32));
        prop::collection::vec(
            prop_oneof![any::<char>(), forbidden, prop::char::range(' ', '~')],
            0..40,
        )
        .prop_map(String::from_iter)
    }

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
