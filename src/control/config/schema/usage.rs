//! The keys of the usage records.

use super::{Key, NumberKey, ONE};

/// The file of the usage records.
pub const USAGE_RECORDS: Key = Key {
    name: "usage-records",
    unit: "PATH",
    default: "none",
    bounds: "a file that can be appended to or made",
    doc: "File that gets one JSON line for each allocation that has ended: who, where, with whom, how \
          long, how much. SIGHUP has it opened anew, after it was renamed.",
    example: "/var/log/uturn/usage.jsonl",
    ..ONE
};

/// How often allocations that live are recorded.
pub const USAGE_INTERVAL: NumberKey = NumberKey {
    key: Key {
        name: "usage-interval",
        unit: "SECONDS",
        default: "0",
        bounds: "0-86400, 0 for never",
        doc: "How often each allocation that lives gets an interim record, so that a long call is \
              seen before it ends; needs `usage-records`.",
        example: "300",
        ..ONE
    },
    min: 0,
    max: 86_400,
    default: 0,
};
