//! The TURN state machine, pure.
