//! Anything that a stranger, a client, a peer, a balancer or an operator may send, made up.
//!
//! ```text
//! engine.rs     makes inputs out of a corpus, tries them, makes small what fails
//! mutate.rs     what is done to an input
//! coverage.rs   which code an input reached: only in a build of tests/fuzz/hours
//! take.rs       choices out of an input's bytes
//! wire.rs       messages, frames of a stream, ClientHello, PROXY headers
//! server/       datagrams to `turn::Server`, before and after authentication, with a ledger
//! operator.rs   coturn's configurations, lines of the control protocol
//! corpus/       inputs that reached something, a folder for each test; each is tried first
//! ```
//!
//! Each test tries inputs for a second; `UTURN_FUZZ_SECONDS=60` is what `tests/run` gives it, and
//! `tests/fuzz/hours 8` looks for hours, led by coverage, and adds to the corpus. A failure prints
//! its input in hexadecimal and leaves it in a file: it belongs into the corpus once it is mended,
//! beside a test of its own.
//!
//! The engine is a loop of this folder and not a library's: bolero, cargo-fuzz, honggfuzz and AFL
//! are led by coverage only through a tool that has to be installed beside cargo, and most of them
//! on a nightly toolchain. To be led by it takes a hundred lines with the counters that stable
//! rustc puts in.

mod coverage;
mod engine;
mod mutate;
mod operator;
mod server;
mod take;
mod wire;
