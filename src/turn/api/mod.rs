//! What crosses the edge of the state machine: the names of things, the settings it is given, and
//! what it answers.
//!
//! ```text
//! names/     what both sides call a thing: listeners, clients, relays, connections, allocations
//! now        the time of a call                        settings  what the operator decides
//! per_family one of something for each family, and which families there are
//! verdict    what becomes of a datagram                train     equal datagrams judged as one
//! effect     what the world is ordered to do           report    what the log is told
//! reason     why a datagram was dropped                counters  how often each of these came
//! ```

pub(super) mod counters;
pub(super) mod effect;
pub(super) mod names;
pub(super) mod now;
pub(super) mod per_family;
pub(super) mod reason;
pub(super) mod report;
pub(super) mod settings;
pub(super) mod train;
pub(super) mod verdict;
