//! What a measured sweep says about relay nodes. Pure arithmetic, forward and in reverse.
//!
//! Each resource of a node carries so many streams; the least of them is what a node carries. The
//! measured limits are never planned to the brim: `headroom` of every resource stays free.

use serde::{Deserialize, Serialize};

use super::{
    about::About,
    sweep::{Answer, Sweep, Swept},
};
use crate::stream::Transport;

/// Bytes a packet of payload has on the wire beside it: preamble, gap and Ethernet 38, IPv4 20, UDP
/// 8 or TCP with its time stamps 32, ChannelData 4, a TLS record 22.
fn overhead_bytes(transport: Transport) -> f64 {
    match transport {
        Transport::Udp => 70.0,
        Transport::Tcp => 94.0,
        Transport::Tls => 116.0,
    }
}

/// Kernel memory of a relay socket (measured, Linux 6.18), on top of what the process shows.
const SOCKET_BYTES: f64 = 3_277.0;

/// The same of a client's idle TCP connection. What a client does not read comes on top.
const CONNECTION_BYTES: f64 = 3_900.0;

/// Packet sizes further apart than this factor have different costs.
const SIMILAR_SIZE: f64 = 2.0;

/// Part of a core above which the cost of a packet is that of a full one, about.
const FULL: f64 = 0.7;

const GIB: f64 = 1_073_741_824.0;

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measurement {
    /// Packets/s one core relays.
    pub(crate) pps_per_core: f64,
    pub(crate) payload_bytes: f64,
    pub(crate) bytes_per_allocation: f64,
    pub(crate) base_bytes: f64,
    /// Between clients and server.
    #[serde(default)]
    pub(crate) transport: Transport,
}

/// What one stream needs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Demand {
    /// Payload, all packets of the stream together.
    pub(crate) kbps: f64,
    pub(crate) pps: f64,
    pub(crate) allocations: f64,
}

/// What one node has.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Node {
    pub(crate) cores: f64,
    pub(crate) nic_gbps: f64,
    pub(crate) memory_gib: f64,
    pub(crate) ports: f64,
    /// Share of every resource that stays free.
    pub(crate) headroom: f64,
}

/// One resource: how much a stream takes, a node has, and how many streams that carries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Resource {
    pub(crate) name: String,
    pub(crate) unit: String,
    pub(crate) per_stream: f64,
    pub(crate) per_node: f64,
    /// With the headroom left free.
    pub(crate) streams: f64,
}

/// What a node carries, and why no more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Capacity {
    pub(crate) streams: u64,
    /// The resource that runs out first.
    pub(crate) first: String,
    pub(crate) resources: Vec<Resource>,
}

/// What many streams need.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Fleet {
    pub(crate) streams: u64,
    pub(crate) nodes: u64,
    /// Of all nodes together, busy at the planned load.
    pub(crate) cores: f64,
    pub(crate) nic_gbps: f64,
    pub(crate) memory_gib: f64,
    pub(crate) ports: u64,
}

/// A plan as it is reported.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) about: About,
    /// The server that was measured.
    pub(crate) server: String,
    pub(crate) measurement: Measurement,
    pub(crate) demand: Demand,
    pub(crate) node: Node,
    pub(crate) capacity: Capacity,
    /// When streams were asked for.
    pub(crate) fleet: Option<Fleet>,
    pub(crate) warnings: Vec<String>,
}

/// What a core carries: packets per second of CPU time at the highest step that held. `at_least`: a
/// lower bound will do.
pub(crate) fn measurement(
    swept: &Swept,
    transport: Transport,
    at_least: bool,
) -> Result<Measurement, String> {
    match swept.answer {
        Answer::Found { .. } => {}
        Answer::AtLeast { .. } if at_least => {}
        Answer::AtLeast { .. } => {
            return Err(
                "this sweep ended where the generator could offer no more, or at its --to: \
                        what the server carries is not known (--at-least plans with what it \
                        carried)"
                    .to_owned(),
            );
        }
        Answer::Unsteady { .. } => {
            return Err(
                "the runs of this sweep do not agree: repeat it on a quieter machine, or with \
                        a longer --duration"
                    .to_owned(),
            );
        }
        Answer::Nothing => {
            return Err("no step of this sweep held: there is nothing to plan with".to_owned());
        }
    }
    let best = swept.best.as_ref().ok_or("no step of this sweep lies at its answer")?;
    let cpu_ns = best.cpu_ns_per_packet.filter(|cpu_ns| *cpu_ns > 0.0);
    let cpu_ns = cpu_ns.ok_or("this sweep was made without --pid: it has no CPU time")?;
    let connection_bytes = if transport.is_stream() { CONNECTION_BYTES } else { 0.0 };
    let kernel_bytes = SOCKET_BYTES + connection_bytes;
    let payload_bits = best.gbps * 1e9 / best.relayed_pps.max(1.0);
    Ok(Measurement {
        pps_per_core: 1e9 / cpu_ns,
        payload_bytes: payload_bits / 8.0,
        bytes_per_allocation: swept.bytes_per_allocation.unwrap_or_default() + kernel_bytes,
        transport,
        base_bytes: swept.base_bytes.unwrap_or_default() as f64,
    })
}

