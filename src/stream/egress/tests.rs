//! What waits, and in which order it leaves.

use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};

use super::*;

const LIMITS: StreamLimits = StreamLimits { delay_ms: 250, queued_bytes: 1_000 };

fn queued(frames: &[(u64, FrameKind, &[u8])]) -> Egress {
    let mut egress = Egress::default();
    for (now_ms, kind, frame) in frames {
        egress
            .queue(*now_ms, *kind, [frame, &[], &[]], LIMITS, &mut QueueMemory::default())
            .unwrap();
    }
    egress
}

/// Everything that waits, in writes of `most` bytes.
fn written(egress: &mut Egress, most: usize) -> Vec<Vec<u8>> {
    let mut writes = Vec::new();
    while let Some(chunk) = egress.next(most, true) {
        let bytes = chunk.bytes.to_vec();
        egress.consume(bytes.len());
        writes.push(bytes);
    }
    writes
}

#[test]
fn media_is_dropped_by_age_and_answers_are_not() {
    let mut egress = queued(&[
        (0, FrameKind::Media, b"old!"),
        (0, FrameKind::Answer, b"answ"),
        (49, FrameKind::Media, b"late"),
        (50, FrameKind::Media, b"good"),
    ]);
    assert_eq!(egress.drop_late(300, LIMITS.delay_ms), 2);
    assert_eq!(written(&mut egress, 4), [b"answ", b"good"]);
    assert_eq!(egress.drop_late(9_999, LIMITS.delay_ms), 0);
}

#[test]
fn what_waits_for_a_client_that_reads_nothing_is_never_older_than_the_delay() {
    let mut egress = Egress::default();
    for now_ms in 0..10_000 {
        let limits = StreamLimits { queued_bytes: 4_000, ..LIMITS };
        let media = egress.queue(
            now_ms,
            FrameKind::Media,
            [&[1; 4], &[], &[]],
            limits,
            &mut QueueMemory::default(),
        );
        let oldest_ms = egress.media.frames.front().unwrap().queued_ms;
        assert!(now_ms - oldest_ms <= LIMITS.delay_ms.into());
        let late = u32::from(now_ms > LIMITS.delay_ms.into());
        assert_eq!(media.map(|queued| (queued.dropped_late, queued.dropped_full)), Ok((late, 0)));
    }
}

#[test]
fn over_the_bytes_the_oldest_media_goes() {
    let mut egress = queued(&[(0, FrameKind::Answer, &[1; 400]), (0, FrameKind::Media, &[2; 400])]);
    let mut queue = |kind, frame: &[u8]| {
        egress.queue(0, kind, [frame, &[], &[]], LIMITS, &mut QueueMemory::default()).unwrap()
    };
    assert_eq!(queue(FrameKind::Media, &[3; 200]).dropped_full, 0);
    assert_eq!(queue(FrameKind::Media, &[4; 4]).dropped_full, 1);
    assert_eq!(queue(FrameKind::Answer, &[5; 700]).dropped_full, 2);
    assert_eq!(egress.waiting_bytes(), 1_100, "answers alone may be more");
}

#[test]
fn more_answers_than_may_wait_behind_a_write_close_the_stream() {
    let mut egress = queued(&[(0, FrameKind::Answer, &[1; 4][..]); 3 * MOST_ANSWERS]);
    let answer = |egress: &mut Egress| {
        egress.queue(0, FrameKind::Answer, [&[2; 4], &[], &[]], LIMITS, &mut QueueMemory::default())
    };
    egress.begin_write();
    assert!((0..MOST_ANSWERS).all(|_| answer(&mut egress).is_ok()));
    assert_eq!(answer(&mut egress), Err(HangUp::TooManyAnswers));
    egress.end_write();
    assert!(answer(&mut egress).is_ok());
}

