//! One pinned thread: one `turn::Server` and one `io` driver.
