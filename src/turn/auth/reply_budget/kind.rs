//! Kinds of answers to strangers, and what pays for them.

/// What kind of answer a stranger gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyKind {
    /// Success of a Binding request.
    Binding,
    /// 401 or 438, with realm and nonce.
    Challenge,
    /// 400 or 420.
    Error,
}

impl ReplyKind {
    /// All of them, in the order of the counters.
    pub const ALL: [ReplyKind; 3] = [ReplyKind::Binding, ReplyKind::Challenge, ReplyKind::Error];

    /// One word for it, in metrics and in the log.
    pub const fn name(self) -> &'static str {
        match self {
            ReplyKind::Binding => "binding",
            ReplyKind::Challenge => "challenge",
            ReplyKind::Error => "error",
        }
    }

    pub(super) const fn purse(self) -> Purse {
        match self {
            ReplyKind::Challenge => Purse::Challenges,
            ReplyKind::Binding | ReplyKind::Error => Purse::Others,
        }
    }
}

/// Kinds of answers that share a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Purse {
    Challenges,
    Others,
}

impl Purse {
    /// Its part of the bytes a second.
    pub(super) const fn bytes_per_s(self, of: u64) -> u64 {
        match self {
            Purse::Challenges => of - of / 4,
            Purse::Others => of / 4,
        }
    }
}
