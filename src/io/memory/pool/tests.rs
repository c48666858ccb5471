//! What is promised of buffers and leases.

use super::*;

fn filled(pool: &Rc<Pool>, range: Range<usize>) -> Lease {
    let (place, _) = pool.publish(Incoming::Datagrams).expect("a free buffer");
    // SAFETY: no kernel was told about this buffer.
    let mut lease = unsafe { pool.claim(Incoming::Datagrams, place, 0) };
    lease.set_range(range);
    lease
}

#[test]
fn a_buffer_comes_back_when_its_last_lease_is_dropped() {
    let pool = Pool::new(2).expect("memory");
    let first = filled(&pool, 56..100);
    let second = first.share();
    assert_eq!(pool.free(Incoming::Datagrams), 1);
    drop(first);
    assert_eq!(pool.free(Incoming::Datagrams), 1);
    drop(second);
    assert_eq!(pool.free(Incoming::Datagrams), 2);
}

#[test]
fn only_the_only_holder_can_write() {
    let pool = Pool::new(1).expect("memory");
    let mut lease = filled(&pool, 56..60);
    lease.exclusive().expect("not shared")[56..60].copy_from_slice(b"abcd");
    let reader = lease.share();
    assert!(lease.exclusive().is_none());
    assert_eq!(reader.payload(), b"abcd");
    drop(reader);
    assert!(lease.exclusive().is_some());
}

#[test]
fn buffers_do_not_overlap() {
    let pool = Pool::new(3).expect("memory");
    let mut leases: Vec<_> = (0..3).map(|_| filled(&pool, 0..RECEIVE_BYTES)).collect();
    leases.extend((0..SMALL_COUNT).map(|_| pool.blank(100).expect("a small one")));
    leases.extend((0..LARGE_COUNT).map(|_| pool.blank(60_000).expect("a large one")));
    leases.extend((0..STREAM_COUNT).map(|_| pool.lease(Incoming::Stream).expect("a free one")));
    for (mark, lease) in leases.iter_mut().enumerate() {
        lease.exclusive().expect("not shared").fill(mark as u8);
    }
    for (mark, lease) in leases.iter().enumerate() {
        assert!(lease.buffer().iter().all(|byte| *byte == mark as u8), "buffer {mark}");
    }
    assert!(pool.publish(Incoming::Datagrams).is_none());
    assert!(pool.publish(Incoming::Stream).is_none());
    assert!(pool.blank(100).is_none());
}

/// Twice as many whole buffers as may stay so.
const MANY: u32 = 256;

#[test]
fn few_bytes_stay_after_all_buffers_were_filled_and_all_can_be_filled_again() {
    let pool = Pool::new(MANY).expect("memory");
    for _ in 0..2 {
        let fill = |mark: u32| {
            let mut lease = filled(&pool, 0..RECEIVE_BYTES);
            lease.exclusive().expect("not shared").fill(mark as u8);
            lease
        };
        let leases: Vec<_> = (0..MANY).map(fill).collect();
        assert_eq!(pool.spare_bytes.get(), MOST_SPARE_BYTES * 2);
        for (mark, lease) in leases.iter().enumerate() {
            assert!(lease.buffer().iter().all(|byte| *byte == mark as u8), "buffer {mark}");
        }
        drop(leases);
        assert_eq!(pool.spare_bytes.get(), MOST_SPARE_BYTES);
    }
    // What is left of the buffers behind the pages that were given back is zero, and writable.
    let lease = filled(&pool, 0..KEPT_BYTES);
    assert_eq!(lease.buffer().len(), RECEIVE_BYTES);
}

#[test]
fn buffers_that_held_trains_of_ten_packets_all_stay() {
    const TRAIN_BYTES: usize = 12_000;
    let pool = Pool::new(1024).expect("memory");
    let leases: Vec<_> = (0..1024).map(|_| filled(&pool, 0..TRAIN_BYTES)).collect();
    drop(leases);
    assert_eq!(pool.spare_bytes.get(), 1024 * (TRAIN_BYTES - KEPT_BYTES));
}

#[test]
fn a_buffer_that_held_a_small_datagram_is_never_given_back() {
    let pool = Pool::new(MANY).expect("memory");
    let leases: Vec<_> = (0..MANY).map(|_| filled(&pool, 56..1500)).collect();
    drop(leases);
    assert_eq!(pool.spare_bytes.get(), 0);
}

#[test]
fn small_requests_overflow_into_large_buffers() {
    let pool = Pool::new(1).expect("memory");
    let leases: Vec<_> = std::iter::from_fn(|| pool.blank(10)).collect();
    assert_eq!(leases.len(), (SMALL_COUNT + LARGE_COUNT) as usize);
    assert!(pool.blank(RECEIVE_BYTES).is_none());
}

#[test]
fn given_bytes_lie_in_a_receive_buffer_behind_the_headroom() {
    let pool = Pool::new(1).expect("memory");
    assert!(pool.received(&[0; RECEIVE_BYTES]).is_none());
    let lease = pool.received(b"payload").expect("a free buffer");
    assert_eq!((lease.payload(), lease.range().start), (b"payload".as_slice(), HEADROOM));
    assert!(pool.received(b"payload").is_none());
    drop(lease);
    assert_eq!(pool.free(Incoming::Datagrams), 1);
}

#[test]
fn the_bytes_of_a_stream_lie_behind_the_headroom_and_in_buffers_of_their_own() {
    let pool = Pool::new(1).expect("memory");
    assert!(pool.arrived(&[0; STREAM_PAYLOAD_BYTES + 1]).is_none());
    let whole = pool.arrived(&[7; STREAM_PAYLOAD_BYTES]).expect("a free buffer");
    assert_eq!(whole.range(), STREAM_START..STREAM_START + STREAM_PAYLOAD_BYTES);
    let others: Vec<_> = std::iter::from_fn(|| pool.arrived(b"more")).collect();
    assert_eq!(others.len() as u32, STREAM_COUNT - 1);
    assert_eq!(pool.free(Incoming::Datagrams), 1);
    drop((whole, others));
    assert_eq!(pool.free(Incoming::Stream), STREAM_COUNT);
    let (place, address) = pool.publish(Incoming::Stream).expect("a free buffer");
    // SAFETY: no kernel was told about this buffer.
    let lease = unsafe { pool.claim(Incoming::Stream, place, 4) };
    assert_eq!((lease.payload().len(), lease.payload().as_ptr()), (4, address.cast_const()));
}

#[test]
fn a_lease_outlives_its_pool() {
    let pool = Pool::new(1).expect("memory");
    let lease = filled(&pool, 56..60);
    drop(pool);
    assert_eq!(lease.payload(), [0; 4]);
}
