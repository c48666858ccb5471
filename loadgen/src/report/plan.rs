//! A plan for people.

use super::{
    number::{bytes, count, short},
    table::Table,
    text,
};
use crate::{
    result::plan::{Plan, Resource},
    stream::Transport,
};

/// A plan: what a node carries and why, and what was asked for.
pub(crate) fn text(plan: &Plan) -> String {
    let (measured, demand, node) = (&plan.measurement, &plan.demand, &plan.node);
    let sockets = match measured.transport {
        Transport::Udp => "kernel socket included",
        Transport::Tcp => "kernel sockets included, clients over TCP",
        Transport::Tls => "kernel sockets included, clients over TLS",
    };
    let percent = 100.0 * node.headroom;
    let mut text = text::head(&format!("plan from a sweep of {}", plan.server), &plan.about);
    text += &format!(
        "\nmeasured: {} packets/s per core at {:.0} B, {} per allocation ({sockets})\n\
         stream:   {} kbit/s, {} packets/s, {} allocations\n\
         headroom: {percent:.0} % of every resource stays free\n\n",
        short(measured.pps_per_core),
        measured.payload_bytes,
        bytes(measured.bytes_per_allocation),
        demand.kbps,
        demand.pps,
        demand.allocations,
    );
    text += &resources(plan).text();
    let capacity = &plan.capacity;
    let carried = format!(
        "one node carries {} streams; {} runs out first",
        count(capacity.streams),
        capacity.first
    );
    if let Some(fleet) = &plan.fleet {
        text += &format!(
            "\n{} streams need {} such node{}: {:.1} cores busy, {:.2} Gbit/s each way, {:.2} GiB, \
             {} relay ports, all nodes together\n",
            count(fleet.streams),
            fleet.nodes,
            if fleet.nodes == 1 { "" } else { "s" },
            fleet.cores,
            fleet.nic_gbps,
            fleet.memory_gib,
            count(fleet.ports)
        );
    }
    text + &text::foot(&plan.warnings, &[carried])
}

fn resources(plan: &Plan) -> Table {
    let heads = ["per node", "per 1,000 streams", "streams a node carries"];
    let mut table = Table::headed("", heads.map(str::to_owned));
    for Resource { name, unit, per_stream, per_node, streams } in &plan.capacity.resources {
        let cells = [
            format!("{per_node:.1} {unit}"),
            format!("{:.3} {unit}", per_stream * 1e3),
            count(*streams as u64),
        ];
        table.row(name, cells);
    }
    table
}
