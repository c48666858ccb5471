//! The look at a ClientHello, against what the library finds in it.

use proptest::prelude::{any, prop, proptest};
use rustls::{server::Acceptor, version};

use super::peer::{TlsClient, Wishes};
use crate::wire::{self, AppProtocol, Peeked};

proptest! {
    #[test]
    fn a_look_at_a_hello_finds_what_the_library_finds(
        names in prop::collection::vec(0..6_usize, 0..4),
        is_1_2: bool,
        name in "[a-zA-Z][a-zA-Z0-9]{0,19}(\\.[a-z]{1,9}){0,3}",
        damage in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let known = ["stun.turn", "stun.nat-discovery", "h2", "http/1.1", "acme-tls/1", "x"];
        let alpn: Vec<_> = names.iter().map(|name| known[*name]).collect();
        let version = if is_1_2 { &version::TLS12 } else { &version::TLS13 };
        let config = Wishes { alpn: &alpn, version, trusts: &[] }.config();
        let mut hello = TlsClient::new(config, &name).sends();
        if let Some((at, value)) = damage {
            let at = at.index(hello.len());
            hello[at] = value;
        }
        let mut acceptor = Acceptor::default();
        acceptor.read_tls(&mut &hello[..]).unwrap();
        let Ok(Some(accepted)) = acceptor.accept() else { return Ok(()) };
        let Peeked::Whole(ours) = wire::hello(&hello) else { panic!("the library accepts it") };
        let theirs = accepted.client_hello();
        let server_name = theirs.server_name().map(str::to_ascii_lowercase);
        if let Some(name) = server_name {
            let ours = ours.server_name.map(|name| name.as_bytes().to_vec());
            assert_eq!(ours, Some(name.into_bytes()));
        }
        let offered: Vec<_> = theirs.alpn().into_iter().flatten().collect();
        for (protocol, words) in [
            (AppProtocol::StunTurn, &["stun.turn"][..]),
            (AppProtocol::NatDiscovery, &["stun.nat-discovery"]),
            (AppProtocol::Http, &["h2", "http/1.1", "http/1.0"]),
            (AppProtocol::Acme, &["acme-tls/1"]),
        ] {
            let is_offered = offered.iter().any(|it| words.iter().any(|word| word.as_bytes() == *it));
            assert_eq!(ours.alpn.has(protocol), is_offered);
        }
    }
}