#[test]
fn more_bytes_of_answers_than_may_wait_close_the_stream() {
    let mut egress = queued(&[(0, FrameKind::Answer, &[1; MOST_ANSWER_BYTES])]);
    let answer = |egress: &mut Egress| {
        egress.queue(0, FrameKind::Answer, [&[2; 4], &[], &[]], LIMITS, &mut QueueMemory::default())
    };
    assert!(answer(&mut egress).is_ok());
    assert_eq!(answer(&mut egress), Err(HangUp::TooManyAnswers));
    egress.consume(MOST_ANSWER_BYTES);
    assert!(answer(&mut egress).is_ok());
}

// RFC 8656 §12.5: ChannelData over a stream is padded to a multiple of four bytes.
#[test]
fn parts_are_one_frame_and_padded() {
    let mut egress = Egress::default();
    egress
        .queue(0, FrameKind::Media, [b"a", b"bc", b"de"], LIMITS, &mut QueueMemory::default())
        .unwrap();
    assert_eq!(written(&mut egress, 99), [b"abcde\0\0\0"]);
}

#[test]
fn a_frame_that_has_begun_is_neither_dropped_nor_interrupted() {
    let mut egress = queued(&[
        (0, FrameKind::Media, &[1; 100]),
        (0, FrameKind::Media, &[2; 100]),
        (0, FrameKind::Media, &[3; 100]),
    ]);
    assert!(egress.next(64, false).is_none(), "it may not begin");
    assert_eq!(egress.next(64, true).unwrap().bytes, [1; 64]);
    egress.consume(64);
    egress
        .queue(500, FrameKind::Answer, [&[9; 8], &[], &[]], LIMITS, &mut QueueMemory::default())
        .unwrap();
    assert_eq!(egress.drop_late(500, LIMITS.delay_ms), 2);
    assert_eq!(written(&mut egress, 64), [vec![1; 36], vec![9; 8]]);
}

#[test]
fn an_answer_that_has_begun_goes_on_before_anything_else() {
    let mut egress = queued(&[
        (0, FrameKind::Media, &[1; 8]),
        (0, FrameKind::Answer, &[2; 100]),
        (0, FrameKind::Answer, &[3; 8]),
    ]);
    let writes = written(&mut egress, 64);
    assert_eq!(writes, [vec![2; 64], vec![2; 36], vec![3; 8], vec![1; 8]]);
}

#[test]
fn the_memory_of_an_empty_queue_is_another_s() {
    let mut memory = QueueMemory::default();
    let mut egress = queued(&[(0, FrameKind::Answer, &[1; 100]), (0, FrameKind::Media, &[2; 100])]);
    egress.give_back(&mut memory);
    assert_eq!(memory.idle.len(), 0, "something waits");
    written(&mut egress, 70);
    egress.give_back(&mut memory);
    assert_eq!((egress.buffer_bytes(), memory.idle.len()), (0, 2));
    let mut other = Egress::default();
    other.queue(0, FrameKind::Media, [&[3; 100], &[], &[]], LIMITS, &mut memory).unwrap();
    assert_eq!(memory.idle.len(), 1);
    assert_eq!(written(&mut other, 200), [[3; 100]]);
    other.give_back(&mut memory);
    let idle: usize = memory.idle.iter().map(Frames::memory_bytes).sum();
    assert_eq!(memory.idle_bytes, idle);
}

#[test]
fn what_is_dropped_leaves_no_memory_behind() {
    let mut egress = queued(&[(0, FrameKind::Media, &[1; 100]), (0, FrameKind::Media, &[2; 100])]);
    assert_eq!(egress.shed(0), 2);
    assert_eq!(egress.buffer_bytes(), 0);
}

#[test]
fn so_much_idle_memory_is_kept() {
    let mut memory = QueueMemory::default();
    let mut take_back = |bytes: usize| {
        memory.take_back(&mut Frames { bytes: Vec::with_capacity(bytes), ..Frames::default() });
        memory.idle_bytes
    };
    assert_eq!(take_back(MOST_IDLE_QUEUE_BYTES + 1), 0, "of a queue that was very long");
    let fit = MOST_IDLE_BYTES / MOST_IDLE_QUEUE_BYTES;
    let kept: Vec<_> = (0..2 * fit).map(|_| take_back(MOST_IDLE_QUEUE_BYTES)).collect();
    assert_eq!(kept.last(), Some(&MOST_IDLE_BYTES));
}

