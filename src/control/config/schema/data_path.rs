//! Keys of the data path: what moves the packets, who serves whom, and how workers wait.

use super::{Key, NumberKey, ONE};

/// Which driver moves the packets.
pub const IO: Key = Key {
    name: "io",
    unit: "uring|portable|auto",
    default: "auto",
    bounds: "uring, portable, auto",
    doc: "What moves the packets: io_uring, or epoll with recvmmsg and sendmmsg; `auto` takes io_uring \
          where the kernel allows it.",
    example: "auto",
    ..ONE
};

/// How clients are spread over the workers.
pub const STEER: Key = Key {
    name: "steer",
    unit: "hash|cpu",
    default: "hash",
    bounds: "hash, cpu",
    doc: "Which worker a client talks to: one chosen by a hash of its address, or the one on the core \
          that received the packet, for network cards with a receive queue for each worker's core. \
          With `cpu`, packets of a client that arrive on another core later are handed over.",
    example: "hash",
    ..ONE
};

/// How long a packet may be held for company.
pub const BATCH_WAIT: NumberKey = NumberKey {
    key: Key {
        name: "batch-wait-us",
        unit: "MICROSECONDS",
        default: "100",
        bounds: "0-2000",
        doc: "Longest time that a packet may be held for company: packets of one stream that leave \
              together save up to half of the work. None is held while a worker uses less than half \
              of its core, nor where it brings nothing, as with voice; 0: none ever is.",
        example: "50",
        ..ONE
    },
    min: 0,
    max: 2000,
    default: 100,
};

/// How long a worker looks before it sleeps.
pub const SPIN: NumberKey = NumberKey {
    key: Key {
        name: "spin-us",
        unit: "MICROSECONDS",
        default: "0",
        bounds: "0-1000",
        doc: "How long a worker looks for packets before it sleeps, which saves the wake-up and costs \
              a core. For the lowest latency with `batch-wait-us` 0.",
        example: "50",
        ..ONE
    },
    min: 0,
    max: 1000,
    default: 0,
};

/// How long the kernel polls the network card.
pub const BUSY_POLL: NumberKey = NumberKey {
    key: Key {
        name: "busy-poll-us",
        unit: "MICROSECONDS",
        default: "0",
        bounds: "0-1000",
        doc: "How long the kernel polls the network card's queue for a worker before it sleeps (NAPI \
              busy polling through io_uring, kernel 6.9, where the driver of the card has it).",
        example: "50",
        ..ONE
    },
    min: 0,
    max: 1000,
    default: 0,
};
