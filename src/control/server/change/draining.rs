//! Draining: no new clients, and the end when the last one has gone or the deadline has come.
//!
//! ```text
//! SIGUSR1 or `uturn drain` ── /ready says no ── workers send new clients elsewhere
//!                                 ── the last allocation ends, or the deadline comes ── stop
//! ```
//!
//! `uturn drain --cancel` calls it off, and the server serves as before.

use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::drain::{Drain, Left};
use crate::control::admin::commands::{DrainRequest, Progress, State};
use crate::control::server::supervisor::{Supervisor, WorkerControl};
use crate::turn::Alternates;

/// How often the log says who is left.
const LOG_EVERY: Duration = Duration::from_secs(10);

impl<W: WorkerControl> Supervisor<W> {
    /// Begins to drain, or changes how. What is not wished for is as it was, or else as the
    /// configuration says.
    pub(in crate::control) fn begin_draining(
        &mut self,
        request: DrainRequest,
    ) -> Result<(), String> {
        let config = self.reload.config();
        let (servers, deadline) = match &self.drain {
            Some(drain) => (drain.servers.clone(), drain.deadline),
            None => (config.alternates.clone(), from_now(config.values.drain_deadline)),
        };
        let servers = if request.alternate.is_empty() { servers } else { request.alternate };
        if let Some(own) = servers.iter().find(|server| config.listen.contains(server)) {
            return Err(format!("{own} is this server: name another one"));
        }
        let alternates = Alternates::new(&servers)
            .map_err(|_| "two alternate servers are of one family: name one of each".to_owned())?;
        let deadline = request.deadline_s.map_or(deadline, from_now);
        self.readiness.withdraw();
        self.workers.drain(Some(alternates));
        let now = Instant::now();
        let begun_with = self.drain.as_ref().and_then(|drain| drain.begun_with);
        info!(alternate = ?servers, deadline_s = seconds_until(now, deadline), "draining");
        self.drain = Some(Drain { servers, deadline, begun_with, next_log: now + LOG_EVERY });
        self.next_beat = Some(now);
        // Until they have been counted; then the beat says it better.
        if begun_with.is_none() {
            let left_s = seconds_until(now, deadline);
            self.tell(State::Draining(Progress { left: None, begun_with: None, left_s }));
        }
        Ok(())
    }

    /// Serves as before.
    pub(in crate::control) fn call_off_draining(&mut self) -> Result<(), String> {
        self.drain.take().ok_or_else(|| "the server is not draining".to_owned())?;
        self.workers.drain(None);
        self.readiness.restore();
        self.tell(State::Serving);
        info!("draining was called off");
        Ok(())
    }

    /// Looks who is left; `live` is their number if every worker has said.
    pub(in crate::control) fn look_who_is_left(&mut self, now: Instant, live: Option<u64>) -> Left {
        let Some(drain) = &mut self.drain else { return Left::Some };
        let begun_with = drain.begun_with.or(live);
        drain.begun_with = begun_with;
        let is_late = drain.deadline.is_some_and(|deadline| now >= deadline);
        let left_s = seconds_until(now, drain.deadline);
        if live == Some(0) || is_late {
            let left = live.unwrap_or_default();
            if left > 0 {
                warn!(allocations = left, "the deadline has come: what is left ends now");
            }
            self.tell(State::Drained { left });
            info!("drained");
            return Left::Over;
        }
        if now >= drain.next_log {
            drain.next_log = now + LOG_EVERY;
            info!(allocations = live, deadline_s = left_s, "still draining");
        }
        self.tell(State::Draining(Progress { left: live, begun_with, left_s }));
        Left::Some
    }

    fn tell(&self, state: State) {
        self.status.send_modify(|status| status.state = state);
    }
}

/// The deadline so many seconds from now; 0 is none.
fn from_now(seconds: u32) -> Option<Instant> {
    (seconds > 0).then(|| Instant::now() + Duration::from_secs(u64::from(seconds)))
}

/// Whole seconds that are left, the one that has begun included: a drain of 60 s begins at 60.
fn seconds_until(now: Instant, deadline: Option<Instant>) -> Option<u64> {
    let left = deadline?.saturating_duration_since(now);
    Some(left.as_secs() + u64::from(left.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_that_has_begun_counts_until_it_is_over() {
        let now = Instant::now();
        let left = |ms| seconds_until(now, Some(now + Duration::from_millis(ms)));
        assert_eq!([60_000, 59_999, 59_001, 59_000, 1].map(left), [60, 60, 60, 59, 1].map(Some));
        assert_eq!(seconds_until(now + Duration::from_secs(1), Some(now)), Some(0));
        assert_eq!(seconds_until(now, None), None);
    }
}
