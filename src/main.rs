//! The `uturn` binary: parse, settle, spawn, wait.

fn main() {}
