//! Options that contradict each other, or that would do nothing: mistakes, each in a line.

use super::{
    options::{Direction, LoadArgs, Wait},
    route::Route,
    shape::Shape,
};
use crate::{fault::Fault, stream::Transport};

/// An option that would do nothing is a mistake.
pub(super) fn refuse_idle_options(args: &LoadArgs) -> Result<(), Fault> {
    let name = match args.shape {
        Shape::Churn => "churn",
        Shape::Handshakes => "handshakes",
        Shape::Binding => "binding",
        Shape::Voice | Shape::Video | Shape::Bulk | Shape::Mixed | Shape::Custom => return Ok(()),
    };
    let cycles = !args.shape.has_packets();
    let options = [
        ("--direct", args.direct),
        ("--c2c", args.c2c),
        ("--indications", args.indications),
        ("--trains", args.trains),
        ("--size", args.size.is_some()),
        ("--burst", args.burst.is_some()),
        ("--direction", args.direction != Direction::Up),
        ("--allocations", cycles && args.allocations.is_some()),
        ("--wait", cycles && args.wait != Wait::Auto),
        ("--no-gro", cycles && args.no_gro),
        ("--slow-readers", cycles && args.slow_readers.is_some()),
        ("--peer-ip", args.shape != Shape::Churn && args.peer_ip.is_some()),
    ];
    match options.iter().find(|(_, given)| *given) {
        Some((option, _)) => Err(Fault::usage(format!("{name} has no use for {option}"))),
        None => Ok(()),
    }
}

/// What makes no sense with the transport.
pub(super) fn refuse_stream_options(
    args: &LoadArgs,
    route: Route,
    allocations: usize,
) -> Result<(), Fault> {
    let name = args.transport.name();
    let is_stream = args.transport.is_stream();
    let up_only = args.direction == Direction::Up || route == Route::Pair;
    let reads = args.direction != Direction::Up || route == Route::Pair || route == Route::Binding;
    let slow = args.slow_readers.map_or(0, |slow| slow.clients);
    let is_shaking = args.shape == Shape::Handshakes;
    let wrong = match route {
        _ if is_shaking && !is_stream => {
            "handshakes are those of connections: give --transport tcp or tls".to_owned()
        }
        _ if args.resume && !(is_shaking && args.transport == Transport::Tls) => {
            "--resume is for handshakes with --transport tls".to_owned()
        }
        _ if asks_for_tls(args) && args.transport != Transport::Tls => {
            "--ca, --tls-version and --tls-group need --transport tls".to_owned()
        }
        Route::Direct if is_stream => {
            format!("--direct has no server to connect to: it has no use for --transport {name}")
        }
        _ if is_stream && args.trains && up_only => {
            format!("clients send no trains over {name}: it has no use for --trains")
        }
        _ if args.slow_readers.is_some() && !is_stream => {
            "a slow reader of datagrams loses them and slows nobody: --slow-readers needs \
             --transport tcp or tls"
                .to_owned()
        }
        _ if args.slow_readers.is_some() && !reads => {
            "nothing is sent to clients: --slow-readers needs --direction down or both".to_owned()
        }
        _ if slow > 0 && slow >= allocations => {
            "--slow-readers: some clients must be left to compare with".to_owned()
        }
        _ => return Ok(()),
    };
    Err(Fault::usage(wrong))
}

fn asks_for_tls(args: &LoadArgs) -> bool {
    args.ca.is_some() || args.tls_version.is_some() || args.tls_group.is_some()
}