#[derive(Debug, Clone)]
enum Deed {
    Queue(FrameKind, usize),
    Write(usize),
    DropLate,
}

fn deeds() -> impl Strategy<Value = Vec<(u64, Deed)>> {
    let kind = prop_oneof![Just(FrameKind::Answer), Just(FrameKind::Media)];
    let deed = prop_oneof![
        (kind, 0..300_usize).prop_map(|(kind, bytes)| Deed::Queue(kind, bytes)),
        (1..500_usize).prop_map(Deed::Write),
        Just(Deed::DropLate),
    ];
    prop::collection::vec((0..100_u64, deed), 1..60)
}

proptest! {
    /// Each frame carries its kind, its number and its length.
    #[test]
    fn what_is_written_is_whole_frames_in_their_order(deeds in deeds(), last: bool) {
        let (mut egress, mut now_ms, mut stream) = (Egress::default(), 0, Vec::new());
        let (mut answers, mut media) = (0_u16, 0_u16);
        for (passed_ms, deed) in deeds {
            now_ms += passed_ms;
            match deed {
                Deed::Queue(kind, bytes) => {
                    let (letter, number) = match kind {
                        FrameKind::Answer => (b'A', &mut answers),
                        FrameKind::Media => (b'M', &mut media),
                    };
                    let [high, low] = number.to_be_bytes();
                    let words = u8::try_from(bytes / 4).unwrap();
                    let body = vec![0; usize::from(words) * 4];
                    let parts = [&[letter, high, low, words][..], &body, &[]];
                    *number += u16::from(egress.queue(now_ms, kind, parts, LIMITS, &mut QueueMemory::default()).is_ok());
                }
                Deed::Write(most) => {
                    if let Some(chunk) = egress.next(most, last) {
                        let bytes = chunk.bytes.len();
                        stream.extend_from_slice(chunk.bytes);
                        egress.consume(bytes);
                    }
                }
                Deed::DropLate => {
                    egress.drop_late(now_ms, LIMITS.delay_ms);
                }
            }
        }
        stream.extend(written(&mut egress, 1_000).concat());
        let (mut next_answer, mut next_media, mut rest) = (0, 0, &stream[..]);
        while let [letter, high, low, words, behind @ ..] = rest {
            let number = u16::from_be_bytes([*high, *low]);
            match letter {
                b'A' => {
                    assert_eq!(number, next_answer, "no answer is missing");
                    next_answer += 1;
                }
                _ => {
                    assert!(*letter == b'M' && number >= next_media);
                    next_media = number + 1;
                }
            }
            rest = &behind[usize::from(*words) * 4..];
        }
        assert!(rest.is_empty() && next_answer == answers);
    }

    #[test]
    fn raw_bytes_keep_their_order_behind_what_waits(
        frames in prop::collection::vec((any::<bool>(), 1..9_u8), 0..6),
        raw in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 1..5),
        most in 1..40_usize,
    ) {
        let mut egress = Egress::default();
        for (is_answer, byte) in &frames {
            let kind = if *is_answer { FrameKind::Answer } else { FrameKind::Media };
            egress.queue(0, kind, [&[*byte; 12], &[], &[]], LIMITS, &mut QueueMemory::default()).unwrap();
        }
        for bytes in &raw {
            egress.queue_raw(bytes);
        }
        assert_eq!(egress.drop_late(9_999, 0), 0);
        let of = |wanted: bool| frames.iter().filter(move |(it, _)| *it == wanted);
        let first: Vec<u8> = of(true).chain(of(false)).flat_map(|(_, it)| [*it; 12]).collect();
        assert_eq!(written(&mut egress, most).concat(), [first, raw.concat()].concat());
    }
}
