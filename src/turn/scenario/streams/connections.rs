//! What is different for a client on a connection: framing, strangers, and how it ends.

use crate::turn::scenario::*;
use crate::turn::{
    api::{
        names::path::Transport, per_family::Families, reason::Reason, report::Cause,
        settings::Settings, verdict::Verdict,
    },
    auth::stream_strangers::STRANGER_ANSWERS,
    handover::record::Record,
    ports::{relays::DrawnFirst, table::Parity},
};
use crate::wire::{AttributeType, Class, ErrorCode, Family, Method};

const STREAMS: [Transport; 2] = [Transport::Tcp, Transport::Tls];

fn ann(transport: Transport) -> Client {
    Client::ANN.over(transport)
}

#[test]
fn a_client_on_a_stream_relays_as_any_other() {
    for transport in STREAMS {
        let (mut world, ann) = (World::new(), ann(transport));
        world.ask_unsigned(ann).expect_error(ErrorCode::Unauthenticated);
        let relayed = world.allocate(ann).expect_success().relayed();
        assert_eq!(world.opened[0].path, ann.path());
        world.bind(ann, 0x4001, PEER).expect_success();
        world.channel_data(ann, 0x4001, b"hello").expect_to_peer(PEER, b"hello");
        world.send(ann, PEER, b"hello").expect_to_peer(PEER, b"hello");
        assert_eq!(world.peer_says(relayed, PEER, 5).unwrap().path, ann.path());
    }
}

// RFC 8656 §12.5: "Over TCP and TLS-over-TCP, the ChannelData message MUST be padded to a multiple
// of four bytes [...]. Over UDP, the padding is not required but MAY be included."
#[test]
fn what_goes_to_a_client_on_a_stream_ends_on_a_multiple_of_4() {
    for transport in Transport::ALL {
        let (mut world, ann) = (World::new(), ann(transport));
        let relayed = world.allocate(ann).expect_success().relayed();
        world.bind(ann, 0x4001, PEER).expect_success();
        let framed = world.peer_says(relayed, PEER, 5).unwrap();
        let padding = [4, 5, 6, 7].map(|bytes| framed.trailing_bytes(bytes));
        let expected = if transport.is_stream() { [0, 3, 2, 1] } else { [0; 4] };
        assert_eq!(padding, expected, "{transport:?}");
        let indication = world.peer_says(relayed, "9.9.9.9:7001", 5).unwrap();
        assert_eq!([4, 5, 6, 7].map(|bytes| indication.trailing_bytes(bytes)), [0, 3, 2, 1]);
    }
}

#[test]
fn padding_from_a_client_is_not_relayed() {
    let (mut world, ann) = (World::new(), ann(Transport::Tcp));
    world.allocate(ann).expect_success();
    world.bind(ann, 0x4001, PEER).expect_success();
    world.says(ann, b"\x40\x01\0\x05hello\0\0\0").expect_to_peer(PEER, b"hello");
}

// A forwarder in the kernel sees datagrams, and no frames on a connection.
#[test]
fn nothing_of_a_client_on_a_stream_may_be_forwarded_without_asking() {
    let mut world = World::with(1, 9, |settings| settings.forwarding = true);
    for transport in STREAMS {
        let ann = ann(transport);
        world.allocate(ann).expect_success();
        world.bind(ann, 0x4001, PEER).expect_success();
        assert!(world.forwarded.is_empty());
        world.disconnect(ann);
    }
    world.allocate(Client::ANN).expect_success();
    world.bind(Client::ANN, 0x4001, PEER).expect_success();
    assert_eq!(world.forwarded.len(), 1);
}

#[test]
fn a_udp_client_and_a_stream_client_of_one_address_are_two() {
    let mut world = World::new();
    world.allocate(Client::ANN).expect_success();
    world.allocate(ann(Transport::Tcp)).expect_success();
    world.refresh(Client::ANN, 0).expect_success();
    world.refresh(ann(Transport::Tcp), 600).expect_success();
}

#[test]
fn an_allocation_ends_with_its_connection() {
    let (mut world, ann) = (World::new(), ann(Transport::Tls));
    let relayed = world.allocate(ann).expect_success().relayed();
    world.permit(ann, &[PEER]).expect_success();
    world.at_ms(1_500).disconnect(ann);
    assert!(world.bound.is_empty() && world.held() == 0);
    let closed = &world.closed[0];
    assert_eq!((closed.cause, closed.duration_ms), (Cause::Disconnected, 1_500));
    assert_eq!((closed.path, closed.relayed.get(Family::V4)), (ann.path(), Some(&relayed)));
    world.allocate(ann).expect_success();
    assert_eq!(world.opened.len(), 2);
}

