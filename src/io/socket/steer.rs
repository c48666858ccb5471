//! Which socket of a reuse-port group a datagram goes to: a classic BPF program.
//!
//! Every worker has two sockets on a listening address. Payload comes in through one, requests
//! through the other, each with a receive buffer of its own: when more payload arrives than the
//! worker can relay, requests do not drown in it, and a flood of requests takes no room from
//! payload. Either socket takes whatever arrives at it, so this is about room alone. What is joined
//! to a train goes where the train's first datagram goes.
//!
//! The kernel asks the program for the socket's place in the group, which is the order in which the
//! sockets were bound: those for payload, worker by worker, then those for requests. The worker is
//! that on the receiving core, or one chosen by a hash of the source. A place that does not exist,
//! or a kernel that does not take the program, makes the kernel hash by itself.
//!
//! What a datagram is shows in its first byte (RFC 9443 §3):
//!
//! ```text
//! 0-3     STUN                             → requests, Send indications → payload
//! 20-22   DTLS handshakes and alerts       → requests
//! 23-63   DTLS records of encrypted data   → payload
//! 64-79   ChannelData                      → payload
//! ```
//!
//! Everything else is junk and goes the way of payload; so does what is too short to be anything,
//! of which the program reads no byte: a program that reads behind the end is ended by the kernel,
//! and the datagram goes to the first worker, whoever sent it.
//!
//! ```text
//! ld   A, length
//! jge  A, 2 ⇥ payload
//! ldb  A, first byte
//! jge  A, 23 → payload
//! jge  A, 20 → requests
//! jge  A, 4 → payload
//! ldh  A, message type
//! jeq  A, Send indication → payload
//! M[0] = workers (requests) or 0 (payload)
//! A    = the worker by core or by hash
//! ret  A + M[0]
//! ```
#![expect(unsafe_code, reason = "hands a program to the kernel by pointer")]

use std::{
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
    os::fd::{AsFd, AsRawFd},
};

use crate::io::sys::check;

/// Offset of the number of the current CPU, and of the network header, in what the kernel lets a
/// program read beside the payload.
const CPU: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_CPU) as u32;
const NETWORK: u32 = libc::SKF_NET_OFF as u32;

/// Words of the network header that name the source: its address, and the two ports that follow the
/// header. An IPv4 header with options has others there, always the same for one client.
const SOURCE_V4: [u32; 2] = [12, 20];
const SOURCE_V6: [u32; 5] = [8, 12, 16, 20, 40];

/// First bytes from which on a datagram is no longer STUN, is a handshake of DTLS, and is no longer
/// one; and the message type of a Send indication.
const STUN_END: u32 = 4;
const HANDSHAKE: u32 = 20;
const HANDSHAKE_END: u32 = 23;
const SEND_INDICATION: u32 = 0x0016;

/// Bytes that the program reads of a datagram.
const READ_BYTES: u32 = 2;

/// Places of the program's scratch memory.
const OFFSET: u32 = 0;
const HASH: u32 = 1;

const LOAD_LENGTH: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_LEN) as u16;
const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const LOAD_HALF: u16 = (libc::BPF_LD | libc::BPF_H | libc::BPF_ABS) as u16;
const LOAD_BYTE: u16 = (libc::BPF_LD | libc::BPF_B | libc::BPF_ABS) as u16;
const LOAD_NUMBER: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_IMM) as u16;
const LOAD_SCRATCH: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_MEM) as u16;
const LOAD_X_SCRATCH: u16 = (libc::BPF_LDX | libc::BPF_W | libc::BPF_MEM) as u16;
const STORE: u16 = libc::BPF_ST as u16;
const TO_X: u16 = (libc::BPF_MISC | libc::BPF_TAX) as u16;
const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
const JUMP_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const JUMP_NOT_BELOW: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const ADD_X: u16 = (libc::BPF_ALU | libc::BPF_ADD | libc::BPF_X) as u16;
const XOR_X: u16 = (libc::BPF_ALU | libc::BPF_XOR | libc::BPF_X) as u16;
const MULTIPLY: u16 = (libc::BPF_ALU | libc::BPF_MUL | libc::BPF_K) as u16;
const SHIFT_RIGHT: u16 = (libc::BPF_ALU | libc::BPF_RSH | libc::BPF_K) as u16;
const REMAINDER: u16 = (libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K) as u16;
const RETURN_A: u16 = (libc::BPF_RET | libc::BPF_A) as u16;

