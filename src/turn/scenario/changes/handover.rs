//! What one process writes down and the next one reads: the same records, the same verdicts.

use proptest::prelude::{Strategy, any, prop, prop_oneof, proptest};

use crate::turn::scenario::*;
use crate::turn::{
    allocation::meter::RateLimits,
    api::{
        names::identity::{FiveTuple, ListenerId, WorkerIndex},
        settings::Settings,
        train::Train,
        verdict::Verdict,
    },
    handover::{
        bytes::{BadRecord, RECORD_VERSION},
        import::ImportError,
        record::{
            AllocationRecord, ChannelRecord, Debts, GrantRecord, PermissionRecord, Record,
            RelayedRecord, ReservationRecord, TransportRecord, WorkerRecord,
        },
    },
};
use crate::wire::{AttributeType, Family, Message, Method};

const ANN: Client = Client::ANN;

const CLIENTS: [Client; 4] = [
    Client::ANN,
    Client { address: "198.51.100.1:5001", ..Client::ANN },
    Client::BOB,
    Client { address: "[2001:db8::7]:9", user: "1800000900:carl", ..Client::ANN },
];

/// The last but one is a relay address, the last is denied.
const PEERS: [&str; 5] = [PEER, "9.9.9.8:1", PEER_V6, "45.0.0.1:50010", "10.9.9.9:1"];

#[derive(Debug, Clone)]
enum Step {
    /// With so many seconds, and EVEN-PORT with a reservation, or both families, or neither.
    Allocate(usize, u32, u8),
    Redeem(usize, prop::sample::Index),
    Refresh(usize, u32),
    Permit(usize, usize),
    Bind(usize, u16, usize),
    Send(usize, usize),
    Channel(usize, u16, usize),
    FromPeer(prop::sample::Index, usize, usize),
    Wait(u64),
    LetGo,
}

fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let (client, peer, number) = (0..CLIENTS.len(), 0..PEERS.len(), 0x4000_u16..0x4004);
    let step = prop_oneof![
        3 => (client.clone(), 0_u32..2_000, 0_u8..4).prop_map(|(c, s, k)| Step::Allocate(c, s, k)),
        1 => (client.clone(), any::<prop::sample::Index>()).prop_map(|(c, i)| Step::Redeem(c, i)),
        1 => (client.clone(), prop_oneof![600_u32..2_000, 0_u32..2])
            .prop_map(|(c, s)| Step::Refresh(c, s)),
        3 => (client.clone(), peer.clone()).prop_map(|(c, p)| Step::Permit(c, p)),
        3 => (client.clone(), number.clone(), peer.clone())
            .prop_map(|(c, n, p)| Step::Bind(c, n, p)),
        3 => (client.clone(), peer.clone()).prop_map(|(c, p)| Step::Send(c, p)),
        3 => (client, number, 1_usize..9).prop_map(|(c, n, f)| Step::Channel(c, n, f)),
        3 => (any::<prop::sample::Index>(), peer, 1_usize..9)
            .prop_map(|(i, p, n)| Step::FromPeer(i, p, n)),
        2 => prop_oneof![0_u64..5_000, 0_u64..700_000].prop_map(Step::Wait),
        1 => (0..1).prop_map(|_: i32| Step::LetGo),
    ];
    prop::collection::vec(step, 0..most)
}

