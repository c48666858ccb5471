//! How many connections one source has, and how fast it opens them.
//!
//! A source is an IPv4 address or an IPv6 /64: what one subscriber has. Behind one address there
//! may be a thousand of them (carrier NAT), so what is bounded tightly is what has not shown
//! credentials.
//!
//! Something is remembered of a source for as long as it has a connection, and for the few seconds
//! after until its rate is forgotten. The kernel has proved its return path, so that nobody can
//! make up sources here.

use std::{
    collections::{HashMap, VecDeque},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::IpNet;

use crate::stream::HangUp;

/// How long a source that opened as many connections at once as it may has to pay for them: four
/// seconds' worth.
const DEBT_US: u64 = 4_000_000;
const DEBT_MS: u64 = DEBT_US / 1_000;

/// What one source may have of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceLimits {
    /// Connections in all.
    pub streams: u32,
    /// Connections that have shown no credentials.
    pub strangers: u32,
    /// New connections a second, after a silence four seconds' worth at once; 0 for no limit.
    pub new_per_s: u32,
}

impl Default for SourceLimits {
    /// A thousand subscribers may share an address; what says nothing is bounded tightly.
    fn default() -> SourceLimits {
        SourceLimits { streams: 1_000, strangers: 32, new_per_s: 50 }
    }
}

impl SourceLimits {
    /// What a new connection costs its source in time.
    fn cost_us(&self) -> u64 {
        1_000_000_u64.checked_div(self.new_per_s.into()).unwrap_or(0)
    }
}

/// Who opens connections: bits of an IPv4 address, or of the first half of an IPv6 one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::worker::stream) enum SourceKey {
    V4(u32),
    V6(u64),
}

impl SourceKey {
    pub(in crate::worker::stream) fn of(ip: IpAddr) -> SourceKey {
        match ip.to_canonical() {
            IpAddr::V4(ip) => SourceKey::V4(ip.to_bits()),
            IpAddr::V6(ip) => SourceKey::V6((ip.to_bits() >> 64) as u64),
        }
    }

    pub(super) fn network(self) -> IpNet {
        let (ip, bits) = match self {
            SourceKey::V4(ip) => (IpAddr::from(Ipv4Addr::from_bits(ip)), 32),
            SourceKey::V6(half) => (Ipv6Addr::from_bits(u128::from(half) << 64).into(), 64),
        };
        IpNet::new_assert(ip, bits)
    }
}

/// What is known of one source.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    streams: u32,
    strangers: u32,
    /// When it will have paid for all it opened.
    paid_us: u64,
}

/// All sources that have connections, or had some a moment ago.
#[derive(Debug, Default)]
pub(in crate::worker::stream) struct Sources {
    known: HashMap<SourceKey, Known, foldhash::quality::RandomState>,
    /// Sources whose last connection has ended, and when they may be forgotten.
    leaving: VecDeque<(u64, SourceKey)>,
}

impl Sources {
    /// Whether a source has more connections without credentials than it may have.
    pub(in crate::worker::stream) fn has_too_many_strangers(
        &self,
        source: SourceKey,
        limits: SourceLimits,
    ) -> bool {
        let strangers = self.known.get(&source).map_or(0, |known| known.strangers);
        strangers > limits.strangers
    }

    /// Notes one more connection, which has shown no credentials; the source may have so many.
    ///
    /// # Errors
    /// Why it is one too many.
    pub(in crate::worker::stream) fn admit(
        &mut self,
        now_ms: u64,
        source: SourceKey,
        limits: SourceLimits,
    ) -> Result<(), HangUp> {
        self.forget(now_ms);
        let (known, now_us) = (self.known.entry(source).or_default(), now_ms * 1_000);
        let paid_us = known.paid_us.max(now_us) + limits.cost_us();
        if paid_us > now_us + DEBT_US {
            return Err(HangUp::SourceRate);
        }
        if known.streams >= limits.streams {
            return Err(HangUp::SourceStreams);
        }
        known.paid_us = paid_us;
        known.streams += 1;
        known.strangers += 1;
        Ok(())
    }

    /// Notes a connection that another worker has admitted and passed on. It is not judged again,
    /// and costs its source nothing more.
    pub(in crate::worker::stream) fn take_over(&mut self, source: SourceKey) {
        let known = self.known.entry(source).or_default();
        known.streams += 1;
        known.strangers += 1;
    }

    /// Notes that a connection is a stranger's no more.
    pub(in crate::worker::stream) fn authenticated(&mut self, source: SourceKey) {
        if let Some(known) = self.known.get_mut(&source) {
            known.strangers = known.strangers.saturating_sub(1);
        }
    }

