//! Cold work: configuration, logging, signals.