/// How many streams one node carries.
pub(crate) fn capacity(measured: &Measurement, demand: &Demand, node: &Node) -> Capacity {
    let free_memory = (node.memory_gib - measured.base_bytes / GIB).max(0.0);
    let memory_gib = demand.allocations * measured.bytes_per_allocation / GIB;
    let rows = [
        ("CPU", "cores", demand.pps / measured.pps_per_core, node.cores),
        ("network, each way", "Gbit/s", wire_gbps(demand, measured.transport), node.nic_gbps),
        ("relay ports", "ports", demand.allocations, node.ports),
        ("memory", "GiB", memory_gib, free_memory),
    ];
    let resources = rows.map(|(name, unit, per_stream, per_node)| Resource {
        name: name.to_owned(),
        unit: unit.to_owned(),
        per_stream,
        per_node,
        streams: per_node * (1.0 - node.headroom) / per_stream,
    });
    let first = resources.iter().min_by(|a, b| a.streams.total_cmp(&b.streams));
    let (streams, first) =
        first.map_or((0, String::new()), |least| (least.streams as u64, least.name.clone()));
    Capacity { streams, first, resources: resources.to_vec() }
}

/// What `streams` streams need, on as many equal nodes as it takes.
pub(crate) fn fleet(
    streams: u64,
    measured: &Measurement,
    demand: &Demand,
    capacity: &Capacity,
) -> Fleet {
    let nodes = streams.div_ceil(capacity.streams.max(1));
    let all = streams as f64;
    let allocations = all * demand.allocations;
    let memory_bytes =
        allocations * measured.bytes_per_allocation + nodes as f64 * measured.base_bytes;
    Fleet {
        streams,
        nodes,
        cores: all * demand.pps / measured.pps_per_core,
        nic_gbps: all * wire_gbps(demand, measured.transport),
        memory_gib: memory_bytes / GIB,
        ports: allocations.ceil() as u64,
    }
}

/// What a stream takes of a network port, each way: every packet comes in once and leaves once, on
/// one of its ways as the clients' transport has it, and here on both.
fn wire_gbps(demand: &Demand, transport: Transport) -> f64 {
    (demand.kbps * 1e3 + demand.pps * overhead_bytes(transport) * 8.0) * 1e-9
}

