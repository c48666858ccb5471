//! The key that was meant by one that there is not.

/// The name that is closest to a word, if one is close: a third of its letters may be wrong, and
/// `_` is as good as `-`.
pub(in crate::control) fn nearest<'a>(
    word: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let word = word.replace('_', "-");
    let most = (word.chars().count() / 3).max(1);
    let near = names.into_iter().map(|name| (distance(&word, name), name));
    near.filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Letters to put in, take out, replace or swap with their neighbour to make one word of another.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut above = vec![0; other.len() + 1];
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (row, letter) in one.iter().enumerate() {
        let mut next = vec![row + 1];
        for (column, wanted) in other.iter().enumerate() {
            let replaced = last[column] + usize::from(letter != wanted);
            let mut least = replaced.min(last[column + 1] + 1).min(next[column] + 1);
            let is_swapped =
                row > 0 && column > 0 && one[row - 1] == *wanted && *letter == other[column - 1];
            if is_swapped {
                least = least.min(above[column - 1] + 1);
            }
            next.push(least);
        }
        above = std::mem::replace(&mut last, next);
    }
    last[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 5] = ["realm", "relay-ports", "relay-ip", "secret", "user"];

    #[test]
    fn a_slip_finds_the_name_and_another_word_finds_none() {
        for (word, name) in [
            ("relam", Some("realm")),
            ("realms", Some("realm")),
            ("relay_ports", Some("relay-ports")),
            ("relay-port", Some("relay-ports")),
            ("secrte", Some("secret")),
            ("users", Some("user")),
            ("colour", None),
            ("min-port", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, NAMES), name, "{word}");
        }
    }

    #[test]
    fn distances_are_counted_in_slips() {
        for (one, other, slips) in
            [("", "abc", 3), ("abc", "abc", 0), ("abc", "acb", 1), ("abc", "xbcd", 2)]
        {
            assert_eq!(distance(one, other), slips, "{one} {other}");
            assert_eq!(distance(other, one), slips, "{other} {one}");
        }
    }
}
