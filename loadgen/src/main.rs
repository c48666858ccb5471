//! `loadgen` offers load to a TURN relay and reports what came through.

fn main() {}