/// How clients are shared out among the workers.
#[derive(Debug, Clone, Copy)]
pub enum Share<'a> {
    /// By the receiving core: the worker in the place that it has here. Clients of other cores are
    /// spread evenly.
    Cores(&'a [usize]),
    /// By a hash of the client's address and port.
    Hash {
        /// Workers to choose from, at least 1.
        workers: usize,
        /// What nobody knows, so that nobody can aim at one worker.
        secret: u32,
    },
}

impl Share<'_> {
    fn workers(self) -> u32 {
        let workers = match self {
            Share::Cores(cores) => cores.len(),
            Share::Hash { workers, .. } => workers,
        };
        workers.max(1) as u32
    }
}

/// Has the datagrams of a reuse-port group go to the worker they belong to, and there to the socket
/// for what they are. Any socket of the group will do, and the program holds for all.
///
/// # Errors
/// What the kernel says; every kernel since 4.5 takes the program.
pub fn attach(socket: &UdpSocket, share: Share<'_>) -> io::Result<()> {
    attach_program(socket, &mut program(share, socket.local_addr()?))
}

/// Has the connections of a reuse-port group of TCP listeners go to the worker that they belong to,
/// as their first packet says. The kernel counts listeners in the order in which they began to
/// listen; each worker has one.
///
/// # Errors
/// What the kernel says; every kernel since 4.5 takes the program.
pub fn attach_streams(listener: &TcpListener, share: Share<'_>) -> io::Result<()> {
    let end = [plain(REMAINDER, share.workers()), plain(RETURN_A, 0)];
    let mut program = worker(share, listener.local_addr()?);
    program.extend(end);
    attach_program(listener, &mut program)
}

fn attach_program(socket: impl AsFd, program: &mut [libc::sock_filter]) -> io::Result<()> {
    let attached = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    let bytes = size_of::<libc::sock_fprog>() as libc::socklen_t;
    // SAFETY: the option value is one sock_fprog, and the instructions it points to live in
    // `program`; the kernel copies both within the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const attached).cast(),
            bytes,
        )
    };
    check(result).map(drop)
}

fn program(share: Share<'_>, local: SocketAddr) -> Vec<libc::sock_filter> {
    let end = [
        plain(REMAINDER, share.workers()),
        plain(LOAD_X_SCRATCH, OFFSET),
        plain(ADD_X, 0),
        plain(RETURN_A, 0),
    ];
    kind(share.workers()).into_iter().chain(worker(share, local)).chain(end).collect()
}

/// Leaves the number of the worker, or one that is to be divided by how many there are.
fn worker(share: Share<'_>, local: SocketAddr) -> Vec<libc::sock_filter> {
    match share {
        Share::Cores(cores) => by_core(cores),
        Share::Hash { workers: 1, .. } => vec![plain(LOAD_NUMBER, 0)],
        Share::Hash { secret, .. } if local.is_ipv4() => by_hash(&SOURCE_V4, secret),
        Share::Hash { secret, .. } => by_hash(&SOURCE_V6, secret),
    }
}

/// Leaves in the scratch memory how far the sockets for what a datagram is are from those for
/// payload.
fn kind(workers: u32) -> [libc::sock_filter; 12] {
    [
        plain(LOAD_LENGTH, 0),
        jump(JUMP_NOT_BELOW, [0, 8], READ_BYTES),
        plain(LOAD_BYTE, 0),
        jump(JUMP_NOT_BELOW, [6, 0], HANDSHAKE_END),
        jump(JUMP_NOT_BELOW, [3, 0], HANDSHAKE),
        jump(JUMP_NOT_BELOW, [4, 0], STUN_END),
        plain(LOAD_HALF, 0),
        jump(JUMP_EQUAL, [2, 0], SEND_INDICATION),
        plain(LOAD_NUMBER, workers),
        plain(JUMP, 1),
        plain(LOAD_NUMBER, 0),
        plain(STORE, OFFSET),
    ]
}