/// Lets a step happen and tells all that anybody could see of it; tokens are kept for later.
fn happen(world: &mut World, step: &Step, tokens: &mut Vec<[u8; 8]>) -> String {
    let heard = match *step {
        Step::Allocate(client, seconds, kind) => {
            world.ask(CLIENTS[client], Method::Allocate, |writer| {
                writer.requested_transport(17).lifetime_s(seconds);
                match kind {
                    0 => _ = writer.attribute(AttributeType::EVEN_PORT, &[0x80]),
                    1 => {
                        writer.attribute(AttributeType::ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0]);
                    }
                    _ => {}
                }
            })
        }
        Step::Redeem(client, at) => {
            let token = if tokens.is_empty() { [0; 8] } else { *at.get(tokens) };
            world.ask(CLIENTS[client], Method::Allocate, |writer| {
                writer.requested_transport(17).attribute(AttributeType::RESERVATION_TOKEN, &token);
            })
        }
        Step::Refresh(client, seconds) => world.refresh(CLIENTS[client], seconds),
        Step::Permit(client, peer) => world.permit(CLIENTS[client], &[PEERS[peer]]),
        Step::Bind(client, number, peer) => world.bind(CLIENTS[client], number, PEERS[peer]),
        Step::Send(client, peer) => world.send(CLIENTS[client], PEERS[peer], b"hello"),
        Step::Channel(client, number, frames) => world.channel_run(CLIENTS[client], number, frames),
        Step::FromPeer(at, peer, segments) => return from_peer(world, at, peer, segments),
        Step::Wait(ms) => {
            world.wait_ms(ms);
            let mut sessions = world.servers[0].sessions(world.now(), 0, None).items;
            sessions.sort_by_key(|session| session.id);
            return format!("{sessions:?}");
        }
        Step::LetGo => {
            world.let_go();
            return String::new();
        }
    };
    if let Verdict::Reply(_) = heard.verdict
        && let Ok(Some(token)) = Message::parse(&heard.bytes).unwrap().reservation_token()
    {
        tokens.push(token);
    }
    match heard.verdict {
        Verdict::ToPeer { relay, peer, payload, frames, dont_fragment } => {
            let local = world.bound[&(0, relay)];
            format!("{local} {peer} {payload:?} {frames} {dont_fragment}")
        }
        verdict => format!("{verdict:?} {:?}", heard.bytes),
    }
}

/// A train from a peer to one of the sockets that are bound.
fn from_peer(world: &mut World, at: prop::sample::Index, peer: usize, segments: usize) -> String {
    let mut bound = Vec::from_iter(world.bound.iter().map(|((_, relay), local)| (*local, *relay)));
    bound.sort_unstable();
    if bound.is_empty() {
        return String::new();
    }
    let (local, relay) = *at.get(&bound);
    let (now, train) = (world.now(), Train::equal(segments, 100));
    let judged = world.servers[0].from_peer(now, relay, PEERS[peer].parse().unwrap(), train);
    format!("{local} {judged:?}")
}

/// What lasts: allocations that ended since, quota, sockets, what may be forwarded.
fn books(world: &World, ended_before: usize) -> String {
    let mut sockets = Vec::from_iter(world.bound.values());
    sockets.sort_unstable();
    let forwarded =
        world.forwarded.iter().map(|(key, (said, until_ms))| (key, said.peer, until_ms));
    let forwarded = Vec::from_iter(forwarded);
    let live = world.counters().live;
    let held = world.held();
    let mut ended = Vec::from_iter(&world.closed[ended_before..]);
    ended.sort_by_key(|closed| closed.session);
    format!("{ended:?} {held} {live} {sockets:?} {forwarded:?}")
}

fn rules(limited: bool) -> impl Fn(&mut Settings) {
    move |settings| {
        settings.stranger_bytes_per_s = 0;
        settings.max_lifetime_s = 7_200;
        settings.permissions_per_allocation = 3;
        settings.channels_per_allocation = 2;
        settings.forwarding = !limited;
        if limited {
            settings.limits = RateLimits { bytes_per_s: 4_000, packets_per_s: 5 };
        }
    }
}

proptest! {
    #[test]
    fn the_next_process_says_what_the_one_before_would_have_said(
        before in steps(40), after in steps(40), limited: bool,
    ) {
        let mut one = World::with(1, 5, rules(limited));
        let mut tokens = Vec::new();
        for step in &before {
            happen(&mut one, step, &mut tokens);
        }
        let mut next = one.reborn(rules(limited));
        assert_eq!(one.records(), next.records(), "written, read, written");
        let ended_before = one.closed.len();
        assert_eq!(books(&one, ended_before), books(&next, 0));
        for step in &after {
            let mut known = tokens.clone();
            let said = happen(&mut one, step, &mut tokens);
            assert_eq!(said, happen(&mut next, step, &mut known), "{step:?}");
            assert_eq!(books(&one, ended_before), books(&next, 0), "{step:?}");
        }
    }
}

/// A process with something of everything.
fn busy() -> World {
    let mut world = World::with(1, 9, rules(true));
    let mut tokens = Vec::new();
    let steps = [
        Step::Allocate(0, 900, 0),
        Step::Allocate(2, 900, 1),
        Step::Permit(0, 1),
        Step::Bind(0, 0x4001, 0),
        Step::Bind(2, 0x4002, 2),
        Step::Channel(0, 0x4001, 3),
        Step::Wait(1_500),
    ];
    for step in &steps {
        happen(&mut world, step, &mut tokens);
    }
    world
}

