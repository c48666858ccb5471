//! From bytes to frames: whole ones in a row that have the same size are one train.

use std::ops::Range;

use super::{
    hang_up::HangUp,
    intake::{Arrival, Span},
};
use crate::wire::{Delimited, delimit};

/// A Binding request's type (RFC 8489 §5).
const BINDING: [u8; 2] = [0x00, 0x01];

/// A ConnectionBind request's type (RFC 6062 §6.1).
const CONNECTION_BIND: [u8; 2] = [0x00, 0x0B];

/// Bytes to walk over.
pub(super) struct Walk<'a> {
    /// The buffer.
    pub bytes: &'a [u8],
    /// Where in it to begin.
    pub begin: usize,
    /// What a range of it is.
    pub place: fn(Range<usize>) -> Span,
    /// The longest frame that is taken.
    pub most_bytes: usize,
}

/// How far a walk came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Walked {
    /// Where in the buffer what is left begins.
    pub end: usize,
    /// The last frame was a ConnectionBind request: what is left may be no frame.
    pub ends_with_bind: bool,
    /// There was a Binding request.
    pub has_binding: bool,
}

impl Walk<'_> {
    /// Hands on the frames up to the first that is not whole. Frames in front of a broken one are
    /// handed on all the same.
    pub(super) fn frames(self, arrivals: &mut Vec<Arrival>) -> Result<Walked, HangUp> {
        let mut walked = Walked { end: self.begin, ends_with_bind: false, has_binding: false };
        let mut train = Train { begin: self.begin, frame_bytes: 0 };
        let outcome = loop {
            let at = walked.end;
            let rest = &self.bytes[at..];
            let frame_bytes = match delimit(rest) {
                Delimited::Frame { padded, .. } if padded <= self.most_bytes => padded,
                Delimited::Short { wants } if wants <= self.most_bytes => break Ok(()),
                Delimited::Frame { .. } | Delimited::Short { .. } => {
                    break Err(HangUp::FrameTooLong);
                }
                Delimited::Broken => break Err(HangUp::BadFrame),
            };
            walked.end = at + frame_bytes;
            if rest.starts_with(&CONNECTION_BIND) {
                train.depart(at, self.place, arrivals);
                arrivals.push(Arrival::Bind((self.place)(at..walked.end)));
                walked.ends_with_bind = true;
                return Ok(walked);
            }
            walked.has_binding |= rest.starts_with(&BINDING);
            if frame_bytes != train.frame_bytes {
                train.depart(at, self.place, arrivals);
                train = Train { begin: at, frame_bytes };
            }
        };
        train.depart(walked.end, self.place, arrivals);
        outcome.map(|()| walked)
    }
}

/// Frames of one size.
struct Train {
    begin: usize,
    frame_bytes: usize,
}

impl Train {
    fn depart(&self, end: usize, place: fn(Range<usize>) -> Span, arrivals: &mut Vec<Arrival>) {
        if self.begin < end {
            let place = place(self.begin..end);
            arrivals.push(Arrival::Frames { place, frame_bytes: self.frame_bytes });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stun(kind: [u8; 2]) -> Vec<u8> {
        [&kind[..], &[0, 0, 0x21, 0x12, 0xA4, 0x42], &[7; 12]].concat()
    }

    fn walk(bytes: &[u8]) -> (Result<Walked, HangUp>, Vec<Arrival>) {
        let mut arrivals = Vec::new();
        let walk = Walk { bytes, begin: 0, place: Span::Here, most_bytes: 100 };
        (walk.frames(&mut arrivals), arrivals)
    }

    fn train(range: Range<usize>, frame_bytes: usize) -> Arrival {
        Arrival::Frames { place: Span::Here(range), frame_bytes }
    }

    #[test]
    fn frames_of_one_size_are_one_train() {
        let frame = |channel: u8| vec![0x40, channel, 0, 2, 1, 2, 0, 0];
        let bytes = [frame(1), frame(2), stun(BINDING), frame(1), vec![0x40, 0, 0]].concat();
        let (walked, arrivals) = walk(&bytes);
        let walked = walked.unwrap();
        assert_eq!(arrivals, [train(0..16, 8), train(16..36, 20), train(36..44, 8)]);
        assert_eq!(walked, Walked { end: 44, ends_with_bind: false, has_binding: true });
    }

    #[test]
    fn the_walk_ends_behind_a_connection_bind() {
        let bytes = [stun([0, 3]), stun(CONNECTION_BIND), b"anything".to_vec()].concat();
        let (walked, arrivals) = walk(&bytes);
        assert_eq!(arrivals, [train(0..20, 20), Arrival::Bind(Span::Here(20..40))]);
        let walked = walked.unwrap();
        assert!(walked.end == 40 && walked.ends_with_bind && !walked.has_binding);
    }

    #[test]
    fn frames_in_front_of_a_broken_one_are_handed_on() {
        let (walked, arrivals) = walk(&[&[0x40, 0, 0, 0][..], &[0xFF]].concat());
        assert_eq!((walked, arrivals), (Err(HangUp::BadFrame), vec![train(0..4, 4)]));
    }

    #[test]
    fn a_frame_over_the_limit_is_refused_by_its_header() {
        for bytes in [&[0x40, 0, 0, 97][..], &[&[0x40, 0, 0, 97][..], &[0; 100]].concat()] {
            assert_eq!(walk(bytes).0, Err(HangUp::FrameTooLong));
        }
        assert!(walk(&[0x40, 0, 0, 96]).0.is_ok());
    }
}
