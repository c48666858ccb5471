//! What a seed decides: how many, how much, how bad.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use uturn::{
    turn::{
        Authenticator, Credentials, Nonces, OnReallocate, PeerPolicy, PortPlan, RelayAddress,
        Settings,
    },
    wire::time_limited_password,
    worker::{Listen, Steering},
};

use super::{machine::Faults, model::Operated, network::Weather, operator::DENIED, rng::Rng};

pub(crate) const REALM: &str = "simulated";
pub(crate) const SECRET: &str = "shared secret";

/// The wall clock when the virtual clock says 0.
pub(crate) const BEGIN_S: u64 = 1_800_000_000;

/// Behind 1:1 NAT for IPv4, plain for IPv6.
pub(crate) const LOCAL_V4: &str = "10.1.1.1";
pub(crate) const ADVERTISED_V4: &str = "9.9.9.9";
pub(crate) const LOCAL_V6: &str = "2a00:1::9";

/// Somebody who may allocate.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) account: String,
    pub(crate) password: String,
    pub(crate) expires_s: Option<u64>,
}

/// Ports of clients that connect are these and above, those of others below.
pub(crate) const STREAM_PORTS: u16 = 40_000;

/// Everything that is settled before the clock starts.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) workers: u8,
    pub(crate) clients: usize,
    pub(crate) users: Vec<User>,
    pub(crate) peers: Vec<SocketAddr>,
    pub(crate) forbidden: Vec<SocketAddr>,
    pub(crate) weather: Weather,
    pub(crate) ports: (u16, u16),
    /// Ports of the range that other programs use.
    pub(crate) foreign_ports: Vec<u16>,
    pub(crate) has_v6: bool,
    pub(crate) user_quota: u32,
    pub(crate) total_quota: u32,
    pub(crate) permission_quota: u16,
    pub(crate) channel_quota: u16,
    pub(crate) default_lifetime_s: u32,
    pub(crate) max_lifetime_s: u32,
    pub(crate) nonce_lifetime_s: u64,
    pub(crate) on_reallocate: OnReallocate,
    /// Whether workers say which channels may be served without asking.
    pub(crate) forwarding: bool,
    /// How long clients are active.
    pub(crate) active_ms: u64,
    /// Whether the process is shut down when they cease, or outlives them all.
    pub(crate) is_shut_down: bool,
    /// How clients are spread over workers.
    pub(crate) steering: Steering,
    pub(crate) faults: Faults,
    /// Connections that a worker may have.
    pub(crate) streams: u32,
    /// Bytes that may wait for a client that connects.
    pub(crate) queued_bytes: u32,
    /// Whether workers stall, clocks jump and flows are spread anew.
    pub(crate) has_trouble: bool,
    /// Whether clients may have TCP relayed addresses.
    pub(crate) tcp_relay: bool,
    /// Networks of balancers.
    pub(crate) proxies: Vec<IpNet>,
}

impl Scenario {
    pub(crate) fn of(rng: &mut Rng) -> Scenario {
        let workers = rng.within(1..5) as u8;
        let low = rng.within(50_000..50_010) as u16;
        let ports_each = *rng.pick(&[3, 24, 200]);
        let high = low + ports_each * u16::from(workers);
        let foreign = if rng.percent(30) { high - low } else { 0 } / 4;
        let default_lifetime_s = *rng.pick(&[60, 600]);
        Scenario {
            workers,
            clients: rng.within(4..24) as usize,
            users: users(rng),
            peers: [
                "8.8.8.8:1000",
                "8.8.8.8:1001",
                "8.8.4.4:1000",
                "[2a00:2::1]:1000",
                "[2a00:2::2]:7",
            ]
            .map(parse)
            .to_vec(),
            forbidden: ["10.0.0.5:80", "127.0.0.1:53", "[fe80::1]:9", "7.7.7.7:9", "9.9.9.9:3478"]
                .map(parse)
                .to_vec(),
            weather: Weather {
                loss_percent: *rng.pick(&[0, 2, 10, 30]),
                double_percent: *rng.pick(&[0, 2, 20]),
                delay_ms: 1..*rng.pick(&[2, 50, 400]),
            },
            ports: (low, high),
            foreign_ports: (0..foreign)
                .map(|_| rng.within(low.into()..high.into()) as u16)
                .collect(),
            has_v6: rng.percent(80),
            user_quota: *rng.pick(&[3, 6, 1000]),
            total_quota: *rng.pick(&[10, 1000]),
            permission_quota: *rng.pick(&[2, 4, 64]),
            channel_quota: *rng.pick(&[2, 4, 64]),
            default_lifetime_s,
            max_lifetime_s: default_lifetime_s * *rng.pick(&[1, 2, 6]),
            nonce_lifetime_s: *rng.pick(&[20, 300, 3600]),
            on_reallocate: *rng.pick(&[OnReallocate::Refuse, OnReallocate::Replace]),
            active_ms: *rng.pick(&[200_000, 800_000, 2_000_000]),
            is_shut_down: rng.percent(30),
            forwarding: rng.percent(70),
            steering: *rng.pick(&[Steering::Hash, Steering::Hash, Steering::Cpu]),
            faults: *rng.pick(&[
                Faults::default(),
                Faults::default(),
                Faults { refused: 5, no_buffer: 2, broken: 50, unsent: 5 },
            ]),
            streams: *rng.pick(&[2, 8, 1000]),
            queued_bytes: *rng.pick(&[100, 512 * 1_024]),
            has_trouble: rng.percent(60),
            tcp_relay: false,
            proxies: Vec::new(),
        }
    }

    pub(crate) fn plan(&self) -> PortPlan {
        PortPlan::new(self.ports.0, self.ports.1, self.workers)
    }

