//! Which code an input reached, by the counters of `-C instrument-coverage`; without them, nothing.

/// Parts of the program that inputs have reached so far.
pub(crate) struct Coverage {
    /// For each counter the magnitudes that it has had, a bit each.
    #[cfg(coverage)]
    seen: Vec<u8>,
    /// The largest magnitude that is told from a smaller one.
    #[cfg(coverage)]
    most: u32,
}

#[cfg(not(coverage))]
impl Coverage {
    /// True in a build that counts.
    pub(crate) const COUNTS: bool = false;

    pub(crate) fn of_code() -> Coverage {
        Coverage {}
    }

    pub(crate) fn of_counts() -> Coverage {
        Coverage {}
    }

    pub(crate) fn begin(&self) {}

    /// True when something was reached that no input had reached before.
    pub(crate) fn is_new(&mut self) -> bool {
        false
    }
}

#[cfg(coverage)]
impl Coverage {
    /// True in a build that counts.
    pub(crate) const COUNTS: bool = true;

    /// Tells only whether a part was reached.
    pub(crate) fn of_code() -> Coverage {
        Coverage { seen: Vec::new(), most: 0 }
    }

    /// Tells how often, too, roughly.
    pub(crate) fn of_counts() -> Coverage {
        Coverage { seen: Vec::new(), most: 7 }
    }

    pub(crate) fn begin(&self) {
        counters().fill(0);
    }

    /// True when something was reached that no input had reached before, or more often.
    pub(crate) fn is_new(&mut self) -> bool {
        let counters = counters();
        self.seen.resize(counters.len(), 0);
        let mut is_new = false;
        for (count, seen) in counters.iter().zip(&mut self.seen).filter(|(count, _)| **count > 0) {
            let magnitude = 1 << (64 - count.leading_zeros()).min(self.most);
            is_new |= *seen & magnitude == 0;
            *seen |= magnitude;
        }
        is_new
    }
}

/// The counters of the whole program.
#[cfg(coverage)]
#[expect(unsafe_code, reason = "the linker knows where the counters are, and nobody else")]
fn counters() -> &'static mut [u64] {
    unsafe extern "C" {
        #[link_name = "__start___llvm_prf_cnts"]
        static mut BEGIN: u64;
        #[link_name = "__stop___llvm_prf_cnts"]
        static mut END: u64;
    }
    let (begin, end) = (&raw mut BEGIN, &raw mut END);
    let bytes = end as usize - begin as usize;
    // SAFETY: the linker puts both around the section that holds the counters and nothing else.
    // The engine has one thread in such a build (`tests/fuzz/hours` runs a test at a time), so that
    // nobody counts while this is used.
    unsafe { std::slice::from_raw_parts_mut(begin, bytes / size_of::<u64>()) }
}
