//! One server of a sweep: what is set up for it, what was tried, and what is tried next.

use super::search::{Fate, Search, Tried, believed, highest_held, lowest_failed};
use crate::{
    fault::Fault,
    measure::{floor::Floor, measure, observe::Sample},
    offer::spec::Spec,
    report::{self, output, progress::Progress},
    result::{
        about::About,
        outcome::{Known, Outcome},
        server::Memory,
        sweep::{Limit, Step, Swept},
        verdict::Limits,
    },
    rig::Rig,
    stop,
};

/// Runs after the first begin below what it found, climb by this factor, and narrow down so often.
const AGAIN_FACTOR: f64 = 1.2;
const AGAIN_NARROW: u32 = 3;

/// A server that is swept.
pub(super) struct Climber {
    pub(super) rig: Rig,
    name: String,
    pid: Option<u32>,
    memory: Option<Memory>,
    spec: Spec,
    /// That of the first run, then that of those after it.
    search: Search,
    runs_left: u32,
    tried: Vec<Tried>,
    limits: Vec<Limit>,
    steps: Vec<Step>,
    died: bool,
}

/// What steps of all servers have in common.
pub(super) struct Shared {
    pub(super) about: About,
    pub(super) limits: Limits,
    pub(super) floor: Floor,
}

impl Climber {
    /// A server that is set up, and so many runs of a search.
    pub(super) fn new(
        name: &str,
        (rig, memory): (Rig, Option<Memory>),
        pid: Option<u32>,
        (search, runs): (Search, u32),
    ) -> Climber {
        Climber {
            name: name.to_owned(),
            spec: rig.spec.clone(),
            rig,
            pid,
            memory,
            search,
            runs_left: runs,
            tried: Vec::new(),
            limits: Vec::new(),
            steps: Vec::new(),
            died: false,
        }
    }

    /// Tries the next rate; false when there is none left.
    pub(super) fn advance(&mut self, shared: &mut Shared) -> Result<bool, Fault> {
        while self.runs_left > 0 && !self.died {
            let Some(rate) = self.search.next(&self.tried) else {
                self.end_run();
                continue;
            };
            let Some(step) = self.try_often(rate, shared)? else { return Ok(false) };
            self.tried.push(Tried { rate, fate: fate(&step) });
            self.steps.push(step);
            return Ok(true);
        }
        Ok(false)
    }

    /// Notes what a run came to, and prepares the next.
    fn end_run(&mut self) {
        self.runs_left -= 1;
        let best = highest_held(&self.tried);
        let end = lowest_failed(&self.tried);
        self.note_limit(end.is_none_or(|end| end.fate == Fate::GeneratorsFault));
        let from = if best > 0.0 { best / AGAIN_FACTOR } else { self.search.from };
        self.search = Search { from, factor: AGAIN_FACTOR, narrow: AGAIN_NARROW, ..self.search };
        self.tried.clear();
    }

    fn note_limit(&mut self, is_at_least: bool) {
        let ways = self.spec.ways.iter().filter(|way| **way).count() as f64;
        let best = highest_held(&self.tried);
        self.limits.push(Limit { pps: best * ways, is_at_least: best > 0.0 && is_at_least });
    }

    /// Nothing when the server ended, or somebody asked to stop.
    fn try_often(&mut self, rate: f64, shared: &mut Shared) -> Result<Option<Step>, Fault> {
        self.spec.offer(rate);
        let mut steps: Vec<Step> = Vec::new();
        loop {
            let Some(step) = self.try_once(shared, steps.len() as u32 + 1)? else {
                return Ok(None);
            };
            if !self.spec.quiet {
                output::say_aside(&report::sweep::line(&self.name, &step));
            }
            steps.push(step);
            let fates: Vec<Fate> = steps.iter().map(fate).collect();
            if let Some(believed) = believed(&fates) {
                let tries = steps.len() as u32;
                let last = steps.into_iter().rfind(|step| fate(step) == believed);
                return Ok(last.map(|step| Step { tries, ..step }));
            }
        }
    }

    fn try_once(&mut self, shared: &mut Shared, tries: u32) -> Result<Option<Step>, Fault> {
        let floor = shared.floor.measure(&self.spec);
        let mut progress = Progress::new(&self.spec, &self.name);
        let mut watch = |sample: &Sample| progress.show(sample);
        let measured = measure(&mut self.rig, &self.spec, self.pid, &mut watch);
        progress.finish();
        if stop::is_asked() {
            return Ok(None);
        }
        let (about, limits) = (shared.about.clone(), shared.limits);
        let known = Known { floor: floor?, limits, ..Known::about(about) };
        let outcome = Outcome::new(&self.rig.set_up, &self.spec, &measured?, known);
        self.died = outcome.server_died;
        Ok((!self.died).then(|| Step::of(&outcome, tries)))
    }

    /// What it came to. The allocations are given back.
    pub(super) fn finish(mut self) -> Swept {
        if self.limits.is_empty() {
            // Cut short: what held until then is a lower bound.
            self.note_limit(true);
        }
        let mut swept = Swept::new(&self.name, self.steps, self.limits);
        let each = self.memory.and_then(|memory| memory.per_allocation(&self.spec));
        swept.bytes_per_allocation = each;
        swept.base_bytes = self.memory.map(|memory| memory.before_bytes);
        swept.died = self.died;
        if !self.died {
            swept.warnings.extend(self.rig.close().map(|left| left.to_string()));
        }
        swept
    }
}

fn fate(step: &Step) -> Fate {
    match (step.held, step.generator_limited) {
        (true, _) => Fate::Held,
        (false, true) => Fate::GeneratorsFault,
        (false, false) => Fate::Failed,
    }
}
