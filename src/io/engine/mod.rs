//! What both drivers do alike: sockets in a table, errors decided, waits chosen, figures kept.

pub(in crate::io) mod counters;
pub(in crate::io) mod errno;
pub(in crate::io) mod held;
pub(in crate::io) mod load;
pub(in crate::io) mod pace;
pub(in crate::io) mod sizes;
pub(in crate::io) mod table;
