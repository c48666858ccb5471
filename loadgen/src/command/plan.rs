//! `plan`: what a measured sweep says about relay nodes.

use crate::{
    command::args::PlanArgs,
    fault::Fault,
    report::{
        self,
        output::{Output, json, say, say_aside},
    },
    result::{
        about::About,
        plan::{Demand, Node, Plan, capacity, fleet, measurement, warnings},
        sweep::{Sweep, Swept},
    },
};

/// Plans and reports.
pub(crate) fn run(args: &PlanArgs) -> Result<bool, Fault> {
    let output = args.json.as_ref().map(|path| Output::open(path)).transpose()?;
    let fault = |text: String| Fault::file(&args.from, text);
    let sweep = Sweep::read(&args.from)?;
    let swept = one_of(&sweep, args.server.as_deref()).map_err(fault)?;
    let measurement = measurement(swept, sweep.offered.transport, args.at_least).map_err(fault)?;
    let (demand, node) = asked(args)?;
    let capacity = capacity(&measurement, &demand, &node);
    if args.streams.is_some() && capacity.streams == 0 {
        return Err(Fault::usage("one such node does not carry a single stream"));
    }
    let fleet = args.streams.map(|streams| fleet(streams, &measurement, &demand, &capacity));
    let warnings = warnings(&sweep, swept, &measurement, &demand);
    let (about, server) = (About::now(), swept.name.clone());
    let plan = Plan { about, server, measurement, demand, node, capacity, fleet, warnings };
    let text = report::plan::text(&plan);
    let said = match &output {
        Some(Output::Standard) => {
            say_aside(&text);
            Ok(())
        }
        Some(Output::File(_)) | None => say(&text),
    };
    output.map_or(Ok(()), |output| output.write(&json(&plan)))?;
    said?;
    Ok(true)
}

/// The server of a sweep that is planned with.
fn one_of<'a>(sweep: &'a Sweep, name: Option<&str>) -> Result<&'a Swept, String> {
    let names = || sweep.servers.iter().map(|server| &server.name[..]).collect::<Vec<_>>();
    match (name, &sweep.servers[..]) {
        (None, [only]) => Ok(only),
        (None, _) => Err(format!("a sweep of {}: say which with --server", names().join(", "))),
        (Some(name), servers) => {
            let found = servers.iter().find(|server| server.name == name);
            found.ok_or_else(|| format!("a sweep of {}: none is {name}", names().join(", ")))
        }
    }
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
