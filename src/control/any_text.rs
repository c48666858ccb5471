//! Texts for tests: what must not be shown, and strings with much of it.

use std::ops::RangeInclusive;

use proptest::prelude::*;

/// Every character that must not be shown, from the Unicode 16 tables: Cc, Cf, Zl, Zp, and
/// Default_Ignorable_Code_Point.
pub(super) const FORBIDDEN: [RangeInclusive<u32>; 40] = [
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

pub(super) fn is_forbidden(c: char) -> bool {
    FORBIDDEN.iter().any(|range| range.contains(&u32::from(c)))
}

/// Strings with many characters of each kind in them.
pub(super) fn any_text() -> impl Strategy<Value = String> {
    let forbidden = prop::sample::select(FORBIDDEN.to_vec())
        .prop_flat_map(|range| range.prop_filter_map("no character", char::from_u32));
    prop::collection::vec(prop_oneof![any::<char>(), forbidden, prop::char::range(' ', '~')], 0..40)
        .prop_map(String::from_iter)
}
