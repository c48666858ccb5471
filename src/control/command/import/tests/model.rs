//! What coturn sees in a file: a model of its reader, one byte after the other.
//!
//! It follows what coturn 4.6 and 4.17 do, which is the same: lines are taken as C takes them, into
//! 1,024 bytes with a zero at their end, so that a longer line is several and a zero ends one.
//! Which options there are is no matter here: coturn takes every line apart before it looks for its
//! name. `tests/import_coturn/real.rs` holds this against an installed coturn.

/// An option and its value, as coturn has them when it looks for the option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// Line in the file, from 1.
    pub(super) line: usize,
    /// Whether the line is too long and this is not what it begins with.
    pub(super) is_rest: bool,
    pub(super) name: Vec<u8>,
    pub(super) value: Vec<u8>,
}

/// Bytes that one reading has room for beside the zero.
const ROOM: usize = 1_023;

/// Every option and value of a file, in its order.
pub(super) fn seen(file: &[u8]) -> Vec<Seen> {
    let (mut seen, mut read, mut line, mut is_rest) = (Vec::new(), Vec::new(), 1, false);
    for (at, byte) in file.iter().enumerate() {
        read.push(*byte);
        let is_end = *byte == b'\n';
        if is_end || read.len() == ROOM || at + 1 == file.len() {
            if let Some((name, value)) = pair(&read) {
                seen.push(Seen { line, is_rest, name, value });
            }
            read.clear();
            is_rest = !is_end;
            line += usize::from(is_end);
        }
    }
    seen
}

/// Takes one reading apart.
fn pair(read: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut bytes: Vec<u8> = read.iter().copied().take_while(|byte| *byte != 0).collect();
    while matches!(bytes.first(), Some(b' ' | b'\t' | b'\n')) {
        bytes.remove(0);
    }
    if bytes.first() == Some(&b'#') {
        return None;
    }
    while matches!(bytes.last(), Some(b' ' | b'\t' | b'\n' | b'\r' | 0x0B | 0x0C)) {
        bytes.pop();
    }
    if bytes.is_empty() {
        return None;
    }
    let (mut name, mut value, mut is_behind) = (Vec::new(), Vec::new(), false);
    for byte in bytes {
        if matches!(byte, b' ' | b'\t' | b'=') && value.is_empty() {
            is_behind = true;
        } else if is_behind {
            value.push(byte);
        } else {
            name.push(byte);
        }
    }
    if value.first() == Some(&b'"') {
        value.remove(0);
        while matches!(value.last(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            value.pop();
        }
        if value.last() == Some(&b'"') {
            value.pop();
        }
    }
    Some((name, value))
}

/// The number that a text begins with, 0 where there is none (`atoi`, as far as an `int` goes).
pub(super) fn number(text: &str) -> i64 {
    let mut bytes = text.bytes().skip_while(|byte| matches!(byte, b' ' | 9..=13)).peekable();
    let is_negative = bytes.next_if(|byte| matches!(byte, b'+' | b'-')) == Some(b'-');
    let digits = bytes.take_while(u8::is_ascii_digit);
    let number = digits.fold(0_i64, |number, digit| {
        number.saturating_mul(10).saturating_add(i64::from(digit - b'0'))
    });
    if is_negative { -number } else { number }
}

/// A flag; `None` where coturn gives up.
pub(super) fn flag(text: &str) -> Option<bool> {
    match text.as_bytes().first() {
        None | Some(b'y' | b'Y' | b't' | b'T' | b'1'..=b'9') => Some(true),
        Some(b'0' | b'n' | b'N' | b'f' | b'F') => Some(false),
        Some(_) if ["on", "On", "ON"].contains(&text) => Some(true),
        Some(_) if ["off", "Off", "OFF"].contains(&text) => Some(false),
        Some(_) => None,
    }
}