/// Leaves the place of the receiving core, or its number if it has none.
fn by_core(cores: &[usize]) -> Vec<libc::sock_filter> {
    let count = cores.len();
    // A core that does not match passes over the two instructions behind its comparison.
    let places = cores.iter().enumerate().flat_map(|(place, core)| {
        let to_end = 3 * (count - place - 1) as u32;
        [
            jump(JUMP_EQUAL, [0, 2], *core as u32),
            plain(LOAD_NUMBER, place as u32),
            plain(JUMP, to_end),
        ]
    });
    std::iter::once(plain(LOAD, CPU)).chain(places).collect()
}

/// Leaves a hash of some words of the network header, its high half folded into the low one.
fn by_hash(words: &[u32], secret: u32) -> Vec<libc::sock_filter> {
    let factor = secret | 1;
    let begin = [plain(LOAD_NUMBER, factor), plain(STORE, HASH)];
    let mix = words.iter().flat_map(|word| {
        [
            plain(LOAD, NETWORK.wrapping_add(*word)),
            plain(LOAD_X_SCRATCH, HASH),
            plain(XOR_X, 0),
            plain(MULTIPLY, factor),
            plain(STORE, HASH),
        ]
    });
    let fold = [plain(SHIFT_RIGHT, 16), plain(TO_X, 0), plain(LOAD_SCRATCH, HASH), plain(XOR_X, 0)];
    begin.into_iter().chain(mix).chain(fold).collect()
}

fn plain(code: u16, operand: u32) -> libc::sock_filter {
    jump(code, [0, 0], operand)
}

