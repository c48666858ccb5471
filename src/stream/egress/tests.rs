//! What waits, and in which order it leaves.

use std::collections::VecDeque;

use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};

use super::{
    chunks::{CHUNK_BYTES, MOST_IDLE_CHUNKS, MOST_IDLE_LISTS},
    frames::HEAD_BYTES,
    *,
};

const LIMITS: StreamLimits = StreamLimits { delay_ms: 250, queued_bytes: 1_000 };
const ALL: StreamLimits = StreamLimits { delay_ms: 250, queued_bytes: 1 << 20 };

fn queued(frames: &[(u64, FrameKind, &[u8])]) -> Egress {
    let mut egress = Egress::default();
    for (now_ms, kind, frame) in frames {
        egress
            .queue(*now_ms, *kind, [frame, &[], &[]], LIMITS, &mut QueueMemory::default())
            .unwrap();
    }
    egress
}

/// What is to be written next.
fn next(egress: &mut Egress, most_bytes: usize, may_begin: bool) -> Option<Vec<u8>> {
    let mut out = BytesMut::new();
    let wanted = Wanted { most_bytes, may_begin };
    let taken = egress.take(0, wanted, &mut out, &mut QueueMemory::default());
    taken.map(|_| out.to_vec())
}

/// Everything that waits, in writes of `most` bytes.
fn written(egress: &mut Egress, most: usize) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| next(egress, most, true)).collect()
}

fn drop_late(egress: &mut Egress, now_ms: u64, delay_ms: u32) -> u32 {
    egress.drop_late(now_ms, delay_ms, &mut QueueMemory::default())
}

#[test]
fn media_is_dropped_by_age_and_answers_are_not() {
    let mut egress = queued(&[
        (0, FrameKind::Media, b"old!"),
        (0, FrameKind::Answer, b"answ"),
        (49, FrameKind::Media, b"late"),
        (50, FrameKind::Media, b"good"),
    ]);
    assert_eq!(drop_late(&mut egress, 300, LIMITS.delay_ms), 2);
    assert_eq!(written(&mut egress, 4), [b"answ", b"good"]);
    assert_eq!(drop_late(&mut egress, 9_999, LIMITS.delay_ms), 0);
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
        let oldest = egress.media.front().unwrap();
        assert!(oldest.age_ms(now_ms) <= LIMITS.delay_ms);
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
    assert_eq!(next(&mut egress, MOST_ANSWER_BYTES, true).unwrap().len(), MOST_ANSWER_BYTES);
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
    assert!(next(&mut egress, 64, false).is_none(), "it may not begin");
    assert_eq!(next(&mut egress, 64, true).unwrap(), [1; 64]);
    egress
        .queue(500, FrameKind::Answer, [&[9; 8], &[], &[]], LIMITS, &mut QueueMemory::default())
        .unwrap();
    assert_eq!(drop_late(&mut egress, 500, LIMITS.delay_ms), 2);
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
    let queue = |egress: &mut Egress, memory: &mut QueueMemory| {
        egress.queue(0, FrameKind::Media, [&[3; 5_000], &[], &[]], ALL, memory).unwrap();
    };
    let (mut one, mut other) = (Egress::default(), Egress::default());
    queue(&mut one, &mut memory);
    assert_eq!((memory.chunks.len(), memory.lists.len()), (0, 0));
    let whole = Wanted { most_bytes: 5_000, may_begin: false };
    one.take(0, whole, &mut BytesMut::new(), &mut memory).unwrap();
    assert_eq!((one.memory_bytes(), memory.chunks.len(), memory.lists.len()), (0, 3, 1));
    queue(&mut other, &mut memory);
    assert_eq!((memory.chunks.len(), memory.lists.len()), (0, 0));
    assert_eq!(written(&mut other, 5_000), [[3; 5_000]]);
}

#[test]
fn what_is_dropped_leaves_no_memory_behind() {
    let mut egress = queued(&[(0, FrameKind::Media, &[1; 100]), (0, FrameKind::Media, &[2; 100])]);
    assert_eq!(egress.shed(0, &mut QueueMemory::default()), 2);
    assert_eq!(egress.memory_bytes(), 0);
    let mut egress = queued(&[(0, FrameKind::Media, &[1; 100])]);
    egress.drop_media();
    assert_eq!(egress.memory_bytes(), 0);
}

