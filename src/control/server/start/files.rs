//! The limit of open files, raised as far as the process may and as far as it needs.
//!
//! Every relayed address is a socket. A login shell's soft limit of 1024 would end a relay's
//! growth there, and the hard limit beside it is usually far higher.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing::warn;

/// Raises the soft limit to what is needed, and warns if the hard limit does not let it. Says what
/// the limit is now.
pub(in crate::control) fn raise_limit(needed: u64) -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return needed };
    let wanted = raised(soft, hard, needed);
    let raised = wanted == soft || setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_ok();
    let limit = if raised { wanted } else { soft };
    if limit < needed {
        warn!(
            limit,
            needed, "too few open files for every relay port and connection: raise the limit"
        );
    }
    limit
}

fn raised(soft: u64, hard: u64, needed: u64) -> u64 {
    soft.max(needed.min(hard))
}

#[cfg(test)]
mod tests {
    use super::raised;

    #[test]
    fn the_limit_is_raised_as_far_as_needed_and_never_lowered() {
        assert_eq!(raised(1024, 1_048_576, 40_000), 40_000);
        assert_eq!(raised(1024, 4096, 40_000), 4096);
        assert_eq!(raised(100_000, 1_048_576, 40_000), 100_000);
    }
}
