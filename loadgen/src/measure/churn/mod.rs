//! Requests as a load of their own: the `churn` shape, where allocations come and go, `handshakes`,
//! where connections do, and a probe of a few requests beside other traffic.
//!
//! ```text
//! cycles.rs, handshakes.rs   what is done in each slot
//! probe.rs                   cycles beside other traffic
//! work.rs                    what one thread does with its slots, and counts
//! slots.rs                   when the next thing begins, and where
//! ```

mod cycles;
mod handshakes;
mod probe;
mod slots;
mod work;

use std::{net::SocketAddr, sync::Arc};

use self::{
    cycles::{CHURN, Churn, Count},
    handshakes::{Handshakes, Kinds},
    work::Tally,
};
pub(crate) use self::{probe::Probe, work::Place};
use crate::{
    clock::Clock,
    fault::Fault,
    measure::{
        Measured, Shaken, WayTotal, measured_ns,
        observe::{Observation, Observed, Sample, observe},
        window,
    },
    offer::{shape::Shape, spec::Spec},
    rig::{
        self, SetUp,
        gauge::Gauge,
        lane::ThreadUse,
        link::{self, Access},
        turn::{Member, Session, Timings, drive},
    },
    stop::Until,
    stream::Resumption,
};

/// Runs cycles against a server. The set-up that is returned says how long each request took.
pub(crate) fn measure(
    spec: &Spec,
    server: SocketAddr,
    pid: Option<u32>,
    watch: &mut dyn FnMut(&Sample),
) -> Result<(Measured, SetUp), Fault> {
    let clock = Clock::start();
    rig::allow_sockets((spec.window * spec.threads) as u64)?;
    let peer_ip = rig::peer_ip(spec, Some(server))?;
    if spec.shape != Shape::Handshakes {
        try_once(spec, server, peer_ip, clock)?;
    }
    let begin_ns = clock.now();
    let window = window(1, begin_ns, spec);
    let until = Until::new(window.until_ns);
    let place = Place { server, peer_ip, clock, window, until: &until };
    let (measured, timings) = match spec.shape {
        Shape::Handshakes => (shake(spec, place, pid, watch)?, Vec::new()),
        _ => {
            let (measured, timings) = churn(spec, place, pid, watch)?;
            (measured, vec![timings])
        }
    };
    Ok((measured, SetUp { took_ns: clock.now() - begin_ns, timings }))
}

fn churn(
    spec: &Spec,
    place: Place<'_>,
    pid: Option<u32>,
    watch: &mut dyn FnMut(&Sample),
) -> Result<(Measured, Timings), Fault> {
    let gauges: Vec<Arc<Gauge>> = (0..spec.threads).map(|_| Arc::default()).collect();
    let churns = gauges.iter().map(|gauge| Churn::new(spec, place, CHURN, gauge));
    let mut churns = churns.collect::<Result<Vec<_>, Fault>>()?;
    let jobs = churns.iter_mut().enumerate().map(|(at, churn)| {
        let core = core(spec, at);
        move || churn.run(core).map(|thread: ThreadUse| vec![thread])
    });
    let observed = observe(observation(place, &gauges, pid, watch), jobs.collect())?;
    let mut sum = Count::new(CHURN);
    churns.into_iter().for_each(|churn| sum.add(churn.count()));
    let Count { tally, requests, failures } = sum;
    let measured = Measured { failures, ..Measured::of_one_way(place, tally, observed)? };
    Ok((measured, Timings { each: requests }))
}

/// The same for handshakes.
fn shake(
    spec: &Spec,
    place: Place<'_>,
    pid: Option<u32>,
    watch: &mut dyn FnMut(&Sample),
) -> Result<Measured, Fault> {
    let resumption = if spec.resume { Resumption::Always } else { Resumption::Never };
    let tls = spec.tls.as_ref().map(|tls| tls.resuming(resumption));
    let access = Access::of(spec).secured_by(tls);
    handshakes::try_once(spec, place, &access)?;
    let gauges: Vec<Arc<Gauge>> = (0..spec.threads).map(|_| Arc::default()).collect();
    let shakes = gauges.iter().map(|gauge| Handshakes::new(spec, place, access.clone(), gauge));
    let mut shakes = shakes.collect::<Result<Vec<_>, Fault>>()?;
    let jobs = shakes.iter_mut().enumerate().map(|(at, shake)| {
        let core = core(spec, at);
        move || shake.run(core).map(|thread: ThreadUse| vec![thread])
    });
    let observed = observe(observation(place, &gauges, pid, watch), jobs.collect())?;
    let mut sum = handshakes::Count::new();
    shakes.into_iter().for_each(|shake| sum.add(shake.count()));
    let handshakes::Count { tally, kinds: Kinds { resumed, failures, agreed } } = sum;
    let secured = agreed.zip(spec.tls.as_ref());
    let shaken = Shaken {
        resumed,
        full: tally.finished.packets - resumed,
        failures: failures.into_iter().collect(),
        secured: secured.map(|(agreed, tls)| link::secured(&agreed, tls)),
    };
    let measured = Measured::of_one_way(place, tally, observed)?;
    Ok(Measured { shaken: Some(shaken), ..measured })
}

fn observation<'a>(
    place: Place<'a>,
    gauges: &[Arc<Gauge>],
    pid: Option<u32>,
    watch: &'a mut dyn FnMut(&Sample),
) -> Observation<'a> {
    let Place { clock, window, until, .. } = place;
    let gauges = gauges.to_vec();
    Observation { clock, window, until, gauges, sockets: Vec::new(), pid, watch }
}

fn core(spec: &Spec, thread: usize) -> Option<usize> {
    (!spec.cores.is_empty()).then(|| spec.cores[thread % spec.cores.len()])
}

impl Measured {
    /// What is no packets and goes one way.
    fn of_one_way(place: Place<'_>, tally: Tally, observed: Observed) -> Result<Measured, Fault> {
        let Tally { started, finished, lag, unsent } = tally;
        let way = WayTotal { sent: started, received: finished };
        Ok(Measured {
            ways: [way, WayTotal::none(), WayTotal::none()],
            measured_ns: measured_ns(place.window, place.until)?,
            lag,
            unsent,
            failures: (0, None),
            lost_connections: (0, None),
            shaken: None,
            observed,
            slices: Default::default(),
        })
    }
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
    let access = Access::of(spec).without_trains();
    let mut alone = [Member::open(access, server, session)?];
    drive(&mut alone, CHURN.requests, 1, server, clock).map(drop)
}