#[test]
fn the_end_of_a_connection_without_an_allocation_is_no_news() {
    let mut world = World::new();
    world.allocate(Client::ANN).expect_success();
    world.disconnect(ann(Transport::Tcp));
    assert!(world.closed.is_empty());
    world.refresh(Client::ANN, 600).expect_success();
}

#[test]
fn an_allocate_whose_connection_ends_is_not_answered_and_leaves_nothing() {
    let (mut world, ann) = (World::new(), ann(Transport::Tcp));
    world.is_slow = true;
    let pair = |world: &mut World| {
        world.ask(ann, Method::Allocate, |w| _ = w.requested_transport(17).even_port(true))
    };
    assert_eq!(pair(&mut world).verdict, Verdict::Pending);
    world.disconnect(ann);
    // The same address comes again before the kernel has answered for the connection before.
    assert_eq!(pair(&mut world).verdict, Verdict::Pending);
    let (worker, first) = world.waiting.remove(0);
    let mut answers = Vec::new();
    world.open(worker, &first, &mut answers);
    world.carry_out(worker, &mut answers);
    assert_eq!(answers[0].verdict, Verdict::Drop(Reason::Disconnected));
    pair(&mut world).expect_error(ErrorCode::AllocationMismatch);
    assert_eq!(world.catch_up()[0].code(), 200);
    assert_eq!((world.bound.len(), world.held(), world.opened.len()), (2, 2, 1));
    assert_eq!(world.counters().drops(Reason::Disconnected), 1);
    world.let_go();
    let server = &mut world.servers[0];
    let drawn = std::iter::from_fn(|| {
        let first = DrawnFirst::OwnSlice;
        server.relays.draw(Family::V4, Parity::Pair, first, &mut server.rng)
    });
    assert_eq!(drawn.count(), 31, "no port has leaked");
}

#[test]
fn no_other_port_is_tried_for_a_client_that_has_gone() {
    let (mut world, ann) = (World::new(), ann(Transport::Tcp));
    world.is_slow = true;
    world.busy.extend(50_000..=50_063);
    assert_eq!(world.allocate(ann).verdict, Verdict::Pending);
    world.disconnect(ann);
    let answers = world.catch_up();
    assert_eq!(answers[0].verdict, Verdict::Drop(Reason::Disconnected));
    assert!(world.waiting.is_empty() && world.held() == 0);
}

#[test]
fn a_redeemed_port_whose_client_has_gone_is_closed() {
    let mut world = World::with(2, 9, |_| {});
    let owner = Client::BOB.on(1);
    let pair = world.ask(owner, Method::Allocate, |w| {
        _ = w.requested_transport(17).even_port(true);
    });
    let token = pair.expect_success().token();
    let guest = Client::BOB.at("198.51.100.2:5001").over(Transport::Tcp);
    world.is_slow = true;
    let claim = world.ask(guest, Method::Allocate, |w| {
        _ = w.requested_transport(17).reservation_token(token);
    });
    assert_eq!(claim.verdict, Verdict::Pending);
    world.disconnect(guest);
    let answers = world.catch_up();
    assert_eq!(answers[0].verdict, Verdict::Drop(Reason::Disconnected));
    assert_eq!((world.bound.len(), world.held()), (1, 1));
}

// A completed handshake proves the way back: forged datagrams of a whole network take nothing from
// its stream clients.
#[test]
fn the_reply_budget_is_not_asked_about_streams() {
    let starved = |settings: &mut Settings| settings.stranger_bytes_per_s = 1;
    let mut world = World::with(1, 9, starved);
    while world.ask_unsigned(Client::ANN).verdict != Verdict::Drop(Reason::ReplyBudget) {}
    for _ in 0..10 {
        world.ask_unsigned(ann(Transport::Tcp)).expect_error(ErrorCode::Unauthenticated);
    }
    let binding = world.write(Method::Binding, Class::Request, |_| {});
    let heard = world.says(ann(Transport::Tls), &binding).expect_success();
    let mapped = heard.message().xor_address(AttributeType::XOR_MAPPED_ADDRESS).unwrap();
    assert_eq!(mapped, Some(Client::ANN.path().client()));
}