#[test]
fn names_go_on_where_they_ended() {
    let mut next = busy().reborn(rules(true));
    next.allocate(CLIENTS[1]).expect_success();
    assert_eq!(next.opened[0].session.serial, 3);
}

#[test]
fn bytes_that_end_too_soon_or_were_changed_or_are_of_another_version_are_told() {
    for record in busy().records() {
        let mut bytes = Vec::new();
        record.write(&mut bytes);
        assert_eq!(Record::read(&bytes), Ok((record, &[][..])));
        for end in 0..bytes.len() {
            assert_eq!(Record::read(&bytes[..end]), Err(BadRecord::Truncated), "{end}");
        }
        for at in 6..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            assert_eq!(Record::read(&changed), Err(BadRecord::Damaged), "{at}");
        }
        let other = RECORD_VERSION + 1;
        bytes[..2].copy_from_slice(&other.to_le_bytes());
        assert_eq!(Record::read(&bytes), Err(BadRecord::Version(other)));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes: Vec<u8>, body: Vec<u8>) {
        assert!(Record::read(&bytes).is_err());
        let header = [&RECORD_VERSION.to_le_bytes()[..], &(body.len() as u32).to_le_bytes()];
        let sum = crc32fast::hash(&body).to_le_bytes();
        let framed = [header[0], header[1], &sum, &body].concat();
        if let Ok((record, _)) = Record::read(&framed) {
            let mut world = World::new();
            let before = world.records();
            let taken = world.import(&record).is_ok();
            assert!(taken || world.records() == before);
        }
    }
}

/// The one allocation of a record that everything stands in.
fn allocation(world: &World) -> AllocationRecord {
    let record = world.records().into_iter().find_map(|record| match record {
        Record::Allocation(record) if record.v6.is_some() => Some(*record),
        Record::Allocation(_) | Record::Worker(_) | Record::Reservation(_) => None,
    });
    record.expect("a dual allocation")
}

#[test]
fn a_record_that_cannot_be_taken_is_told_and_leaves_nothing_behind() {
    type Change = fn(&mut AllocationRecord);
    let inconsistent = ImportError::Inconsistent;
    let good = allocation(&busy());
    let v4 = good.v4.unwrap();
    let flow = FiveTuple { listener: ListenerId(0), client: good.client };
    let elsewhere = "45.0.0.9:50000".parse().unwrap();
    let beyond = "10.0.0.1:1".parse().unwrap();
    let faults: [(Change, ImportError); 9] = [
        (|it| it.worker = 1, ImportError::Worker(WorkerIndex(1))),
        (|it| (it.v4, it.v6) = (None, None), inconsistent("permissions")),
        (|it| it.v4 = it.v6, inconsistent("relayed addresses")),
        (|it| it.granted.v4 = None, inconsistent("grant")),
        (|it| it.granted.missing_v4 = Some(7), inconsistent("grant")),
        (|it| it.channels.extend(it.channels.clone()), inconsistent("channels")),
        (|it| it.permissions.extend(it.permissions.clone()), inconsistent("permissions")),
        (
            |it| it.v4.as_mut().unwrap().local = "45.0.0.9:50000".parse().unwrap(),
            ImportError::Address(elsewhere),
        ),
        (
            |it| it.v4.as_mut().unwrap().local = "10.0.0.1:1".parse().unwrap(),
            ImportError::Address(beyond),
        ),
    ];
    let mut world = World::new();
    let before = world.records();
    for (change, error) in faults {
        let mut record = good.clone();
        change(&mut record);
        let record = Record::Allocation(Box::new(record));
        assert_eq!(world.import(&record), Err(error));
        assert_eq!((world.records(), world.held()), (before.clone(), 0), "{error}");
    }
    let import = |world: &mut World, record: &AllocationRecord| {
        world.import(&Record::Allocation(Box::new(record.clone())))
    };
    import(&mut world, &good).unwrap();
    assert_eq!(import(&mut world, &good), Err(ImportError::FlowTaken(flow)));
    let mut other = AllocationRecord { client: "198.51.100.9:1".parse().unwrap(), ..good };
    assert_eq!(import(&mut world, &other), Err(ImportError::PortTaken(v4.local)));
    // IPv4 is free, IPv6 is not: neither is taken.
    let free = RelayedRecord { local: "10.0.0.1:50063".parse().unwrap(), ..v4 };
    other.v4 = Some(free);
    let v6 = other.v6.unwrap();
    assert_eq!(import(&mut world, &other), Err(ImportError::PortTaken(v6.local)));
    other.v6 = None;
    other.permissions.clear();
    other.channels.clear();
    import(&mut world, &other).unwrap();
    assert_eq!((world.held(), world.counters().live), (2, 2));
}