#[test]
fn so_much_idle_memory_is_kept() {
    let mut memory = QueueMemory::default();
    let bytes = vec![7; 3 * CHUNK_BYTES];
    let mut queues: Vec<_> = (0..MOST_IDLE_CHUNKS).map(|_| Chunks::default()).collect();
    queues.iter_mut().for_each(|queue| queue.write(&bytes, &mut memory));
    queues.iter_mut().for_each(|queue| queue.take(0, bytes.len(), &mut memory, |_| {}));
    assert_eq!((memory.chunks.len(), memory.lists.len()), (MOST_IDLE_CHUNKS, MOST_IDLE_LISTS));
}

// Of clients that read nothing: what they hold is what is counted, at most three chunks more than
// waits, whatever came and went before.
#[test]
fn a_queue_has_memory_for_what_waits_and_little_more() {
    let (mut egress, mut memory) = (Egress::default(), QueueMemory::default());
    let limits = StreamLimits { queued_bytes: 40_000, ..ALL };
    for round in 0..5_000_u64 {
        let frame = [7; 1_204];
        let parts = [&frame[..164 + 208 * (round as usize % 6)], &[], &[]];
        egress.queue(round, FrameKind::Media, parts, limits, &mut memory).unwrap();
        let most_heads = HEAD_BYTES * (egress.waiting_bytes() / 164 + 1);
        let lists = 64 * size_of::<usize>();
        let most = egress.waiting_bytes() + most_heads + lists + 2 * CHUNK_BYTES;
        assert!(egress.memory_bytes() <= most, "{} for {most}", egress.memory_bytes());
    }
    assert!(egress.waiting_bytes() > 38_000);
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
    #[test]
    fn chunks_are_a_queue_of_bytes(
        deeds in prop::collection::vec((0..5_000_usize, 0..6_000_usize), 1..20),
    ) {
        let (mut chunks, mut memory) = (Chunks::default(), QueueMemory::default());
        let (mut model, mut byte) = (VecDeque::new(), 0_u8);
        for (written, taken) in deeds {
            let bytes: Vec<u8> = (0..written).map(|at| byte.wrapping_add(at as u8)).collect();
            byte = byte.wrapping_add(written as u8).wrapping_mul(31);
            let (first, second) = bytes.split_at(bytes.len() / 3);
            chunks.write(first, &mut memory);
            let place = (!second.is_empty()).then(|| chunks.append(second.len(), &mut memory));
            match place.flatten() {
                Some(place) => place.copy_from_slice(second),
                None => chunks.write(second, &mut memory),
            }
            model.extend(bytes);
            let first = (model.len() >= 8).then(|| std::array::from_fn::<u8, 8, _>(|at| model[at]));
            assert_eq!(chunks.first::<8>(), first);
            let taken = taken.min(model.len());
            let mut out = Vec::new();
            let skipped = taken / 4;
            let keep = |piece: &[u8]| out.extend_from_slice(piece);
            chunks.take(skipped, taken - skipped, &mut memory, keep);
            assert_eq!(out, model.drain(..taken).skip(skipped).collect::<Vec<_>>());
            assert_eq!((chunks.len(), chunks.is_empty()), (model.len(), model.is_empty()));
            assert_eq!(chunks.memory_bytes() == 0, model.is_empty());
        }
    }

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
                    stream.extend(next(&mut egress, most, last).unwrap_or_default());
                }
                Deed::DropLate => {
                    drop_late(&mut egress, now_ms, LIMITS.delay_ms);
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
            egress.queue_raw(bytes, &mut QueueMemory::default());
        }
        assert_eq!(drop_late(&mut egress, 9_999, 0), 0);
        let of = |wanted: bool| frames.iter().filter(move |(it, _)| *it == wanted);
        let first: Vec<u8> = of(true).chain(of(false)).flat_map(|(_, it)| [*it; 12]).collect();
        assert_eq!(written(&mut egress, most).concat(), [first, raw.concat()].concat());
    }
}
