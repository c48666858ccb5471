//! Numbers of people: how many of something there are, the time of day, and how many seconds
//! somebody wants.

use std::ops::RangeInclusive;
use std::time::{SystemTime, UNIX_EPOCH};

/// How many there are of something: "1 hint", "2 hints".
pub(in crate::control) fn counted(number: impl TryInto<u64>, what: &str) -> String {
    match number.try_into().unwrap_or(u64::MAX) {
        1 => format!("1 {what}"),
        number => format!("{number} {what}s"),
    }
}

/// The time of day: seconds since the Unix epoch.
pub(in crate::control) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Reads a whole number of seconds within bounds, as an argument of a command.
pub(in crate::control) fn seconds(
    bounds: RangeInclusive<u32>,
) -> impl Fn(&str) -> Result<u32, String> + Clone + Send + Sync + 'static {
    move |text| {
        let number = text.parse().ok().filter(|number| bounds.contains(number));
        number.ok_or_else(|| {
            format!("write a whole number of seconds, {} to {}", bounds.start(), bounds.end())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular() {
        let texts = [0_u64, 1, 2].map(|number| counted(number, "hint"));
        assert_eq!(texts, ["0 hints", "1 hint", "2 hints"]);
    }

    #[test]
    fn seconds_are_whole_and_within_their_bounds() {
        let read = seconds(1..=60);
        assert_eq!(read("60"), Ok(60));
        for text in ["", "0", "61", "abc", "1.5", "-1", "99999999999", "10m"] {
            let problem = read(text).unwrap_err();
            assert_eq!(problem, "write a whole number of seconds, 1 to 60", "{text}");
        }
    }
}
