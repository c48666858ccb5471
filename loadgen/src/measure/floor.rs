//! The generator's own floor: the same shape without a relay, through sockets and threads like
//! those of the run. What a result is not well above says as much about the generator as about the
//! server.

use crate::{
    clock::{Clock, MILLI_NS, SECOND_NS},
    count::latency::{self, Latency},
    fault::Fault,
    measure::measure,
    offer::{
        packet,
        spec::{Route, Spec},
    },
    rig::Rig,
    stream::Transport,
};

/// A fifth of the run, within these bounds, is spent on its floor.
const SHORTEST_NS: u64 = 200 * MILLI_NS;
const LONGEST_NS: u64 = SECOND_NS;

/// Of the same traffic before, not measured.
const WARMUP_NS: u64 = 100 * MILLI_NS;

/// Clients and peers with nothing between them.
pub(crate) struct Floor(Option<Rig>);

impl Floor {
    /// Opens the sockets of a run's floor. What has no schedule, and what is itself without a
    /// relay, has none.
    pub(crate) fn build(spec: &Spec) -> Result<Floor, Fault> {
        let build = |spec: Spec| Rig::build(&spec, None, Clock::start());
        Ok(Floor(without_relay(spec).map(build).transpose()?))
    }

    /// Measures it at the pace of `spec`; nothing when nothing arrived.
    pub(crate) fn measure(&mut self, spec: &Spec) -> Result<Option<Latency>, Fault> {
        let (Some(rig), Some(spec)) = (&mut self.0, without_relay(spec)) else { return Ok(None) };
        let measured = measure(rig, &spec, None, &mut |_| {})?;
        let mut both = latency::empty();
        measured.ways.iter().for_each(|way| latency::add(&mut both, &way.received.latency));
        Ok(Latency::of(&both))
    }
}

/// The floor of one run.
pub(crate) fn of(spec: &Spec) -> Result<Option<Latency>, Fault> {
    Floor::build(spec)?.measure(spec)
}

/// The same flows each way at the same pace, from clients to a peer and back.
fn without_relay(spec: &Spec) -> Option<Spec> {
    if !spec.shape.has_packets() || spec.is_unpaced() {
        return None;
    }
    let allocations = match spec.route {
        Route::Direct => return None,
        Route::Relay | Route::Binding => spec.allocations,
        Route::Pair => spec.allocations / 2,
    };
    let mut direct = Spec {
        route: Route::Direct,
        peer_ip: None,
        transport: Transport::Udp,
        tls: None,
        slow: None,
        allocations,
        indications: false,
        duration_ns: (spec.duration_ns / 5).clamp(SHORTEST_NS, LONGEST_NS),
        warmup_ns: WARMUP_NS,
        ..spec.clone()
    };
    for stream in &mut direct.streams {
        stream.payload_bytes = stream.payload_bytes.max(packet::HEADER_BYTES as u16);
        stream.last_bytes = stream.last_bytes.max(packet::HEADER_BYTES as u16);
    }
    Some(direct)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offer::{options::parse, spec::Times};

    fn spec(line: &str) -> Spec {
        Spec::settle(&parse(line).unwrap(), Times { duration_s: 10.0, warmup_s: 1.0 }).unwrap()
    }

    fn offered(spec: &Spec) -> f64 {
        let each = spec.streams.iter().filter_map(crate::offer::shape::Stream::packets_per_second);
        each.sum::<f64>() * spec.route.flows(spec.allocations) as f64 / spec.streams.len() as f64
    }

    #[test]
    fn the_floor_offers_what_the_run_does() {
        for line in [
            "voice -n 10",
            "voice -n 10 --c2c --direction both --rate 3000",
            "mixed -n 10 --rate 5000 --indications --peer-ip 192.0.2.1",
            "binding -n 10 --rate 100",
        ] {
            let (run, floor) = (spec(line), without_relay(&spec(line)).unwrap());
            assert_eq!((floor.route, floor.peer_ip), (Route::Direct, None), "{line}");
            assert!((offered(&floor) - offered(&run)).abs() < 0.01, "{line}");
            assert!(floor.streams.iter().all(|stream| stream.payload_bytes >= 32), "{line}");
        }
    }

    #[test]
    fn what_has_no_schedule_or_no_relay_has_no_floor() {
        for line in ["voice --direct", "voice --rate max", "bulk", "churn --rate 10", "binding"] {
            assert!(without_relay(&spec(line)).is_none(), "{line}");
        }
    }

    #[test]
    fn a_floor_is_measured_again_at_another_pace() {
        let mut spec = spec("voice -n 4 --rate 1000 -t 1");
        let mut floor = Floor::build(&spec).unwrap();
        let mut measure = || {
            [1_000.0, 2_000.0].map(|rate| {
                spec.offer(rate);
                floor.measure(&spec).unwrap().map_or(0, |latency| latency.samples)
            })
        };
        // A machine that stops for a moment leaves some unsent, and then it is tried once more.
        let follows = (0..20).any(|_| {
            let [slow, fast] = measure();
            assert!(slow <= 201 && fast <= 401, "{slow} {fast}");
            fast > slow
        });
        assert!(follows);
    }
}
