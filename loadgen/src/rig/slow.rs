//! Clients that read slowly: so many bytes a second, whatever is there.

use std::io;

use crate::{
    clock::MILLI_NS,
    stream::{Connection, Frames},
};

/// How often one reads.
const EVERY_NS: u64 = 50 * MILLI_NS;

/// The first so many clients of a thread.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Slow {
    pub(crate) clients: usize,
    pub(crate) bytes_per_s: f64,
}

/// When they read next.
#[derive(Debug)]
pub(crate) struct SlowReading {
    pub(crate) slow: Slow,
    next_ns: u64,
    last_ns: u64,
    /// What each may read now; fractions of a byte are kept for the next time.
    bytes: f64,
}

impl SlowReading {
    pub(crate) fn new(slow: Slow) -> SlowReading {
        SlowReading { slow, next_ns: 0, last_ns: 0, bytes: 0.0 }
    }

    /// True when they may read again.
    pub(crate) fn is_due(&mut self, now_ns: u64) -> bool {
        if self.slow.clients == 0 || now_ns < self.next_ns {
            return false;
        }
        // Nobody reads more than a second's worth at once because nobody looked.
        let passed_s = (now_ns - self.last_ns) as f64 / 1e9;
        let bytes = self.bytes.fract() + passed_s.min(1.0) * self.slow.bytes_per_s;
        (self.bytes, self.last_ns, self.next_ns) = (bytes, now_ns, now_ns + EVERY_NS);
        true
    }

    /// Lets one read what it may; `each` is called with what every receive brought.
    pub(crate) fn read(
        &self,
        connection: &Connection,
        frames: &mut Frames,
        each: &mut dyn FnMut(&Frames),
    ) -> io::Result<()> {
        let mut left = self.bytes as usize;
        while left > 0 {
            match connection.receive_some(left, frames) {
                Ok(bytes) => left -= bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
            each(frames);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SECOND_NS;

    #[test]
    fn a_second_brings_what_was_said() {
        let mut reading = SlowReading::new(Slow { clients: 1, bytes_per_s: 12_507.0 });
        let mut bytes = 0;
        for now_ns in (SECOND_NS..=3 * SECOND_NS).step_by(7_000_000) {
            if reading.is_due(now_ns) {
                bytes += reading.bytes as usize;
            }
        }
        // The first time it reads a second's worth.
        assert!((36_000..=37_521).contains(&bytes), "{bytes}");
    }
}
