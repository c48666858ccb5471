//! The bounded doors between workers: [`mailbox`] is the door, [`letters`] is what a worker does with
//! its mail, and [`outgoing`] packs payloads for other workers' clients into a [`parcel`].

pub(super) mod letters;
pub(super) mod mailbox;
pub(super) mod outgoing;
pub(super) mod parcel;
