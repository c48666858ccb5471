//! The rules that hold, and those that some worker may still have.
//!
//! Law: no worker ever frees rules. Those of a million users took 117 to 148 ms, and packets waited
//! as long for the last worker that let go of them. Whoever is here holds them until no worker
//! does, and then has them freed on a thread of their own; secrets in them are overwritten there.

use std::mem;
use std::sync::Arc;

use crate::turn::Settings;

/// The rules of a running server.
pub(in crate::control) struct Rules {
    hold: Arc<Settings>,
    /// One set for each reload that some worker may not have taken yet.
    retired: Vec<Arc<Settings>>,
}

impl Rules {
    /// Begins with those that the workers were started with.
    pub(in crate::control) fn new(hold: Arc<Settings>) -> Self {
        Self { hold, retired: Vec::new() }
    }

    /// Has others hold from now on.
    pub(in crate::control) fn replace(&mut self, rules: &Arc<Settings>) {
        self.retired.push(mem::replace(&mut self.hold, Arc::clone(rules)));
    }

    /// Takes those that no worker has any more, for whoever frees them.
    pub(in crate::control) fn take_unused(&mut self) -> Vec<Arc<Settings>> {
        self.retired.extract_if(.., |rules| Arc::strong_count(rules) == 1).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::turn::{Authenticator, Credentials, Nonces, PeerPolicy};

    fn settings() -> Arc<Settings> {
        let nonces = Nonces::new([1; 32], 3600);
        let authenticator = Authenticator::new(Credentials::new("realm"), nonces);
        Arc::new(Settings::new(authenticator, PeerPolicy::new(&[], &[], &[])))
    }

    #[test]
    fn rules_live_until_the_last_worker_let_go_and_no_worker_frees_them() {
        let first = settings();
        let mut workers = [Arc::clone(&first), Arc::clone(&first)];
        let freed = Arc::downgrade(&first);
        let mut rules = Rules::new(first);
        let second = settings();
        rules.replace(&second);
        for worker in &mut workers {
            assert!(rules.take_unused().is_empty(), "a worker has them");
            *worker = Arc::clone(&second);
            assert!(freed.upgrade().is_some(), "the worker that let go has not freed them");
        }
        let unused = rules.take_unused();
        assert_eq!(unused.len(), 1);
        drop(unused);
        assert!(freed.upgrade().is_none());
        drop(workers);
        assert!(rules.take_unused().is_empty(), "those that hold are kept");
    }
}