/// Everything that makes a plan say less than it seems to.
pub(crate) fn warnings(
    sweep: &Sweep,
    swept: &Swept,
    measured: &Measurement,
    demand: &Demand,
) -> Vec<String> {
    let asked_bytes = demand.kbps * 1e3 / 8.0 / demand.pps;
    let ratio = asked_bytes / measured.payload_bytes.max(1.0);
    let mut warnings = [&swept.warnings[..], &sweep.warnings].concat();
    if let Answer::AtLeast { .. } = swept.answer {
        warnings.push("planned with a lower bound: the server may carry more".to_owned());
    }
    let busy = swept.best.as_ref().and_then(|best| best.cores_busy);
    if let Some(busy) = busy.filter(|busy| *busy < FULL) {
        warnings.push(format!(
            "measured with {busy:.2} of a core busy: a packet costs less where more come at once, \
             so that fewer cores may do"
        ));
    }
    if swept.bytes_per_allocation.is_none() {
        warnings.push(
            "memory for an allocation is not known, since the server had it before the sweep: what \
             is planned with is the kernel's part"
                .to_owned(),
        );
    }
    if !(1.0 / SIMILAR_SIZE..=SIMILAR_SIZE).contains(&ratio) {
        warnings.push(format!(
            "measured with packets of {:.0} B, planned for {asked_bytes:.0} B: repeat the sweep \
             with --size {asked_bytes:.0}",
            measured.payload_bytes
        ));
    }
    if sweep.offered.trains {
        warnings.push(
            "measured with bursts sent as trains: singles cost several times as much".to_owned(),
        );
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::sweep::Limit;

    const MEASURED: Measurement = Measurement {
        pps_per_core: 200_000.0,
        payload_bytes: 1_250.0,
        bytes_per_allocation: 8_192.0,
        base_bytes: 0.0,
        transport: Transport::Udp,
    };
    const STREAM: Demand = Demand { kbps: 1_500.0, pps: 150.0, allocations: 1.0 };
    const NODE: Node =
        Node { cores: 8.0, nic_gbps: 10.0, memory_gib: 16.0, ports: 16_384.0, headroom: 0.4 };

    #[test]
    fn the_scarcest_resource_decides() {
        let capacity = capacity(&MEASURED, &STREAM, &NODE);
        // 1,584 kbit/s on the wire: 10 Gbit/s carry 6,313 streams, 60 % of that is planned with.
        assert_eq!((capacity.streams, capacity.first.as_str()), (3_787, "network, each way"));
        let fast = Node { nic_gbps: 100.0, ..NODE };
        let capacity = super::capacity(&MEASURED, &STREAM, &fast);
        assert_eq!((capacity.streams, capacity.first.as_str()), (6_400, "CPU"));
        let few = Node { ports: 1_000.0, ..NODE };
        assert_eq!(super::capacity(&MEASURED, &STREAM, &few).first, "relay ports");
        let small = Node { memory_gib: 0.01, ..NODE };
        assert_eq!(super::capacity(&MEASURED, &STREAM, &small).first, "memory");
    }

    #[test]
    fn a_packet_over_tls_takes_more_of_the_network() {
        let over = |transport| {
            let measured = Measurement { transport, ..MEASURED };
            capacity(&measured, &STREAM, &NODE).streams
        };
        let all = [Transport::Udp, Transport::Tcp, Transport::Tls].map(over);
        assert!(all.is_sorted_by(|a, b| a > b), "{all:?}");
    }

    #[test]
    fn only_an_answer_is_planned_with() {
        let limit = |pps, is_at_least| Limit { pps, is_at_least };
        let swept = |runs: &[Limit]| Swept::new("a", Vec::new(), runs.to_vec());
        let why = |runs: &[Limit], at_least| {
            measurement(&swept(runs), Transport::Tcp, at_least).unwrap_err()
        };
        assert!(why(&[limit(1e5, true)], false).contains("--at-least"));
        assert!(why(&[limit(1e5, true)], true).contains("no step of this sweep lies"));
        assert!(why(&[limit(1e5, false), limit(2e5, false)], true).contains("do not agree"));
        assert!(why(&[limit(0.0, false)], true).contains("no step of this sweep held"));
    }

    #[test]
    fn forward_and_reverse_agree() {
        let capacity = capacity(&MEASURED, &STREAM, &NODE);
        let fits = fleet(capacity.streams, &MEASURED, &STREAM, &capacity);
        let more = fleet(capacity.streams + 1, &MEASURED, &STREAM, &capacity);
        assert_eq!((fits.nodes, more.nodes), (1, 2));
        assert!(fits.nic_gbps <= NODE.nic_gbps * (1.0 - NODE.headroom));
    }

    #[test]
    fn a_fleet_is_the_sum_of_its_streams() {
        let capacity = capacity(&MEASURED, &STREAM, &NODE);
        let fleet = fleet(5_000, &MEASURED, &STREAM, &capacity);
        assert_eq!((fleet.nodes, fleet.ports), (2, 5_000));
        assert!((fleet.cores - 3.75).abs() < 1e-9);
        assert!((fleet.nic_gbps - 7.92).abs() < 1e-9);
    }

    #[test]
    fn more_headroom_never_carries_more() {
        let carried = |headroom| capacity(&MEASURED, &STREAM, &Node { headroom, ..NODE }).streams;
        let all: Vec<u64> = (0..10).map(|tenth| carried(f64::from(tenth) / 10.0)).collect();
        assert!(all.is_sorted_by(|a, b| a >= b));
    }
}
