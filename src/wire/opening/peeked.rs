//! What a look at the beginning of a stream brings.

/// A verdict on the beginning of a stream. Law: the verdict on a prefix is `Short` or the verdict
/// on the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peeked<T> {
    /// All of it is there.
    Whole(T),
    /// It may become one; more bytes are needed.
    Short,
    /// It cannot become one.
    Broken,
}

/// Why a look ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    Short,
    Broken,
}

impl<T> From<Result<T, Stop>> for Peeked<T> {
    fn from(result: Result<T, Stop>) -> Peeked<T> {
        match result {
            Ok(whole) => Peeked::Whole(whole),
            Err(Stop::Short) => Peeked::Short,
            Err(Stop::Broken) => Peeked::Broken,
        }
    }
}

/// True when the shorter of two is the beginning of the longer.
pub(super) fn starts_alike(a: &[u8], b: &[u8]) -> bool {
    a.iter().zip(b).all(|(a, b)| a == b)
}
