//! Host names that a pattern stands for: exact ones, and `*.example.org` for one label in front.

/// Patterns in lower case, to be asked for a name.
#[derive(Debug, Default)]
pub(super) struct Patterns<T> {
    /// Sorted by pattern; those of one pattern in the order they were given.
    entries: Vec<(Box<[u8]>, T)>,
}

impl<T> Patterns<T> {
    pub(super) fn new(entries: impl IntoIterator<Item = (String, T)>) -> Patterns<T> {
        let lower = |(pattern, value): (String, T)| {
            (pattern.to_ascii_lowercase().into_bytes().into_boxed_slice(), value)
        };
        let mut entries: Vec<_> = entries.into_iter().map(lower).collect();
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        Patterns { entries }
    }

    /// What an exact pattern stands for, then what a `*.` pattern does. The name is in lower case.
    pub(super) fn of<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a T> {
        let label = name.iter().position(|byte| *byte == b'.').filter(|label| *label > 0);
        let wildcard = label.map(|label| [b"*", &name[label..]].concat()).unwrap_or_default();
        self.exact(name).iter().chain(self.exact(&wildcard)).map(|(_, value)| value)
    }

    fn exact(&self, pattern: &[u8]) -> &[(Box<[u8]>, T)] {
        let begin = self.entries.partition_point(|(it, _)| &**it < pattern);
        let count = self.entries[begin..].partition_point(|(it, _)| &**it == pattern);
        &self.entries[begin..begin + count]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exact_name_comes_before_a_wildcard() {
        let entries =
            [("*.Example.org", 1), ("turn.example.org", 2), ("a", 3), ("turn.example.org", 4)];
        let patterns = Patterns::new(entries.map(|(pattern, value)| (pattern.to_owned(), value)));
        let of = |name: &str| patterns.of(name.as_bytes()).copied().collect::<Vec<_>>();
        assert_eq!(of("turn.example.org"), [2, 4, 1]);
        assert_eq!(of("other.example.org"), [1]);
        assert_eq!(of("a.b.example.org"), [0; 0], "one label");
        assert_eq!(of("example.org"), [0; 0]);
        assert_eq!(of(".example.org"), [0; 0]);
        assert_eq!(of("a"), [3]);
        assert_eq!(of(""), [0; 0]);
    }
}