/// A comparison, and how many instructions are passed over when it holds and when it does not.
fn jump(code: u16, [holds, fails]: [u8; 2], operand: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt: holds, jf: fails, k: operand }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;
    use crate::io::sockets::{self, BufferSizes};

    const V4: &str = "192.0.2.1:3478";
    const V6: &str = "[2001:db8::1]:3478";

    /// A datagram as a program sees it.
    #[derive(Clone, Copy)]
    struct Seen<'a> {
        core: u32,
        network: &'a [u8],
        payload: &'a [u8],
    }

    impl Seen<'_> {
        fn load(&self, offset: u32, bytes: usize) -> Option<u32> {
            if offset == CPU {
                return Some(self.core);
            }
            let (from, at) = match offset.wrapping_sub(NETWORK) {
                at if at < 0x1000 => (self.network, at),
                _ => (self.payload, offset),
            };
            let part = from.get(at as usize..at as usize + bytes)?;
            Some(part.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
        }
    }

    /// What the program answers, worked off as the kernel does.
    fn place(program: &[libc::sock_filter], seen: Seen<'_>) -> u32 {
        let (mut a, mut x, mut next, mut scratch) = (0_u32, 0_u32, 0, [0; 16]);
        loop {
            let step = program[next];
            next += 1;
            let branch = |holds: bool| usize::from(if holds { step.jt } else { step.jf });
            let bytes = match step.code {
                LOAD => 4,
                LOAD_HALF => 2,
                LOAD_BYTE => 1,
                _ => 0,
            };
            match step.code {
                LOAD | LOAD_HALF | LOAD_BYTE => match seen.load(step.k, bytes) {
                    Some(number) => a = number,
                    None => return 0,
                },
                LOAD_LENGTH => a = seen.payload.len() as u32,
                LOAD_NUMBER => a = step.k,
                LOAD_SCRATCH => a = scratch[step.k as usize],
                LOAD_X_SCRATCH => x = scratch[step.k as usize],
                STORE => scratch[step.k as usize] = a,
                TO_X => x = a,
                JUMP => next += step.k as usize,
                JUMP_EQUAL => next += branch(a == step.k),
                JUMP_NOT_BELOW => next += branch(a >= step.k),
                ADD_X => a = a.wrapping_add(x),
                XOR_X => a ^= x,
                MULTIPLY => a = a.wrapping_mul(step.k),
                SHIFT_RIGHT => a >>= step.k,
                REMAINDER => a %= step.k,
                RETURN_A => return a,
                other => panic!("{other} is not in the program"),
            }
        }
    }

    fn of(share: Share<'_>, local: &str) -> Vec<libc::sock_filter> {
        program(share, local.parse().expect("an address"))
    }

    const CHANNEL: [u8; 4] = [0x40, 0, 0, 0];
    const SEND: [u8; 4] = [0, 0x16, 0, 0];
    const ALLOCATE: [u8; 4] = [0, 3, 0, 0];

    #[test]
    fn every_core_finds_its_worker_and_every_datagram_its_socket() {
        let program = of(Share::Cores(&[2, 3, 8]), V4);
        let place = |core, payload: &[u8]| place(&program, Seen { core, network: &[], payload });
        assert_eq!([2, 3, 8].map(|core| place(core, &CHANNEL)), [0, 1, 2]);
        assert_eq!([2, 3, 8].map(|core| place(core, &SEND)), [0, 1, 2]);
        assert_eq!([2, 3, 8].map(|core| place(core, &ALLOCATE)), [3, 4, 5]);
        assert!((0..64).all(|core| place(core, &CHANNEL) < 3));
        assert!((0..64).all(|core| (3..6).contains(&place(core, &ALLOCATE))));
    }

    #[test]
    fn what_is_too_short_goes_to_the_worker_of_its_source() {
        let by_core = of(Share::Cores(&[2, 3, 8]), V4);
        let by_hash = of(Share::Hash { workers: 64, secret: 77 }, V4);
        for short in [&[][..], &[0], &[20], &[0x40]] {
            let at = |core| Seen { core, network: &[], payload: short };
            assert_eq!([2, 3, 8].map(|core| place(&by_core, at(core))), [0, 1, 2], "{short:?}");
            for port in 30_000..30_100_u16 {
                let network = [&[0x45; 20][..], &port.to_be_bytes(), &[0; 6]].concat();
                let of = |payload| place(&by_hash, Seen { core: 0, network: &network, payload });
                assert_eq!(of(short), of(&CHANNEL), "{short:?} of {port}");
            }
        }
    }

    #[test]
    fn the_kernel_answers_as_the_program_says() {
        const WORKERS: usize = 3;
        let any = "127.0.0.1:0".parse().expect("an address");
        let open = |address| {
            let listening = sockets::listening(address, BufferSizes::RELAY, sockets::BIND_PATIENCE)
                .expect("loopback");
            listening.socket
        };
        let first = open(any);
        let address = first.local_addr().expect("bound");
        let others = (1..2 * WORKERS).map(|_| open(address));
        let group: Vec<_> = std::iter::once(first).chain(others).collect();
        attach(&group[0], Share::Hash { workers: WORKERS, secret: 0x9E37_79B8 }).expect("taken");
        let heard = |client: &UdpSocket, payload: &[u8]| {
            client.send_to(payload, address).expect("sent");
            group.iter().position(|socket| socket.recv(&mut [0; 64]).is_ok()).expect("one hears")
        };
        let mut workers = [0; WORKERS];
        for _ in 0..50 {
            let client = UdpSocket::bind(any).expect("loopback");
            let worker = heard(&client, &CHANNEL);
            workers[worker] += 1;
            let payload = [&[][..], &[0], &SEND, &[23, 0xFE, 0xFD], &[0x2C, 0]];
            assert!(payload.iter().all(|payload| heard(&client, payload) == worker));
            let requests = [&ALLOCATE[..], &[20, 0xFE], &[21, 0xFE], &[22, 0xFE]];
            assert!(requests.iter().all(|request| heard(&client, request) == worker + WORKERS));
        }
        assert!(workers.iter().all(|clients| *clients > 0), "{workers:?}");
    }

    #[test]
    fn the_kernel_gives_each_connection_to_a_worker_of_its_source() {
        const WORKERS: usize = 3;
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let open = |address| {
                let listener =
                    sockets::stream_listening(address, sockets::BIND_PATIENCE).expect("loopback");
                listener.set_nonblocking(true).expect("a socket");
                listener
            };
            let first = open(any.parse().expect("an address"));
            let address = first.local_addr().expect("bound");
            let group: Vec<_> =
                std::iter::once(first).chain((1..WORKERS).map(|_| open(address))).collect();
            let share = Share::Hash { workers: WORKERS, secret: 0x9E37_79B8 };
            attach_streams(&group[0], share).expect("taken");
            let program = [worker(share, address), vec![plain(REMAINDER, 3), plain(RETURN_A, 0)]];
            let mut workers = [0; WORKERS];
            for _ in 0..50 {
                let client = TcpStream::connect(address).expect("a listener");
                let taker = group.iter().position(|it| it.accept().is_ok()).expect("one takes it");
                let network = segment(client.local_addr().expect("bound"), address);
                let seen = Seen { core: 0, network: &network, payload: &[] };
                assert_eq!(place(&program.concat(), seen) as usize, taker);
                workers[taker] += 1;
            }
            assert!(workers.iter().all(|clients| *clients > 0), "{workers:?}");
        }
    }

    /// The network header of a segment, and the ports behind it.
    fn segment(from: SocketAddr, to: SocketAddr) -> Vec<u8> {
        let address = |it: SocketAddr| match it {
            SocketAddr::V4(it) => it.ip().octets().to_vec(),
            SocketAddr::V6(it) => it.ip().octets().to_vec(),
        };
        let begin = if from.is_ipv4() { 12 } else { 8 };
        let addresses = [address(from), address(to)].concat();
        let ports = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
        [vec![0; begin], addresses, ports].concat()
    }

    #[test]
    fn the_first_byte_tells_payload_from_requests() {
        let program = of(Share::Hash { workers: 1, secret: 5 }, V4);
        for first in 0..=u8::MAX {
            let seen = Seen { core: 0, network: &[], payload: &[first, 1, 0, 0] };
            let is_request = matches!(first, 0..=3 | 20..=22);
            assert_eq!(place(&program, seen), u32::from(is_request), "first byte {first}");
        }
    }

    #[test]
    fn the_first_of_two_workers_on_a_core_gets_its_packets() {
        let program = of(Share::Cores(&[0, 1, 0, 1]), V4);
        let seen = |core| Seen { core, network: &[], payload: &CHANNEL };
        assert_eq!([0, 1].map(|core| place(&program, seen(core))), [0, 1]);
    }

    #[test]
    fn a_hash_spreads_clients_and_keeps_each_at_its_worker() {
        for (local, bytes, ip) in [(V4, 28, 12..16), (V6, 48, 8..24)] {
            let program = of(Share::Hash { workers: 6, secret: 0x9E37_79B8 }, local);
            let mut counts = [0; 6];
            for client in 0..6_000_u32 {
                let mut network = vec![0x45; bytes];
                network[ip.end - 2..ip.end].copy_from_slice(&(client as u16 / 40).to_be_bytes());
                let port = 30_000 + (client % 40) as u16;
                network[bytes - 8..bytes - 6].copy_from_slice(&port.to_be_bytes());
                let seen = |payload| Seen { core: 0, network: &network, payload };
                let worker = place(&program, seen(&CHANNEL));
                assert_eq!(place(&program, seen(&ALLOCATE)), worker + 6);
                counts[worker as usize] += 1;
            }
            assert!(counts.iter().all(|count| (800..1_200).contains(count)), "{counts:?}");
        }
    }

    #[test]
    fn one_worker_needs_no_hash() {
        let program = of(Share::Hash { workers: 1, secret: 5 }, V4);
        let seen = |payload| Seen { core: 7, network: &[], payload };
        assert_eq!(place(&program, seen(&CHANNEL)), 0);
        assert_eq!(place(&program, seen(&ALLOCATE)), 1);
    }

    #[test]
    fn the_longest_program_fits() {
        assert!(of(Share::Cores(&[0; 128]), V4).len() < 4096);
    }
}
