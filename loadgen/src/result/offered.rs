//! What was asked for, and what it is called.

use serde::{Deserialize, Serialize};

use crate::offer::{
    shape::{Shape, Stream},
    spec::{Route, SLOW_WAY, Spec},
};
use crate::stream::Transport;

/// What was asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Offered {
    pub(crate) shape: Shape,
    /// Between clients and server; older results were all of UDP.
    #[serde(default)]
    pub(crate) transport: Transport,
    pub(crate) allocations: usize,
    /// Which ways packets go.
    pub(crate) direction: String,
    /// Packets/s each way; `None` as fast as it goes.
    pub(crate) pps: Option<f64>,
    pub(crate) payload_bytes: u16,
    pub(crate) trains: bool,
    pub(crate) gro: bool,
    pub(crate) duration_s: f64,
}

/// What one of the counted things is called.
pub(crate) fn unit(spec: &Spec) -> &'static str {
    match (spec.shape, spec.route) {
        (Shape::Churn, _) => "cycle",
        (Shape::Handshakes, _) => "handshake",
        (_, Route::Binding) => "answer",
        (_, Route::Direct | Route::Relay | Route::Pair) => "packet",
    }
}

/// What ran, in half a line.
pub(crate) fn title(spec: &Spec) -> String {
    let shape = format!("{:?}", spec.shape).to_lowercase();
    let window = spec.window * spec.threads;
    if spec.shape == Shape::Handshakes {
        let kind = if spec.resume { "resumed" } else { "full" };
        let kind = if spec.tls.is_some() { format!(" {kind},") } else { String::new() };
        return format!("{shape}{}:{kind} {window} at once", over(spec));
    }
    if spec.shape == Shape::Churn {
        let over = over(spec);
        return format!("{shape}{over}: allocate, permit, bind, refresh, close, {window} at once");
    }
    let who = match spec.route {
        Route::Relay | Route::Pair => "allocations",
        Route::Direct | Route::Binding => "clients",
    };
    let how = match spec.route {
        Route::Direct => ", no relay",
        Route::Binding => "",
        Route::Relay | Route::Pair if spec.indications => ", Send and Data indications",
        Route::Relay | Route::Pair => ", channels",
    };
    let pair = if spec.route == Route::Pair { ", relay to relay" } else { "" };
    let trains = if spec.trains { ", sent as trains" } else { "" };
    let gro = if spec.gro { "" } else { ", received one by one" };
    let slow = spec.slow.map_or(String::new(), |slow| {
        format!(", {} of them read {:.1} kB/s", slow.clients, slow.bytes_per_s / 1e3)
    });
    format!(
        "{shape}{}: {} {who}{slow}{how}{pair}{trains}{gro}, {}",
        over(spec),
        spec.allocations,
        ways(spec).join(", ")
    )
}

/// The transport, unless it is the usual one.
fn over(spec: &Spec) -> String {
    let is_stream = spec.transport.is_stream();
    if is_stream { format!(" over {}", spec.transport.name()) } else { String::new() }
}

/// The same with its pace.
pub(crate) fn paced_title(spec: &Spec) -> String {
    let pace = match offered(spec).pps {
        Some(pps) if !spec.shape.has_packets() => format!("{} {}s/s", rate(pps), unit(spec)),
        Some(pps) if ways(spec).len() > 1 => format!("{} packets/s each", rate(pps)),
        Some(pps) => format!("{} packets/s", rate(pps)),
        None => "as fast as it goes".to_owned(),
    };
    format!("{}, {pace}", title(spec))
}

/// Whole, but where that would be little or nothing: 50, 0.5.
fn rate(pps: f64) -> f64 {
    if pps < 10.0 { (pps * 100.0).round() / 100.0 } else { pps.round() }
}

/// What the ways are called that packets go.
fn ways(spec: &Spec) -> Vec<&'static str> {
    (0..2).filter(|way| spec.ways[*way]).map(|way| direction(spec, way)).collect()
}

/// What one way is called.
pub(super) fn direction(spec: &Spec, way: usize) -> &'static str {
    match (spec.route, way) {
        _ if spec.shape == Shape::Churn => "cycles",
        _ if spec.shape == Shape::Handshakes => "handshakes",
        (_, SLOW_WAY) => "to slow readers",
        (Route::Binding, _) => "requests",
        (Route::Pair, 0) => "A → B",
        (Route::Pair, _) => "B → A",
        (Route::Direct | Route::Relay, 0) => "client → peer",
        (Route::Direct | Route::Relay, _) => "peer → client",
    }
}

pub(crate) fn offered(spec: &Spec) -> Offered {
    if !spec.shape.has_packets() {
        return Offered { pps: spec.rate, ..offered_packets(spec) };
    }
    offered_packets(spec)
}

fn offered_packets(spec: &Spec) -> Offered {
    let rates: Vec<f64> = spec.streams.iter().filter_map(Stream::packets_per_second).collect();
    let flows = spec.route.flows(spec.allocations) as f64 / 2.0;
    let paced = rates.len() == spec.streams.len();
    let pps = rates.iter().sum::<f64>() * flows / spec.streams.len().max(1) as f64;
    Offered {
        shape: spec.shape,
        transport: spec.transport,
        allocations: spec.allocations,
        direction: ways(spec).join(", "),
        pps: paced.then_some(pps),
        payload_bytes: spec.streams.iter().map(|s| s.payload_bytes).max().unwrap_or_default(),
        trains: spec.trains,
        gro: spec.gro,
        duration_s: spec.duration_ns as f64 / 1e9,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offer::{options::parse, spec::Times};

    #[test]
    fn a_title_says_how_slow_a_slow_pace_is() {
        for (line, expected) in [
            ("voice -n 4 --rate 0.5", ", 0.5 packets/s"),
            ("voice -n 4", ", 200 packets/s"),
            ("churn --rate 2.5", ", 2.5 cycles/s"),
            ("custom --rate 1234.6", ", 1235 packets/s"),
        ] {
            let args = parse(line).unwrap();
            let spec = Spec::settle(&args, Times { duration_s: 1.0, warmup_s: 0.0 }).unwrap();
            assert!(paced_title(&spec).ends_with(expected), "{}", paced_title(&spec));
        }
    }
}