    pub(crate) fn relay_addresses(&self) -> Vec<RelayAddress> {
        let v4 = RelayAddress { local: ip(LOCAL_V4), advertised: ip(ADVERTISED_V4) };
        let v6 = RelayAddress { local: ip(LOCAL_V6), advertised: ip(LOCAL_V6) };
        if self.has_v6 { vec![v4, v6] } else { vec![v4] }
    }

    /// The rules, as the operator has them by now. Whoever is banned among those with time-limited
    /// names takes all of them along: the secret is taken out.
    pub(crate) fn settings(&self, master: [u8; 32], operated: &Operated) -> Settings {
        let mut credentials = Credentials::new(REALM);
        if !operated.bans_the_secret() {
            credentials = credentials.with_secret(SECRET.as_bytes()).expect("one");
        }
        let is_fixed = |user: &&User| user.expires_s.is_none() && !operated.bans(&user.name);
        for user in self.users.iter().filter(is_fixed) {
            credentials = credentials.with_user(&user.name, &user.password);
        }
        let nonces = Nonces::new(master, self.nonce_lifetime_s);
        let relays = self.relay_addresses().into_iter();
        let own: Vec<_> = relays.flat_map(|r| [r.local, r.advertised].map(IpNet::from)).collect();
        let mut deny = vec!["7.7.7.0/24".parse().expect("a prefix")];
        let allow = if operated.opens_neighbours { &own[..] } else { &[] };
        if operated.denies_a_peer {
            deny.push(IpNet::from(ip(DENIED)));
        }
        let policy = PeerPolicy::new(allow, &deny, &own);
        let authenticator = Authenticator::new(credentials, nonces);
        Settings {
            default_lifetime_s: self.default_lifetime_s,
            max_lifetime_s: self.max_lifetime_s,
            permissions_per_allocation: self.permission_quota,
            channels_per_allocation: self.channel_quota,
            on_reallocate: self.on_reallocate,
            own_sockets: self.listeners(),
            forwarding: self.forwarding,
            tcp_relay: self.tcp_relay,
            ..Settings::new(authenticator, policy)
        }
    }

    /// Whether workers hand each other the packets of their clients.
    pub(crate) fn is_steered(&self) -> bool {
        self.steering == Steering::Cpu
    }

    /// The worker that a hash of an address chooses.
    pub(crate) fn steer(&self, client: SocketAddr) -> u8 {
        let bytes = format!("{client}").into_bytes();
        let hash = bytes.iter().fold(7_u64, |hash, byte| hash * 31 % 1_000_003 + u64::from(*byte));
        (hash % u64::from(self.workers)) as u8
    }

    /// The STUN sockets: two addresses of each family, of which the second is opened and closed,
    /// and clients can connect to the first.
    pub(crate) fn listeners(&self) -> Vec<SocketAddr> {
        let [v4, v6] = ["9.9.9.9:3478", "[2a00:1::9]:3478"].map(parse);
        let second = ["9.9.9.9:5349", "[2a00:1::9]:5349"].map(parse);
        [v4, v6, v4, v6].into_iter().chain(second).collect()
    }

    pub(crate) fn listening_from_the_start(&self) -> usize {
        4
    }

    pub(crate) fn listens_from_the_start(&self) -> Vec<Listen> {
        let listeners = self.listeners();
        let datagrams = listeners[..2].iter().map(|address| Listen::datagrams(*address));
        datagrams.chain(listeners[2..4].iter().map(|address| Listen::streams(*address))).collect()
    }

    /// The place of the STUN socket that a client talks to: one in four has found out the other
    /// one.
    pub(crate) fn listener_index(&self, client: SocketAddr) -> usize {
        let talks_to_second = client.port() % 4 == 3;
        let first = match (client.port() >= STREAM_PORTS, talks_to_second) {
            (true, _) => 2,
            (false, false) => 0,
            (false, true) => 4,
        };
        first + usize::from(client.is_ipv6())
    }

    /// The STUN socket that a client talks to.
    pub(crate) fn listener(&self, client: SocketAddr) -> SocketAddr {
        self.listeners()[self.listener_index(client)]
    }

    /// When clients cease: a while after whoever shuts the process down.
    pub(crate) fn asleep_ms(&self) -> u64 {
        self.active_ms + if self.is_shut_down { 3_000 } else { 0 }
    }

    /// The longest anything lives after the last packet: an allocation, or the guard time of a
    /// channel within it, a reservation, and the second a timer may be late; and connections that
    /// wait for each other's slots.
    pub(crate) fn afterlife_ms(&self) -> u64 {
        u64::from(self.max_lifetime_s.max(self.default_lifetime_s)) * 1000 + 400_000
    }
}

fn users(rng: &mut Rng) -> Vec<User> {
    let fixed = ["ann", "bob", "7:cyd"].map(|name| User {
        name: name.to_owned(),
        account: name.to_owned(),
        password: format!("{name}'s password"),
        expires_s: None,
    });
    let timed = [":dan", ":eve", ":eve", "", ":"].map(|tail| {
        let expires_s = BEGIN_S + rng.within(100..10_000);
        let name = format!("{expires_s}{tail}");
        let password = time_limited_password(SECRET.as_bytes(), name.as_bytes());
        let password = password.as_str().to_owned();
        let account = tail.trim_start_matches(':').to_owned();
        User { name, account, password, expires_s: Some(expires_s) }
    });
    fixed.into_iter().chain(timed).collect()
}

pub(crate) fn parse(address: &str) -> SocketAddr {
    address.parse().expect("an address and a port")
}

pub(crate) fn ip(address: &str) -> IpAddr {
    address.parse().expect("an address")
}