// What a file may hold: the largest numbers there are.
#[test]
fn absurd_numbers_are_taken_and_overflow_nothing() {
    let mut record = allocation(&busy());
    (record.serial, record.opened_ms) = (u64::MAX, u64::MAX);
    (record.to_peers, record.to_client) = ((u64::MAX, u64::MAX), (u64::MAX, u64::MAX));
    (record.dropped, record.peers_more) = (u64::MAX, u64::MAX);
    let debts = Debts { bytes_milli: u64::MAX, packets_milli: u64::MAX, at_ms: u64::MAX };
    (record.debts_to_peers, record.debts_to_client) = (debts, debts);
    for channel in &mut record.channels {
        channel.bound_until_ms = u64::MAX;
    }
    for permission in &mut record.permissions {
        permission.expires_ms = u64::MAX;
    }
    (record.v4, record.v6) = (
        record.v4.map(|it| RelayedRecord { expires_ms: u64::MAX, ..it }),
        record.v6.map(|it| RelayedRecord { expires_ms: u64::MAX, ..it }),
    );
    for limited in [false, true] {
        let mut world = World::with(1, 9, rules(limited));
        world.import(&Record::Allocation(Box::new(record.clone()))).unwrap();
        world.carry_out(0, &mut Vec::new());
        world.allocate(ANN).expect_success();
        world.channel_run(Client::BOB, 0x4002, 9);
        world.wait_ms(90_000_000);
        world.refresh(Client::BOB, 0).expect_success();
        assert_eq!(world.closed.len(), 2);
    }
}

// A version is read for as long as it may be somewhere: these bytes never change.
#[test]
fn version_1_is_read() {
    let records = [
        Record::Worker(WorkerRecord { worker: 0, last_serial: 300 }),
        Record::Allocation(Box::new(AllocationRecord {
            worker: 0,
            serial: 7,
            listener: 1,
            client: "192.0.2.1:5000".parse().unwrap(),
            transport: TransportRecord::Udp,
            user: "1800000000:ann".into(),
            account: "ann".into(),
            v4: Some(RelayedRecord {
                local: "10.0.0.1:50000".parse().unwrap(),
                expires_ms: 4_000_000_000,
            }),
            v6: None,
            granted: GrantRecord {
                transaction: [7; 12],
                v4: Some("45.0.0.1:50000".parse().unwrap()),
                v6: None,
                lifetime_s: 600,
                reservation: Some([1; 8]),
                missing_v4: None,
                missing_v6: Some(440),
            },
            permissions: vec![PermissionRecord { peer: [9, 9, 9, 9].into(), expires_ms: 9 }],
            channels: vec![ChannelRecord {
                number: 0x4001,
                peer: "9.9.9.9:7".parse().unwrap(),
                bound_until_ms: 9,
            }],
            to_peers: (1, 160),
            to_client: (2, 320),
            dropped: 3,
            peers: vec![[9, 9, 9, 9].into()],
            peers_more: 0,
            debts_to_peers: Debts { bytes_milli: 1, packets_milli: 2, at_ms: 3 },
            debts_to_client: Debts::default(),
            opened_ms: 5,
        })),
        Record::Reservation(ReservationRecord {
            token: [2; 8],
            local: "[2a0a::1]:50001".parse().unwrap(),
            user: "ann".into(),
            account: "ann".into(),
            expires_ms: 77,
        }),
    ];
    let mut rest = include_bytes!("version_1.bin").as_slice();
    for record in records {
        let (read, behind) = Record::read(rest).unwrap();
        assert_eq!(read, record);
        rest = behind;
    }
    assert!(rest.is_empty());
    assert_eq!(Family::ALL.len(), 2, "an allocation's record has a field for each family");
}
