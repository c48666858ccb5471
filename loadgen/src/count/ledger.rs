//! What arrived, counted: every payload checked, every flow tallied.

use std::sync::Arc;

use hdrhistogram::Histogram;

use crate::{
    count::{
        latency,
        recent::Recent,
        slices::Slices,
        tally::{Arrival, Tally, window_for},
    },
    offer::{
        packet::Packet,
        spec::{End, Route, WAYS},
        window::Window,
    },
};

/// What arrived one way, of what was due within the measurement unless said otherwise.
#[derive(Debug)]
pub(crate) struct Way {
    /// Distinct packets, warm-up included.
    pub(crate) all: u64,
    pub(crate) all_bytes: u64,
    /// Distinct packets.
    pub(crate) packets: u64,
    pub(crate) payload_bytes: u64,
    pub(crate) reordered: u64,
    pub(crate) duplicates: u64,
    /// Too old to tell whether they came before.
    pub(crate) ancient: u64,
    /// Payloads that are not what was sent, warm-up included.
    pub(crate) corrupt: u64,
    /// Intact, but delivered to a socket of someone else; warm-up included.
    pub(crate) misrouted: u64,
    /// From due to received.
    pub(crate) latency: Histogram<u64>,
}

impl Way {
    pub(crate) fn new() -> Way {
        Way {
            all: 0,
            all_bytes: 0,
            packets: 0,
            payload_bytes: 0,
            reordered: 0,
            duplicates: 0,
            ancient: 0,
            corrupt: 0,
            misrouted: 0,
            latency: latency::empty(),
        }
    }

    pub(crate) fn add(&mut self, other: &Way) {
        self.all += other.all;
        self.all_bytes += other.all_bytes;
        self.packets += other.packets;
        self.payload_bytes += other.payload_bytes;
        self.reordered += other.reordered;
        self.duplicates += other.duplicates;
        self.ancient += other.ancient;
        self.corrupt += other.corrupt;
        self.misrouted += other.misrouted;
        latency::add(&mut self.latency, &other.latency);
    }

    fn count(&mut self, packet: &Packet, arrival: Arrival, measured: bool, latency_ns: u64) {
        let fresh = arrival.is_fresh();
        self.all += u64::from(fresh);
        self.all_bytes += u64::from(fresh) * u64::from(packet.payload_bytes);
        if !measured {
            return;
        }
        match arrival {
            Arrival::InOrder => {}
            Arrival::Reordered => self.reordered += 1,
            Arrival::Duplicate => self.duplicates += 1,
            Arrival::Ancient => self.ancient += 1,
        }
        if fresh {
            self.packets += 1;
            self.payload_bytes += u64::from(packet.payload_bytes);
            self.latency.saturating_record(latency_ns);
        }
    }
}

/// Everything the receiving side counts in one measurement.
pub(crate) struct Ledger {
    pub(crate) route: Route,
    pub(crate) ways: [Way; WAYS],
    /// When the last packet of this measurement arrived.
    pub(crate) last_ns: u64,
    /// Distinct packets of all ways, by when they were due.
    pub(crate) slices: Slices,
    window: Window,
    /// Latencies as they come, for whoever watches.
    recent: Arc<Recent>,
    /// The id of the first flow: those of other threads do not belong here.
    first_flow: u32,
    /// Clients that read slowly: the first.
    slow: usize,
    tallies: Vec<Tally>,
}

impl Ledger {
    pub(crate) fn new(route: Route, first_flow: u32, slow: usize) -> Ledger {
        Ledger {
            route,
            ways: std::array::from_fn(|_| Way::new()),
            last_ns: 0,
            slices: Slices::default(),
            window: Window::default(),
            recent: Arc::default(),
            first_flow,
            slow,
            tallies: Vec::new(),
        }
    }

    /// Forgets everything and takes up the next measurement.
    pub(crate) fn begin(&mut self, window: Window, clients: usize, recent: Arc<Recent>) {
        let flows = self.route.flows(clients);
        self.tallies.truncate(flows);
        self.tallies.iter_mut().for_each(Tally::reset);
        self.tallies.resize_with(flows, || Tally::new(window_for(flows)));
        self.ways = std::array::from_fn(|_| Way::new());
        self.slices = Slices::new(window);
        self.window = window;
        self.recent = recent;
        self.last_ns = window.start_ns;
    }

    /// Which measurement this is.
    pub(crate) fn run(&self) -> u16 {
        self.window.run
    }

    /// Counts what should not have come at all.
    pub(crate) fn noise(&mut self, at: End) {
        self.way_to(at).corrupt += 1;
    }

    /// Counts a payload that arrived at one end.
    pub(crate) fn payload(&mut self, payload: &[u8], at: End, now_ns: u64) {
        match Packet::decode(payload) {
            Ok(packet) => self.packet(&packet, at, now_ns),
            Err(_) => self.way_to(at).corrupt += 1,
        }
    }

    pub(crate) fn packet(&mut self, packet: &Packet, at: End, now_ns: u64) {
        if packet.run != self.window.run || packet.due_ns < self.window.start_ns {
            return;
        }
        let flow = packet.flow.wrapping_sub(self.first_flow) as usize;
        let Some(tally) = self.tallies.get_mut(flow).filter(|_| self.route.receiver(flow) == at)
        else {
            self.way_to(at).misrouted += 1;
            return;
        };
        let arrival = tally.note(packet.sequence);
        let latency_ns = now_ns.saturating_sub(packet.due_ns);
        if arrival.is_fresh() {
            self.recent.note(latency_ns);
            self.slices.add(self.slices.place(packet.due_ns), 1);
        }
        let measured = packet.due_ns >= self.window.from_ns;
        let way = self.route.way(flow, self.slow);
        self.ways[way].count(packet, arrival, measured, latency_ns);
        self.last_ns = now_ns;
    }

    /// The direction of what arrives at one end.
    fn way_to(&mut self, at: End) -> &mut Way {
        let way = match (self.route, at) {
            (Route::Pair, End::Client(client)) => (client + 1) % 2,
            (Route::Direct | Route::Relay, End::Client(_)) => 1,
            (Route::Binding, End::Client(_)) | (_, End::Peer) => 0,
        };
        &mut self.ways[way]
    }
}
