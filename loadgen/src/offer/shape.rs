//! What traffic looks like: how large, how often, how many at once.

use serde::{Deserialize, Serialize};

use crate::clock::{MILLI_NS, SECOND_NS};

/// A kind of traffic by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Shape {
    /// 50 packets/s of 160 B on each allocation
    Voice,
    /// 30 frames/s of ten 1,200 B packets, the last smaller; every 60th frame is four times as long
    Video,
    /// 1,200 B packets in bursts of 32, as fast as it goes or at --rate
    Bulk,
    /// Voice and video, every other allocation
    Mixed,
    /// --size, --burst and --rate
    Custom,
    /// Allocate, permit, bind, refresh, close: --rate of these a second
    Churn,
    /// Connections that are made, secured and closed: --rate of these a second
    Handshakes,
    /// STUN Binding requests
    Binding,
}

/// Frames that are longer than the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keyframes {
    /// One frame in so many.
    pub(crate) every: u64,
    /// So many times as long.
    pub(crate) times: u32,
}

/// The traffic of one flow: bursts at equal distances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stream {
    /// Between the begin of one burst and the next; 0: as fast as it goes.
    pub(crate) interval_ns: u64,
    pub(crate) packets: u32,
    pub(crate) payload_bytes: u16,
    /// Of the last packet of a burst.
    pub(crate) last_bytes: u16,
    pub(crate) keyframes: Option<Keyframes>,
}

/// What the options may change about a shape.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Changes {
    pub(crate) payload_bytes: Option<u16>,
    pub(crate) burst: Option<u32>,
}

const VOICE: Stream = Stream {
    interval_ns: 20 * MILLI_NS,
    packets: 1,
    payload_bytes: 160,
    last_bytes: 160,
    keyframes: None,
};

const VIDEO: Stream = Stream {
    interval_ns: SECOND_NS / 30,
    packets: 10,
    payload_bytes: 1_200,
    last_bytes: 500,
    keyframes: Some(Keyframes { every: 60, times: 4 }),
};

const BULK: Stream = Stream {
    interval_ns: 0,
    packets: 32,
    payload_bytes: 1_200,
    last_bytes: 1_200,
    keyframes: None,
};

const BINDING: Stream =
    Stream { interval_ns: 0, packets: 1, payload_bytes: 0, last_bytes: 0, keyframes: None };

impl Shape {
    /// False for what opens and closes as it goes.
    pub(crate) fn has_packets(self) -> bool {
        match self {
            Shape::Churn | Shape::Handshakes => false,
            Shape::Voice
            | Shape::Video
            | Shape::Bulk
            | Shape::Mixed
            | Shape::Custom
            | Shape::Binding => true,
        }
    }

    /// The streams of a shape; flow `n` carries the `n % len`-th.
    pub(crate) fn streams(self, changes: Changes) -> Vec<Stream> {
        let streams = match self {
            Shape::Voice => vec![VOICE],
            Shape::Video => vec![VIDEO],
            Shape::Bulk => vec![BULK],
            Shape::Mixed => vec![VOICE, VIDEO],
            Shape::Custom => vec![Stream { packets: 1, ..BULK }],
            Shape::Churn | Shape::Handshakes => Vec::new(),
            Shape::Binding => vec![BINDING],
        };
        streams.into_iter().map(|stream| stream.changed(changes)).collect()
    }

    /// Allocations when none are asked for: as many as show the shape's character.
    pub(crate) fn usual_allocations(self) -> usize {
        match self {
            Shape::Voice => 1_000,
            Shape::Video | Shape::Mixed => 200,
            Shape::Bulk | Shape::Custom => 16,
            Shape::Churn | Shape::Handshakes | Shape::Binding => 64,
        }
    }
}

impl Stream {
    fn changed(self, changes: Changes) -> Stream {
        let mut stream = self;
        if let Some(bytes) = changes.payload_bytes {
            stream.payload_bytes = bytes;
            stream.last_bytes = bytes;
        }
        if let Some(packets) = changes.burst {
            stream.packets = packets;
        }
        stream
    }

    /// Packets of the `frame`-th burst.
    pub(crate) fn packets_of(&self, frame: u64) -> u32 {
        match self.keyframes {
            Some(key) if frame.is_multiple_of(key.every) => self.packets * key.times,
            Some(_) | None => self.packets,
        }
    }

    /// Packets of a burst in the long run.
    pub(crate) fn mean_packets(&self) -> f64 {
        let extra = self.keyframes.map_or(0.0, |key| f64::from(key.times - 1) / key.every as f64);
        f64::from(self.packets) * (1.0 + extra)
    }

    /// Packets a second in the long run; `None` as fast as it goes.
    pub(crate) fn packets_per_second(&self) -> Option<f64> {
        let paced = self.interval_ns > 0;
        paced.then(|| self.mean_packets() * SECOND_NS as f64 / self.interval_ns as f64)
    }
}

/// Sets the pace of the streams so that `flows` flows, dealt out evenly, offer `rate` packets a
/// second together. Unpaced streams share the rate evenly, paced ones keep their proportions.
pub(crate) fn pace(streams: &mut [Stream], flows: usize, rate: f64) {
    let each = streams.len().max(1) as f64;
    let natural: f64 = streams.iter().filter_map(Stream::packets_per_second).sum();
    let per_flow = rate / flows.max(1) as f64;
    for stream in streams {
        let wanted = match stream.packets_per_second() {
            Some(own) => own / natural * per_flow * each,
            None => per_flow,
        };
        stream.interval_ns = (stream.mean_packets() / wanted * SECOND_NS as f64).max(1.0) as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate_of(streams: &[Stream], flows: usize) -> f64 {
        let each = flows as f64 / streams.len() as f64;
        streams.iter().filter_map(Stream::packets_per_second).map(|rate| rate * each).sum()
    }

    #[test]
    fn voice_is_fifty_a_second() {
        let streams = Shape::Voice.streams(Changes::default());
        assert!((rate_of(&streams, 1_000) - 50_000.0).abs() < 0.01);
    }

    #[test]
    fn a_rate_is_what_all_flows_offer_together() {
        for shape in [Shape::Voice, Shape::Video, Shape::Bulk, Shape::Mixed, Shape::Binding] {
            let mut streams = shape.streams(Changes::default());
            pace(&mut streams, 200, 80_000.0);
            assert!((rate_of(&streams, 200) - 80_000.0).abs() < 80.0, "{shape:?}");
        }
    }

    #[test]
    fn keyframes_are_longer_now_and_then() {
        let video = VIDEO;
        assert_eq!((video.packets_of(0), video.packets_of(1), video.packets_of(60)), (40, 10, 40));
        let frames = 6_000;
        let packets: u32 = (0..frames).map(|frame| video.packets_of(frame)).sum();
        assert!((video.mean_packets() * frames as f64 - f64::from(packets)).abs() < 1.0);
    }

    #[test]
    fn size_and_burst_can_be_changed() {
        let changes = Changes { payload_bytes: Some(200), burst: Some(3) };
        let [stream] = Shape::Video.streams(changes)[..] else { panic!("one stream") };
        assert_eq!((stream.payload_bytes, stream.last_bytes, stream.packets), (200, 200, 3));
    }
}
