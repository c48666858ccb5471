//! Requests as a load of their own: the `churn` shape, where allocations come and go, and a probe
//! of a few requests beside other traffic.

mod cycles;
mod probe;

use std::{net::SocketAddr, sync::Arc};

use self::cycles::{CHURN, Churn, Count};
pub(crate) use self::{cycles::Place, probe::Probe};
use crate::{
    clock::Clock,
    count::ledger::Way,
    fault::Fault,
    measure::{
        Measured, WayTotal, measured_ns,
        observe::{Observation, Sample, observe},
        window,
    },
    offer::spec::Spec,
    rig::{
        self, SetUp,
        gauge::Gauge,
        lane::ThreadUse,
        sender::SentCount,
        turn::{Member, Session, Timings, drive},
    },
    stop::Until,
};

/// Runs cycles against a server. The set-up that is returned says how long each request took.
pub(crate) fn measure(
    spec: &Spec,
    server: SocketAddr,
    pid: Option<u32>,
    watch: &mut dyn FnMut(&Sample),
) -> Result<(Measured, SetUp), Fault> {
    rig::allow_sockets((spec.window * spec.threads) as u64)?;
    let clock = Clock::start();
    let peer_ip = rig::peer_ip(spec, Some(server))?;
    try_once(spec, server, peer_ip, clock)?;
    let begin_ns = clock.now();
    let window = window(1, begin_ns, spec);
    let until = Until::new(window.until_ns);
    let place = Place { server, peer_ip, clock, window, until: &until };
    let gauges: Vec<Arc<Gauge>> = (0..spec.threads).map(|_| Arc::default()).collect();
    let churns = gauges.iter().map(|gauge| Churn::new(spec, place, CHURN, gauge));
    let mut churns = churns.collect::<Result<Vec<_>, Fault>>()?;
    let jobs = churns.iter_mut().enumerate().map(|(at, churn)| {
        let core = (!spec.cores.is_empty()).then(|| spec.cores[at % spec.cores.len()]);
        move || churn.run(core).map(|thread: ThreadUse| vec![thread])
    });
    let sockets = Vec::new();
    let observation =
        Observation { clock, window, until: &until, gauges: gauges.clone(), sockets, pid, watch };
    let observed = observe(observation, jobs.collect())?;
    let mut sum = Count::new(CHURN);
    churns.iter().for_each(|churn| sum.add(&churn.count));
    let timings = Timings { each: sum.requests };
    let measured = Measured {
        ways: [
            WayTotal { sent: sum.started, received: sum.finished },
            WayTotal { sent: SentCount::default(), received: Way::new() },
        ],
        measured_ns: measured_ns(window, &until)?,
        lag: sum.lag,
        unsent: 0,
        failures: sum.failures,
        observed,
        slices: Default::default(),
    };
    Ok((measured, SetUp { took_ns: clock.now() - begin_ns, timings: vec![timings] }))
}

/// One cycle alone: what is wrong with the server or the credentials shows here, in one line.
fn try_once(
    spec: &Spec,
    server: SocketAddr,
    peer_ip: std::net::IpAddr,
    clock: Clock,
) -> Result<(), Fault> {
    let mut session = Session::new(spec.account.clone(), spec.pace, peer_ip, rig::seed());
    session.talk_to(SocketAddr::new(peer_ip, cycles::DISCARD_PORT));
    drive(&mut [Member::open(server, false, session)?], CHURN.requests, 1, server, clock).map(drop)
}
