//! What a connection asks and says besides bytes.

use crate::stream::hang_up::HangUp;

/// What follows a ConnectionBind request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It failed: frames, as before.
    Frames,
    /// It succeeded: the peer's bytes, as they are, both ways. The answer is to be queued before.
    Data,
}

/// What a fill brought besides the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FillOutcome {
    /// Frames of media that were dropped because they waited too long.
    pub dropped_late: u32,
    /// How long the oldest frame written had waited, milliseconds; `None` where none was written.
    pub oldest_age_ms: Option<u64>,
    /// What follows these bytes.
    pub then: Then,
}

/// What follows the bytes of a fill, once they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Perhaps more.
    More,
    /// This side's FIN; the client may go on.
    Finish,
    /// The end.
    HangUp(HangUp),
}
