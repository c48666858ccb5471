//! A client on TLS behind connections whose handshakes wait for nobody any more.

use std::{net::SocketAddr, sync::Arc};

use rustls::{ClientConfig, ClientConnection, RootCertStore, crypto::aws_lc_rs};
use uturn::{
    stream::{Pair, TlsContext},
    turn::Now,
    worker::{Steering, StreamRules},
};

use super::{
    machine::Faults,
    node::Node,
    rng::Rng,
    scenario::{BEGIN_S, Scenario, parse},
    wires::{Down, StreamNews},
};

const NAME: &str = "turn.example";
/// Connections that say hello and are gone.
const GONE: u16 = 500;
/// A window that is never full.
const AMPLE_BYTES: usize = usize::MAX / 2;

/// A server's certificate, and the first words of a client that trusts it.
fn hello() -> (TlsContext, Vec<u8>) {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a root");
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().expect("versions");
    let config = builder.with_root_certificates(roots).with_no_client_auth();
    let name = NAME.try_into().expect("a name");
    let mut client = ClientConnection::new(Arc::new(config), name).expect("a client");
    let mut hello = Vec::new();
    client.write_tls(&mut hello).expect("memory takes all");
    let (chain, key) = (vec![made.cert.der().to_vec()], made.signing_key.serialize_der());
    let context = TlsContext::new(vec![Pair { names: Vec::new(), chain, key }]);
    (context.expect("a pair"), hello)
}

/// A worker's turn; whom it has sent something.
fn turn(node: &mut Node, now_ms: u64) -> Vec<SocketAddr> {
    node.set_time(Now { mono_ms: now_ms, unix_s: BEGIN_S });
    node.turn(now_ms, 0);
    let mut machine = node.machine.lock();
    let down = machine.sides[0].wires.down.drain(..);
    down.filter(|(_, down)| matches!(down, Down::Bytes(_))).map(|(who, _)| who).collect()
}

#[test]
fn a_handshake_does_not_wait_for_those_that_are_gone() {
    let mut rng = Rng::new(1);
    let scenario = Scenario {
        workers: 1,
        steering: Steering::Hash,
        faults: Faults::default(),
        streams: 10_000,
        ..Scenario::of(&mut rng)
    };
    let mut node = Node::new(&scenario, &mut rng);
    let (tls, hello) = hello();
    let rules = StreamRules { tls: Some(Arc::new(tls)), ..StreamRules::default() };
    node.control.set_stream_rules(&Arc::new(rules));
    turn(&mut node, 0);
    let tell = |node: &Node, who: SocketAddr, news: StreamNews| {
        node.machine.lock().sides[0].tell_stream(0, who, news);
    };
    let says_hello = |node: &Node, who: SocketAddr| {
        let listener = scenario.listener(who);
        tell(node, who, StreamNews::Syn(listener, AMPLE_BYTES));
        tell(node, who, StreamNews::Bytes(hello.clone()));
    };
    let gone = (0..GONE).map(|number| {
        let [high, low] = number.to_be_bytes();
        SocketAddr::from(([198, 51, high, low], 40_000))
    });
    gone.clone().for_each(|who| says_hello(&node, who));
    gone.for_each(|who| tell(&node, who, StreamNews::Reset));
    turn(&mut node, 1);
    let client = parse("198.51.100.7:40001");
    says_hello(&node, client);
    let turns = (2..).find(|now_ms| turn(&mut node, *now_ms).contains(&client));
    assert!(turns.expect("it is answered") < 10, "{turns:?}");
}
