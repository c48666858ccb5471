//! uturn is a TURN/STUN relay for Linux on io_uring. This page is its architecture.
//!
//! ```text
//! floor 4   main.rs     parses, settles, serves
//! floor 3   control/    cold: configuration, reload, drain, operators, metrics, logs
//! floor 2   worker/     one pinned thread = one turn::Server + one io::Driver
//! floor 1   turn/       the state machine, pure
//!           stream/     the layers of one TCP or TLS connection, pure
//!           io/         rings, buffers, sockets
//! floor 0   wire/       bytes <-> meaning. No allocation, no I/O
//! ```
//!
//! Imports only go down, and `turn`, `stream` and `io` never import each other. `tests/tidy.rs`
//! holds both.
//!
//! # A datagram's journey
//!
//! A client behind a NAT has an allocation: a relay port that belongs to it. Its datagrams come to
//! the STUN port wrapped, and leave from the relay port bare; a peer's come back the other way.
//!
//! ```text
//!            client                                            peer
//!              │ ChannelData, Send                              │ bare UDP
//!              ▼                                                ▼
//!  kernel   listener socket                                  relay socket
//!              │ io: a batch of completions, each a Lease on a buffer
//!              ▼                                                ▼
//!  worker   data/inbound.rs: receive_from_client             receive_from_peer
//!              ▼                                                ▼
//!  turn     server.rs: from_client ─▶ Verdict                from_peer ─▶ Delivered
//!              │ flow, channel, permission, limits              │ relay, permission, prefix
//!              ▼                                                ▼
//!  worker   send_to_peer                                     send_to_client
//!              │ the payload, out of its buffer                 │ the prefix, in the headroom
//!              ▼                                                ▼
//!  io       one queue; equal datagrams for one destination leave as one train; one call per turn
//! ```
//!
//! - The kernel writes a datagram, or a train of equal ones (UDP_GRO), into a buffer of the
//!   worker's pool. [`io::Received`] owns it as a [`io::Lease`]: whoever holds the lease may read
//!   it, and whoever holds it alone may write it.
//! - The worker gives the bytes to its [`turn::Server`], which looks up who sent them and answers
//!   with one [`turn::Verdict`]. It reads no clock and opens no socket: time is an argument, and
//!   what needs the world is an [`turn::Effect`].
//! - The worker carries the verdict out by moving the lease into [`io::Driver::send`]. The payload
//!   is never copied: a prefix is written in front of it, or is left out in front of it.
//! - One turn of the loop (`worker/reactor.rs`) takes everything that has arrived and makes one
//!   call into the kernel. Per packet there is no heap allocation, lock, log line, clock read,
//!   system call or shared cache line.
//!
//! When the peer is itself a relay of this server, the payload goes from one allocation to the
//! other in user space (`turn/relay/hairpin.rs`), through a mailbox where the other one lives on
//! another worker (`worker/mail/`).
//!
//! # A request's journey
//!
//! `turn/server.rs` parses it, checks FINGERPRINT, credentials and nonce (`turn/auth/`), and hands
//! it to its method (`turn/method/`, one file each). An Allocate is two-phase: the method draws a
//! port and orders [`turn::Effect::Open`]; `worker/effects/` has the socket bound;
//! [`turn::Server::complete`] writes the answer once the socket exists. No success is answered
//! before.
//!
//! # A stream's journey
//!
//! A [`stream::Connection`] is one client's TCP connection, without its socket: it gets bytes and
//! the time. [`stream::Connection::receive`] takes off what a balancer and TLS put around the
//! frames and says where they stand; equal ones in a row are a train, as datagrams are. From there
//! the journey is a datagram's: the same [`turn::Server`] judges the frames, by their
//! [`turn::Path`], and they leave for the peer from the buffer they came in, unless TLS or a cut
//! had them copied.
//!
//! What goes back is copied into the connection's queue as plaintext, and sealed by
//! [`stream::Connection::fill`] when the socket takes it: until then a frame that has become too
//! old can still be dropped. Datagram sends end within their call, stream writes do not: each
//! connection has at most one under way, in a buffer of its own (`worker/stream/`).
//!
//! # Threads
//!
//! Each worker owns its reuse-port listening sockets, draws relay ports from a slice of its own
//! first, and owns every allocation made through them. Workers share nothing on the packet path;
//! what is rare goes through bounded mailboxes. The control thread reads configuration, writes the
//! log, answers operators and never touches a packet. It hears from workers through reports and
//! asks them through mail.
//!
//! `tests/simulation/` runs whole stories on these very workers: a virtual network, a virtual
//! clock, and a model of RFC 8656 that holds every datagram to account.
//!
//! # Laws
//!
//! - **wire** checks once, in a constructor; what comes after cannot panic, and is linear in the
//!   bytes.
//! - **turn** and **stream** touch no clock, socket, thread or random source. Every drop has a
//!   [`turn::Reason`], every end of a connection a [`stream::HangUp`], and each is a counter.
//! - **io** is the only floor with `unsafe`, in the files that `tests/tidy.rs` lists, each block
//!   with the fact that makes it sound. Whoever holds a lease owns its buffer; the kernel does not.
//! - **Strangers** get little: no state on UDP before credentials are proved, a named number of
//!   bytes, connections and seconds on TCP.
//! - Everything is bounded by a name in the configuration or in one place of the code. A panic is a
//!   bug, never input.
//!
//! # Where to look
//!
//! | to change | look at |
//! |---|---|
//! | a STUN attribute or error code | `wire/` |
//! | what a TURN method does | `turn/method/` |
//! | what happens to a packet | `turn/relay/`, `worker/data/` |
//! | how clients are reached | `turn/api/names/path.rs`, and `send_to_client` in `worker/data/` |
//! | which peers may be reached | `turn/policy/` |
//! | how a TCP or TLS stream is cut into frames | `stream/connection/`; TLS itself in `stream/tls/` |
//! | who may connect, and when a connection ends | `worker/stream/`, `stream/limits.rs` |
//! | what a slow reader gets | `stream/egress/` |
//! | how packets are received and sent | `io/engine/`, once for both kernels |
//! | what the kernel is asked | `io/uring/`, `io/epoll/`; `io/` is the only floor with `unsafe` |
//! | what another process could go on with | `turn/handover/` |
//! | a configuration key | `control/config/` |
//! | what operators see | `control/log/`, `control/metrics/`, `control/admin/` |

pub mod control;
pub mod io;
pub mod stream;
pub mod turn;
pub mod wire;
pub mod worker;