// Clients of RFC 6062 use what nonce they have on all of their connections.
#[test]
fn a_nonce_is_good_on_every_connection_of_its_address_and_nowhere_else() {
    let mut world = World::new();
    let tcp = ann(Transport::Tcp);
    let request = world.request(tcp, Method::Allocate, |writer| {
        writer.requested_transport(17);
    });
    let other_port = tcp.at("198.51.100.1:5001");
    for near in [other_port, other_port.over(Transport::Tls), tcp] {
        world.says(near, &request).expect_success();
        world.disconnect(near);
    }
    for far in [tcp.at("198.51.100.2:5000"), tcp.over(Transport::Udp)] {
        world.says(far, &request).expect_error(ErrorCode::StaleNonce);
    }
}

#[test]
fn a_connection_is_answered_so_many_times_without_credentials() {
    let (mut world, stranger) = (World::new(), ann(Transport::Tcp));
    for n in 0..STRANGER_ANSWERS {
        let heard = match n % 3 {
            0 => world.ask_unsigned(stranger),
            1 => {
                let binding = world.write(Method::Binding, Class::Request, |_| {});
                world.says(stranger, &binding)
            }
            _ => world.allocate(Client { user: "eve", ..stranger }),
        };
        assert!(matches!(heard.verdict, Verdict::Reply(_)), "{n}: {:?}", heard.verdict);
    }
    world.ask_unsigned(stranger).expect_drop(Reason::TooManyAnswers);
    world.allocate(stranger).expect_drop(Reason::TooManyAnswers);
    let other = stranger.at("198.51.100.1:5001");
    world.ask_unsigned(other).expect_error(ErrorCode::Unauthenticated);
    world.disconnect(stranger);
    world.ask_unsigned(stranger).expect_error(ErrorCode::Unauthenticated);
}

#[test]
fn good_credentials_begin_the_count_anew_and_an_allocation_ends_it() {
    let (mut world, ann) = (World::with(1, 1, |_| {}), ann(Transport::Tcp));
    world.allocate(Client::BOB).expect_success();
    for _ in 0..3 {
        for _ in 0..STRANGER_ANSWERS - 1 {
            world.ask_unsigned(ann).expect_error(ErrorCode::Unauthenticated);
        }
        world.allocate(ann).expect_error(ErrorCode::AllocationQuotaReached);
    }
    world.refresh(Client::BOB, 0).expect_success();
    world.allocate(ann).expect_success();
    for _ in 0..=STRANGER_ANSWERS {
        world.ask_unsigned(ann).expect_error(ErrorCode::Unauthenticated);
    }
}

#[test]
fn nothing_is_kept_of_strangers_whose_connections_have_ended() {
    let mut world = World::new();
    for transport in STREAMS {
        world.ask_unsigned(ann(transport));
        assert_eq!(world.servers[0].stream_strangers.count(), 1);
        world.disconnect(ann(transport));
        assert_eq!(world.servers[0].stream_strangers.count(), 0);
    }
    world.ask_unsigned(Client::ANN);
    assert_eq!(world.servers[0].stream_strangers.count(), 0);
}

#[test]
fn allocations_are_counted_by_their_transport() {
    let mut world = World::new();
    let counts = |world: &World| {
        let counters = world.counters();
        let both = |over| {
            let families = Families::V4;
            (counters.live_over(over, families), counters.opened_over(over, families))
        };
        Transport::ALL.map(both)
    };
    world.allocate(Client::BOB).expect_success();
    for transport in [Transport::Udp, Transport::Tcp] {
        world.allocate(ann(transport)).expect_success();
    }
    world.allocate(Client::BOB.over(Transport::Tls)).expect_success();
    world.disconnect(ann(Transport::Tcp));
    assert_eq!(counts(&world), [(2, 2), (0, 1), (1, 1)]);
}

// A connection does not go over to the next process, so its allocation does not either.
#[test]
fn the_allocation_of_a_stream_is_not_written_down() {
    let mut world = World::new();
    for transport in Transport::ALL {
        let client = if transport == Transport::Tls { Client::BOB } else { Client::ANN };
        world.allocate(client.over(transport)).expect_success();
    }
    let records = world.records();
    let clients = records.iter().filter_map(|record| match record {
        Record::Allocation(allocation) => Some((allocation.listener, allocation.client)),
        Record::Worker(_) | Record::Reservation(_) => None,
    });
    assert_eq!(Vec::from_iter(clients), [(0, Client::ANN.path().client())]);
    assert_eq!(world.reborn(|_| {}).counters().live, 1);
}