    /// Notes that a connection has ended.
    pub(in crate::worker::stream) fn leave(
        &mut self,
        now_ms: u64,
        source: SourceKey,
        was_stranger: bool,
    ) {
        let Some(known) = self.known.get_mut(&source) else { return };
        known.streams = known.streams.saturating_sub(1);
        if was_stranger {
            known.strangers = known.strangers.saturating_sub(1);
        }
        if known.streams == 0 {
            self.leaving.push_back((now_ms + DEBT_MS, source));
        }
    }

    fn forget(&mut self, now_ms: u64) {
        while let Some((_, source)) = self.leaving.pop_front_if(|(due_ms, _)| *due_ms <= now_ms) {
            let has_gone = |known: &Known| known.streams == 0 && known.paid_us <= now_ms * 1_000;
            if self.known.get(&source).is_some_and(has_gone) {
                self.known.remove(&source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: SourceLimits = SourceLimits { streams: 1_000, strangers: 32, new_per_s: 50 };

    fn source(text: &str) -> SourceKey {
        SourceKey::of(text.parse().unwrap())
    }

    #[test]
    fn an_ipv6_source_is_a_64_and_a_mapped_one_is_ipv4() {
        assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:2"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
    }

    #[test]
    fn a_source_has_too_many_strangers_until_one_logs_in_or_leaves() {
        let (mut sources, at) = (Sources::default(), source("192.0.2.1"));
        for _ in 0..=LIMITS.strangers {
            assert!(!sources.has_too_many_strangers(at, LIMITS));
            sources.admit(0, at, LIMITS).unwrap();
        }
        assert!(sources.has_too_many_strangers(at, LIMITS));
        assert!(!sources.has_too_many_strangers(source("192.0.2.2"), LIMITS), "another source");
        sources.authenticated(at);
        assert!(!sources.has_too_many_strangers(at, LIMITS), "one has logged in");
        sources.admit(0, at, LIMITS).unwrap();
        sources.leave(0, at, false);
        assert!(sources.has_too_many_strangers(at, LIMITS), "who left was no stranger");
        sources.leave(0, at, true);
        assert!(!sources.has_too_many_strangers(at, LIMITS), "a stranger left");
    }

    #[test]
    fn a_source_has_so_many_connections_in_all() {
        let (mut sources, at) = (Sources::default(), source("192.0.2.1"));
        for n in 0..u64::from(LIMITS.streams) {
            sources.admit(n * 1_000, at, LIMITS).unwrap();
            sources.authenticated(at);
        }
        assert_eq!(sources.admit(2_000_000, at, LIMITS), Err(HangUp::SourceStreams));
    }

    #[test]
    fn a_source_opens_a_burst_and_then_fifty_a_second() {
        let (mut sources, at) = (Sources::default(), source("192.0.2.1"));
        let mut open = |now_ms| {
            let admitted = sources.admit(now_ms, at, LIMITS);
            if admitted.is_ok() {
                sources.leave(now_ms, at, true);
            }
            admitted
        };
        (0..200).for_each(|_| open(10_000).unwrap());
        assert_eq!(open(10_000), Err(HangUp::SourceRate));
        assert_eq!(open(10_019), Err(HangUp::SourceRate));
        assert_eq!(open(10_020), Ok(()));
        assert_eq!((0..100).filter(|_| open(11_020).is_ok()).count(), 50);
    }

    #[test]
    fn a_rate_of_none_is_no_limit() {
        let (mut sources, at) = (Sources::default(), source("192.0.2.1"));
        let limits = SourceLimits { new_per_s: 0, ..LIMITS };
        (0..LIMITS.streams).for_each(|_| sources.admit(0, at, limits).unwrap());
    }

    #[test]
    fn a_source_that_has_gone_is_forgotten() {
        let mut sources = Sources::default();
        for n in 0..1_000 {
            let at = SourceKey::V4(n);
            sources.admit(0, at, LIMITS).unwrap();
            sources.leave(0, at, true);
        }
        sources.admit(DEBT_MS, source("192.0.2.1"), LIMITS).unwrap();
        assert_eq!(sources.known.len(), 1);
        assert!(sources.leaving.is_empty());
    }

    #[test]
    fn a_connection_that_is_taken_over_is_counted_and_never_judged() {
        let (mut sources, at) = (Sources::default(), source("192.0.2.1"));
        while sources.admit(0, at, LIMITS).is_ok() {}
        let streams = sources.known[&at].streams;
        sources.take_over(at);
        assert_eq!(sources.known[&at].streams, streams + 1);
        assert_eq!(sources.known[&at].paid_us, DEBT_US, "it has been paid for");
        sources.leave(0, at, true);
        assert_eq!(sources.known[&at].streams, streams);
    }
}
