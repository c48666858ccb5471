//! What a hostile datagram costs: so much for each of its bytes and no more, whatever is in it and
//! whoever sent it.
//!
//! Each shape is measured at a size and at an eighth of it. Linear work takes eight times as long
//! for the large one, work that grows with the square 64 times; the bound stands between the two.
//! What counts is the CPU time of the shortest of many tries, so that a busy machine changes
//! little: a datagram that costs milliseconds is never worked off in one go on such a one.

use std::{
    hint::black_box,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use nix::time::{ClockId, clock_gettime};
use uturn::{
    turn::{
        Authenticator, Bind, Counts, Credentials, Effect, FiveTuple, ListenerId, MAX_SECRETS,
        Nonces, Now, Outcome, Path, PeerPolicy, PortPlan, REPLY_BYTES, RelayAddress, Server,
        Settings, Shard, WorkerIndex,
    },
    wire::{AttributeType, Class, IntegrityKey, MessageWriter, Method, TransactionId, mac},
};

const NOW: Now = Now { mono_ms: 1_000_000, unix_s: 1_800_000_000 };

/// The largest STUN message that fits a UDP datagram over IPv4.
const LARGEST_BYTES: usize = 65_504;

/// How much smaller the small one of two sizes is.
const SCALE: usize = 8;

/// More than linear work takes, less than its square.
const MOST_TIMES: f64 = 18.0;

/// Work for a large hostile datagram, in HMAC-SHA1 over as many bytes, which is slow where the rest
/// is slow. Trying 16 secrets takes 16 of them, reading attributes some in a build that is not
/// optimised; the flaw that this was written for took hundreds.
const MOST_MACS: f64 = 100.0;

const TRIES: usize = 25;

/// Permissions and channels one allocation may hold, as many as the configuration allows.
const MOST_HELD: u16 = 4096;

/// Room for credentials behind what fills a datagram.
const TRAILER_BYTES: usize = 160;

/// XOR-PEER-ADDRESS of an IPv4 address.
const PEER_BYTES: usize = 12;

/// Addresses behind all of [`peer`], in the order permissions are kept in.
const BEHIND: u32 = 0xC800_0000;

/// An attribute that no server knows and that may be passed over.
const OPTIONAL: AttributeType = AttributeType(0xFF77);

/// One that may not.
const REQUIRED: AttributeType = AttributeType(0x7000);

#[derive(Clone, Copy)]
enum Sender {
    /// He proves nothing.
    Stranger,
    /// His nonce is good, his name is one that each of 16 secrets may vouch for, and none does.
    Guesser,
    /// He signs, and has an allocation.
    User,
}

/// A datagram that is full of something.
struct Shape {
    name: &'static str,
    sender: Sender,
    method: Method,
    class: Class,
    /// Size of the large one.
    bytes: usize,
    /// What the user has done before, by the same number of bytes.
    prepare: fn(&mut Node, usize),
    /// Writes so many bytes of attributes.
    fill: fn(&mut MessageWriter<'_>, usize),
}

/// Writes an attribute over and over, the number of which decides its type and value.
fn fill(
    writer: &mut MessageWriter<'_>,
    bytes: usize,
    attribute: impl Fn(usize) -> (AttributeType, Vec<u8>),
) {
    let (mut written, mut number) = (0, 0);
    loop {
        let (kind, value) = attribute(number);
        written += 4 + value.len().next_multiple_of(4);
        if written > bytes {
            return;
        }
        writer.attribute(kind, &value);
        number += 1;
    }
}

fn shapes() -> Vec<Shape> {
    let stranger = |name, method, fill| Shape {
        name,
        sender: Sender::Stranger,
        method,
        class: Class::Request,
        bytes: LARGEST_BYTES,
        prepare: |_, _| {},
        fill,
    };
    let user = |name, method, fill| Shape { sender: Sender::User, ..stranger(name, method, fill) };
    let send = |name, sender, fill| Shape {
        sender,
        class: Class::Indication,
        ..stranger(name, Method::Send, fill)
    };
    vec![
        stranger("FINGERPRINT", Method::Binding, |w, bytes| {
            fill(w, bytes, |_| (AttributeType::FINGERPRINT, vec![0; 4]));
        }),
        stranger("empty FINGERPRINT", Method::Binding, |w, bytes| {
            fill(w, bytes, |_| (AttributeType::FINGERPRINT, Vec::new()));
        }),
        stranger("one attribute and its FINGERPRINT", Method::Binding, |w, bytes| {
            w.attribute(OPTIONAL, &vec![0; bytes - 12]).fingerprint();
        }),
        stranger("MESSAGE-INTEGRITY", Method::Allocate, |w, bytes| {
            fill(w, bytes, |_| (AttributeType::MESSAGE_INTEGRITY, vec![0; 20]));
        }),
        stranger("MESSAGE-INTEGRITY-SHA256", Method::Allocate, |w, bytes| {
            fill(w, bytes, |_| (AttributeType::MESSAGE_INTEGRITY_SHA256, Vec::new()));
        }),
        stranger("an unknown attribute", Method::Binding, |w, bytes| {
            fill(w, bytes, |_| (REQUIRED, Vec::new()));
        }),
        stranger("fifteen unknown attributes", Method::Binding, |w, bytes| {
            fill(w, bytes, |n| (AttributeType(REQUIRED.0 + (n % 15) as u16), Vec::new()));
        }),
        stranger("unknown attributes, each another", Method::Binding, |w, bytes| {
            fill(w, bytes, |n| (AttributeType(0x1000 + n as u16), Vec::new()));
        }),
        stranger("optional attributes", Method::Allocate, |w, bytes| {
            fill(w, bytes, |_| (OPTIONAL, Vec::new()));
        }),
        stranger("half an attribute at the end", Method::Allocate, |w, bytes| {
            fill(w, bytes - 4, |_| (OPTIONAL, Vec::new()));
            w.attribute(OPTIONAL, &[0, 9, 0, 9, 9, 9, 9, 9]);
        }),
        stranger("names without a nonce", Method::Allocate, |w, bytes| {
            fill(w, bytes - 24, |_| (AttributeType::USERNAME, b"ann".to_vec()));
            w.attribute(AttributeType::MESSAGE_INTEGRITY, &[0; 20]);
        }),
        stranger("a long nonce", Method::Allocate, |w, bytes| {
            w.attribute(AttributeType::USERNAME, b"ann").attribute(AttributeType::REALM, b"realm");
            let nonce = [b"obMatJos2AAAA".to_vec(), vec![b'A'; bytes - 64]].concat();
            w.attribute(AttributeType::NONCE, &nonce);
            w.attribute(AttributeType::MESSAGE_INTEGRITY, &[0; 20]);
        }),
        send("Send to many peers", Sender::Stranger, |w, bytes| {
            fill(w, bytes, |_| (AttributeType::XOR_PEER_ADDRESS, vec![0; 8]));
        }),
        Shape {
            sender: Sender::Guesser,
            ..stranger("a guess", Method::Allocate, |w, bytes| {
                fill(w, bytes, |_| (OPTIONAL, Vec::new()));
            })
        },
        user("optional attributes, signed Allocate", Method::Allocate, |w, bytes| {
            fill(w, bytes, |_| (OPTIONAL, Vec::new()));
        }),
        user("optional attributes, signed Refresh", Method::Refresh, |w, bytes| {
            fill(w, bytes, |_| (OPTIONAL, Vec::new()));
        }),
        user("optional attributes, signed ChannelBind", Method::ChannelBind, |w, bytes| {
            fill(w, bytes, |_| (OPTIONAL, Vec::new()));
        }),
        user("unknown attributes, signed", Method::Refresh, |w, bytes| {
            fill(w, bytes, |n| (AttributeType(0x1000 + n as u16), Vec::new()));
        }),
        user("one peer", Method::CreatePermission, |w, bytes| fill(w, bytes, |_| peer(0))),
        user("more peers than may be permitted", Method::CreatePermission, |w, bytes| {
            fill(w, bytes, peer);
        }),
        Shape {
            bytes: PEER_BYTES * usize::from(MOST_HELD),
            ..user("as many peers as may be permitted", Method::CreatePermission, |w, bytes| {
                fill(w, bytes, peer);
            })
        },
        Shape {
            bytes: PEER_BYTES * usize::from(MOST_HELD) / 2,
            prepare: |node, bytes| {
                node.ask(Method::CreatePermission, |w| {
                    fill(w, bytes, |n| xor_peer(BEHIND + n as u32));
                });
            },
            ..user("peers in front of as many", Method::CreatePermission, |w, bytes| {
                fill(w, bytes, peer);
            })
        },
        send("Send of many payloads", Sender::User, |w, bytes| {
            fill(w, bytes, |_| (AttributeType::DATA, Vec::new()));
        }),
    ]
}

/// XOR-PEER-ADDRESS of one of many addresses in 9.0.0.0/8, in no order.
fn peer(number: usize) -> (AttributeType, Vec<u8>) {
    xor_peer(0x0900_0000 | ((number as u32).wrapping_mul(0x9E37_79B1) >> 8))
}

fn xor_peer(ip: u32) -> (AttributeType, Vec<u8>) {
    let [a, b, c, d] = (ip ^ 0x2112_A442).to_be_bytes();
    (AttributeType::XOR_PEER_ADDRESS, vec![0, 1, 0x21, 0x12, a, b, c, d])
}

/// A server, a user with an allocation, and all that they know.
struct Node {
    server: Server,
    nonces: Nonces,
    reply: Vec<u8>,
}

impl Node {
    fn new() -> Node {
        let nonces = Nonces::new([1; 32], 3600);
        let mut credentials = Credentials::new("realm").with_user("ann", "secret");
        for secret in 0..MAX_SECRETS {
            credentials = credentials.with_secret(&[secret as u8; 32]).expect("no more than 16");
        }
        let policy = PeerPolicy::new(&[], &[], &[]);
        let mut settings = Settings::new(Authenticator::new(credentials, nonces.clone()), policy);
        settings.permissions_per_allocation = MOST_HELD;
        settings.channels_per_allocation = MOST_HELD;
        let address = Ipv4Addr::new(45, 0, 0, 1).into();
        let ports = PortPlan::new(50_000, 50_099, 1);
        let shard = Shard {
            worker: WorkerIndex(0),
            ports,
            relays: ports.open(&[RelayAddress { local: address, advertised: address }]),
            quota: Box::new(Counts::new(None, None)),
        };
        let server = Server::new(Arc::new(settings), shard, [2; 32]);
        Node { server, nonces, reply: vec![0; REPLY_BYTES] }
    }

    /// Lets the user begin anew: no permission, no channel.
    fn renew(&mut self) {
        self.ask(Method::Refresh, |w| _ = w.lifetime_s(0));
        self.ask(Method::Allocate, |w| _ = w.requested_transport(17));
        assert_eq!(self.server.counters().live, 1);
    }

    /// A small request of the user's; how long it took.
    fn ask(&mut self, method: Method, build: impl FnOnce(&mut MessageWriter<'_>)) -> Duration {
        let request = self.datagram(Sender::User, method, Class::Request, build);
        let took = self.time(Sender::User, &request);
        self.carry_out();
        took
    }

    fn carry_out(&mut self) {
        while let Some(effect) = self.server.next_effect() {
            match effect {
                Effect::Open(open) => {
                    let outcome = Outcome::Opened(&[Bind::Bound]);
                    self.server.complete(NOW, open.pending, outcome, &mut self.reply);
                }
                Effect::Close(relay) => self.server.released(relay),
                Effect::Forward { .. } | Effect::Unforward(_) => {}
                Effect::Activate(_)
                | Effect::Redeem(_)
                | Effect::Connect(_)
                | Effect::Tell { .. }
                | Effect::Join { .. }
                | Effect::CloseConnection(_) => {}
            }
        }
        while self.server.next_report().is_some() {}
    }

    fn datagram(
        &self,
        sender: Sender,
        method: Method,
        class: Class,
        build: impl FnOnce(&mut MessageWriter<'_>),
    ) -> Vec<u8> {
        let mut out = vec![0; LARGEST_BYTES];
        let mut writer = MessageWriter::new(&mut out, method, class, TransactionId([3; 12]));
        build(&mut writer);
        if let (Some((user, password)), Class::Request) = (sender.credentials(), class) {
            let key = IntegrityKey::long_term(user, b"realm", password);
            writer.attribute(AttributeType::USERNAME, user);
            writer.attribute(AttributeType::REALM, b"realm");
            writer.attribute(AttributeType::NONCE, &self.nonces.issue(NOW, sender.path().client()));
            writer.integrity(&key);
        }
        let bytes = writer.finish().expect("there is room for credentials");
        out.truncate(bytes);
        out
    }

    fn time(&mut self, sender: Sender, datagram: &[u8]) -> Duration {
        let begun = thread_cpu();
        self.server.from_client(NOW, sender.path(), datagram, 1, &mut self.reply);
        thread_cpu() - begun
    }

    /// The shortest of many tries, and the size.
    fn cost(&mut self, shape: &Shape, bytes: usize) -> (Duration, usize) {
        let Shape { sender, method, class, .. } = *shape;
        let bytes = (bytes - TRAILER_BYTES) & !3;
        let datagram = self.datagram(sender, method, class, |writer| (shape.fill)(writer, bytes));
        let times = (0..TRIES).map(|_| {
            self.renew();
            (shape.prepare)(self, bytes);
            self.time(sender, &datagram)
        });
        (times.min().expect("more than none"), datagram.len())
    }
}

/// What one byte of an HMAC-SHA1 costs here, in this build.
fn mac_ns_per_byte() -> f64 {
    let bytes = vec![0x55; LARGEST_BYTES];
    let times = (0..TRIES).map(|_| {
        let begun = thread_cpu();
        black_box(mac(b"key", &[black_box(&bytes)]));
        thread_cpu() - begun
    });
    times.min().expect("more than none").as_nanos() as f64 / LARGEST_BYTES as f64
}

/// CPU time of this thread.
fn thread_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("Linux has this clock").into()
}

impl Sender {
    fn path(self) -> Path {
        let last = match self {
            Sender::User => 1,
            Sender::Stranger | Sender::Guesser => 2,
        };
        let client = SocketAddr::from(([198, 51, 100, last], 9));
        Path::udp(FiveTuple { listener: ListenerId(0), client })
    }

    fn credentials(self) -> Option<(&'static [u8], &'static [u8])> {
        match self {
            Sender::Stranger => None,
            Sender::Guesser => Some((b"1900000000:eve", b"a guess")),
            Sender::User => Some((b"ann", b"secret")),
        }
    }
}

#[test]
fn work_is_linear_in_the_datagram_whatever_it_is_full_of() {
    let mut faults = Vec::new();
    let mut node = Node::new();
    let mac_ns_per_byte = mac_ns_per_byte();
    for shape in shapes() {
        let (small, small_bytes) = node.cost(&shape, shape.bytes / SCALE);
        let (large, large_bytes) = node.cost(&shape, shape.bytes);
        let times = large.as_secs_f64() / small.as_secs_f64();
        let macs = large.as_nanos() as f64 / large_bytes as f64 / mac_ns_per_byte;
        let line = format!(
            "{}: {small:?} for {small_bytes} bytes, {large:?} for {large_bytes}: {times:.1} times, \
             as long as {macs:.1} MACs",
            shape.name
        );
        eprintln!("{line}");
        if times > MOST_TIMES || macs > MOST_MACS {
            faults.push(line);
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn what_an_allocation_holds_makes_its_requests_no_dearer() {
    let mut node = Node::new();
    let cost = |node: &mut Node, method| {
        let times = (0..TRIES).map(|_| {
            node.ask(method, |w| {
                w.channel_number(0x4000).xor_peer_address(SocketAddr::from(([9, 9, 9, 9], 9)));
            })
        });
        times.min().expect("more than none")
    };
    node.renew();
    let methods = [Method::ChannelBind, Method::CreatePermission, Method::Refresh];
    let empty = methods.map(|method| cost(&mut node, method));
    for number in 1..usize::from(MOST_HELD) {
        let ip = Ipv4Addr::from_bits(0x0900_0000 + number as u32 * 8);
        node.ask(Method::ChannelBind, |w| {
            w.channel_number(0x4000 + number as u16)
                .xor_peer_address(SocketAddr::new(ip.into(), 9));
        });
    }
    let full = methods.map(|method| cost(&mut node, method));
    eprintln!("empty {empty:?}, full {full:?}");
    for (method, (empty, full)) in methods.into_iter().zip(empty.into_iter().zip(full)) {
        assert!(full < empty * 3, "{method:?}: {empty:?}, and {full:?} with {MOST_HELD} channels");
    }
}
