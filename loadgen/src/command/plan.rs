//! `plan`: what a measured sweep says about relay nodes.

use crate::{
    command::args::PlanArgs,
    fault::Fault,
    report,
    result::{
        plan::{Demand, Node, Plan, capacity, fleet, measurement, warnings},
        sweep::Sweep,
    },
};

/// Plans and reports.
pub(crate) fn run(args: &PlanArgs) -> Result<bool, Fault> {
    let sweep = Sweep::read(&args.from)?;
    let measurement = measurement(&sweep).map_err(|text| Fault::file(&args.from, text))?;
    let (demand, node) = asked(args)?;
    let capacity = capacity(&measurement, &demand, &node);
    if args.streams.is_some() && capacity.streams == 0 {
        return Err(Fault::usage("one such node does not carry a single stream"));
    }
    let fleet = args.streams.map(|streams| fleet(streams, &measurement, &demand, &capacity));
    let warnings = warnings(&sweep, &measurement, &demand);
    let plan = Plan { measurement, demand, node, capacity, fleet, warnings };
    print!("{}", report::lists::plan(&plan));
    args.json.as_ref().map_or(Ok(()), |path| report::write_json(path, &plan))?;
    Ok(true)
}

fn asked(args: &PlanArgs) -> Result<(Demand, Node), Fault> {
    let positive = [
        ("--kbps", args.kbps),
        ("--pps", args.pps),
        ("--nic-gbps", args.nic_gbps),
        ("--memory-gib", args.memory_gib),
        ("--allocations-per-stream", args.allocations_per_stream),
        ("--cores", f64::from(args.cores)),
        ("--ports", args.ports as f64),
    ];
    if let Some((name, _)) = positive.iter().find(|(_, value)| *value <= 0.0 || !value.is_finite())
    {
        return Err(Fault::usage(format!("{name} must be more than nothing")));
    }
    if !(0.0..100.0).contains(&args.headroom) {
        return Err(Fault::usage("--headroom must be at least 0 and below 100 percent"));
    }
    let demand =
        Demand { kbps: args.kbps, pps: args.pps, allocations: args.allocations_per_stream };
    let node = Node {
        cores: f64::from(args.cores),
        nic_gbps: args.nic_gbps,
        memory_gib: args.memory_gib,
        ports: args.ports as f64,
        headroom: args.headroom / 100.0,
    };
    Ok((demand, node))
}
