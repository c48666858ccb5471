//! One turn: everything queued is handed over, then it waits, then it may hold.

use std::{io, time::Instant};

use super::{Engine, kernel::Kernel, pace::Hold, wait_plan::WaitPlan};
use crate::io::{event::Wait, memory::pool::Incoming};

impl<K: Kernel> Engine<K> {
    /// Ends the turn before, and hands over or queues everything that is to happen with this one's
    /// call.
    pub(super) fn begin_turn(&mut self) -> io::Result<()> {
        let datagrams = self.pace.datagrams();
        self.counters.count_turn(datagrams);
        self.pace.end_turn(self.counters.joined);
        if let Some(percent) = self.core_use.sample() {
            self.pace.uses(percent);
        }
        self.segmentation.begin_turn();
        self.prepare()?;
        if self.sampler.is_under_way() {
            // A call of its own, so that the clock is read when the kernel has it all. Nothing is
            // collected, which would change what the turn waits for.
            self.kernel.submit()?;
            self.sampler.sent(&mut self.hold_times, datagrams);
        }
        Ok(())
    }

    fn prepare(&mut self) -> io::Result<()> {
        self.kernel.make_ready()?;
        self.arm_receives()?;
        self.submit_sends()?;
        self.cancel_closed()?;
        self.open_and_leave()?;
        self.streams.prepare(&mut self.kernel)?;
        self.settle();
        Ok(())
    }

    pub(super) fn submit_sends(&mut self) -> io::Result<()> {
        self.kernel.send_waiting(&self.table)
    }

    /// Works off what has ended already.
    fn settle(&mut self) {
        if K::ENDS_AT_ONCE {
            self.collect();
        }
    }

    /// Hands the send queue over now and waits until the kernel has worked it off.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.kernel.make_ready()?;
        self.submit_sends()?;
        self.settle();
        let mut plan = WaitPlan::NONE;
        while self.kernel.outbox().in_flight() > 0 {
            self.enter(plan)?;
            plan = WaitPlan::FIRST;
        }
        Ok(())
    }

    pub(super) fn enter(&mut self, plan: WaitPlan) -> io::Result<()> {
        self.kernel.enter(plan)?;
        self.collect();
        Ok(())
    }

    /// Waits, after a look for packets if there is to be one.
    ///
    /// Every send completes within the call that submits it, which must not count as something to
    /// wake up for. Cancelled receives end within it, too, if it asks for as much. Only trains are
    /// looked at right away, since the kernel may refuse one and its datagrams then leave one by
    /// one.
    pub(super) fn wait(&mut self, wait: Wait) -> io::Result<()> {
        let plan = WaitPlan::first(wait).within(self.streams.longest_sleep());
        let mut plan = self.unless_busy(plan);
        // A look would find the first few of those that end, and all others before the packets.
        if self.cancelling > 0 || !self.spins(plan)? {
            if plan.waits() && self.kernel.outbox().has_trains() {
                self.enter(WaitPlan::NONE)?;
                plan = self.unless_busy(plan);
            }
            let sends = self.kernel.outbox().in_flight();
            self.enter(plan.beside(sends).for_ends(sends, self.cancelling))?;
        }
        self.receive_on()
    }

    /// The same, but no wait where a turn has something to do that it would delay.
    fn unless_busy(&self, plan: WaitPlan) -> WaitPlan {
        if self.has_work() { WaitPlan::NONE } else { plan }
    }

    /// Looks for packets for a while instead of sleeping at once; whether there were any.
    fn spins(&mut self, plan: WaitPlan) -> io::Result<bool> {
        if self.spin.is_zero() || !plan.waits() {
            return Ok(false);
        }
        let spin = plan.limit.map_or(self.spin, |limit| limit.min(self.spin));
        let began = Instant::now();
        while began.elapsed() < spin {
            self.enter(WaitPlan::NONE)?;
            if self.has_work() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a turn has something to do that a sleep would delay.
    ///
    /// A receive that ended for want of buffers can be armed as soon as one is there: with the
    /// kernel, free since a send ended, or with a send under way, which gives it back within the
    /// next call. A driver that slept then would sleep beside sockets that nobody reads, and whose
    /// full buffers wake nobody, for as long as nothing else happens.
    fn has_work(&self) -> bool {
        let is_free = |incoming| self.kernel.pool().free(incoming) > 0;
        let comes_back = self.kernel.outbox().in_flight() > 0;
        let may_arm = || self.kernel.may_arm() > 0 || comes_back || is_free(Incoming::Datagrams);
        !self.backlog.is_empty()
            || self.is_letting_go()
            || (!self.to_arm.is_empty() && may_arm())
            || self.streams.has_work()
            || self.streams.is_starved() && (comes_back || is_free(Incoming::Stream))
    }

    /// Whether a socket is to be let go of.
    fn is_letting_go(&self) -> bool {
        !self.to_release.is_empty() || !self.to_leave.is_empty()
    }

    /// Keeps what has arrived waiting for company, if that is worth it and nothing else is to be
    /// done. No send is under way by now.
    ///
    /// No more is waited for than the kernel can receive, and nothing beside a receive that has
    /// ended: in both cases the wait would go on beside full sockets.
    pub(super) fn hold(&mut self) -> io::Result<()> {
        let Some(hold) = self.pace.hold() else { return Ok(()) };
        let arrivals = hold.arrivals.min(self.kernel.may_hold_for());
        if arrivals == 0 || self.is_deaf || self.is_letting_go() {
            return Ok(());
        }
        self.kernel.hold(Hold { arrivals, ..hold })?;
        self.collect();
        self.receive_on()
    }
}
