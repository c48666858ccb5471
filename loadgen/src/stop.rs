//! The wish to stop: Ctrl-C, SIGTERM, or the end of the terminal ends what is measured, not the
//! program, which still reports, gives its allocations back and ends the servers it has started.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
};

use crate::{fault::Fault, procfs};

/// Exit status after a signal: 128 and the number of SIGINT, as shells have it.
pub(crate) const STATUS: u8 = 130;

static ASKED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// What a second signal does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Second {
    /// Ends the program at once.
    Ends,
    /// Nothing: servers that were started here have to be ended first.
    Waits,
}

/// Takes signals from now on.
pub(crate) fn listen(second: Second) -> Result<(), Fault> {
    let asked = ASKED.get_or_init(Arc::default);
    let fault = |error| Fault::io("listen for signals", error);
    // Under nohup the end of the terminal is no wish to stop.
    let hangup = (!procfs::ignores(SIGHUP)).then_some(SIGHUP);
    for signal in [SIGINT, SIGTERM].into_iter().chain(hangup) {
        // In this order: the first signal finds the flag not set.
        if second == Second::Ends {
            flag::register_conditional_shutdown(signal, STATUS.into(), asked.clone())
                .map_err(fault)?;
        }
        flag::register(signal, asked.clone()).map_err(fault)?;
    }
    Ok(())
}

/// True once somebody asked to stop.
pub(crate) fn is_asked() -> bool {
    ASKED.get().is_some_and(|asked| asked.load(Ordering::Relaxed))
}

/// When a measurement ends: as planned, or when it is cut short.
#[derive(Debug)]
pub(crate) struct Until {
    planned_ns: u64,
    cut_ns: AtomicU64,
}

impl Until {
    pub(crate) fn new(planned_ns: u64) -> Until {
        Until { planned_ns, cut_ns: AtomicU64::new(u64::MAX) }
    }

    pub(crate) fn ns(&self) -> u64 {
        self.planned_ns.min(self.cut_ns.load(Ordering::Relaxed))
    }

    /// Ends it now; the first time counts.
    pub(crate) fn cut(&self, now_ns: u64) {
        self.cut_ns.fetch_min(now_ns, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measurement_is_cut_short_once() {
        let until = Until::new(100);
        assert_eq!(until.ns(), 100);
        until.cut(70);
        until.cut(80);
        assert_eq!(until.ns(), 70);
        let over = Until::new(100);
        over.cut(200);
        assert_eq!(over.ns(), 100);
    }
}
