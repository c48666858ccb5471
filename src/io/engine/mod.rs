//! What both drivers do alike: sockets in a table, errors decided, waits chosen, figures kept.

pub(in crate::io) mod core_use;
pub(in crate::io) mod counters;
pub(in crate::io) mod errno;
pub(in crate::io) mod hold_times;
pub(in crate::io) mod pace;
pub(in crate::io) mod size_histogram;
pub(in crate::io) mod table;
