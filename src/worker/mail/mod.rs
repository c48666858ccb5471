//! The bounded doors between threads: [`mailbox`] is the door, [`messages`] is what a worker does
//! with what arrives, and [`handoff`] packs payloads for other workers' clients into a [`batch`].

pub(super) mod batch;
pub(super) mod handoff;
pub(super) mod mailbox;
pub(super) mod messages;
