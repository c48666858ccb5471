//! What is on its way, in the order of its arrival.

use std::{cmp::Reverse, collections::BinaryHeap, ops::Range};

use super::rng::Rng;

/// How the network treats a packet.
#[derive(Debug, Clone)]
pub(crate) struct Weather {
    pub(crate) loss_percent: u64,
    pub(crate) double_percent: u64,
    /// Two packets with different delays overtake each other.
    pub(crate) delay_ms: Range<u64>,
}

struct Item<T> {
    at_ms: u64,
    order: u64,
    what: T,
}

impl<T> PartialEq for Item<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.at_ms, self.order) == (other.at_ms, other.order)
    }
}

impl<T> Eq for Item<T> {}

impl<T> PartialOrd for Item<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Item<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at_ms, self.order).cmp(&(other.at_ms, other.order))
    }
}

/// Everything that will happen.
pub(crate) struct Network<T> {
    weather: Weather,
    queue: BinaryHeap<Reverse<Item<T>>>,
    order: u64,
}

impl<T: Clone> Network<T> {
    pub(crate) fn new(weather: Weather) -> Network<T> {
        Network { weather, queue: BinaryHeap::new(), order: 0 }
    }

    /// Sends a packet: it arrives never, once or twice.
    pub(crate) fn send(&mut self, now_ms: u64, rng: &mut Rng, packet: T) {
        if rng.percent(self.weather.loss_percent) {
            return;
        }
        if rng.percent(self.weather.double_percent) {
            let delay_ms = rng.within(self.weather.delay_ms.clone());
            self.schedule(now_ms + delay_ms, packet.clone());
        }
        let delay_ms = rng.within(self.weather.delay_ms.clone());
        self.schedule(now_ms + delay_ms, packet);
    }

    /// Lets something happen for certain.
    pub(crate) fn schedule(&mut self, at_ms: u64, what: T) {
        self.order += 1;
        self.queue.push(Reverse(Item { at_ms, order: self.order, what }));
    }

    /// When the next thing happens.
    pub(crate) fn next_ms(&self) -> Option<u64> {
        self.queue.peek().map(|Reverse(item)| item.at_ms)
    }

    pub(crate) fn next(&mut self) -> Option<T> {
        self.queue.pop().map(|Reverse(item)| item.what)
    }
}
