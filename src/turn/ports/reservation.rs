//! Reserved ports: EVEN-PORT with its R bit, and the tokens that redeem them (RFC 8656 §7.2).
//!
//! A token is the index of the worker that gave it out and 56 bits nobody can guess. A reservation
//! holds a place of its user's quota, which goes over to the allocation that redeems it: nobody
//! gets a port more than the quota says by reserving.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
};

use foldhash::fast::FixedState;

use crate::turn::{
    allocation::Owner,
    api::names::identity::{RelayId, WorkerIndex},
    rng::Rng,
};

/// How long a port stays reserved (RFC 8656 §7.2: at least 30 seconds).
const RESERVATION_MS: u64 = 30_000;

/// A reserved port on its way to another worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Redeemed {
    /// The socket's name in the worker that gives it away.
    pub relay: RelayId,
    /// What it is bound to.
    pub local: SocketAddr,
}

/// No reservation of this user goes by that token, or it is over (508).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotReserved;

/// The value of RESERVATION-TOKEN.
pub(in crate::turn) type ReservationToken = [u8; 8];

/// The worker that gave a token out.
pub(in crate::turn) const fn owner(token: ReservationToken) -> WorkerIndex {
    WorkerIndex(token[0])
}

/// One reserved port.
#[derive(Debug)]
pub(in crate::turn) struct Reservation {
    pub(in crate::turn) relay: RelayId,
    /// Whose quota it holds a place of.
    pub(in crate::turn) account: Arc<str>,
    pub(in crate::turn) user: Arc<str>,
    pub(in crate::turn) expires_ms: u64,
}

/// The reservations of one worker.
#[derive(Debug)]
pub(in crate::turn) struct Reservations {
    worker: WorkerIndex,
    held: HashMap<ReservationToken, Reservation, FixedState>,
    /// In the order they expire, redeemed ones still among them: all last equally long.
    queue: VecDeque<(u64, ReservationToken)>,
}

impl Reservations {
    pub(in crate::turn) fn new(worker: WorkerIndex, hash: FixedState) -> Reservations {
        Reservations { worker, held: HashMap::with_hasher(hash), queue: VecDeque::new() }
    }

    /// Reserves a bound port for a user and makes its token.
    pub(in crate::turn) fn make(
        &mut self,
        relay: RelayId,
        owner: &Owner,
        now_ms: u64,
        rng: &mut Rng,
    ) -> ReservationToken {
        let mut token = rng.bits().to_be_bytes();
        token[0] = self.worker.0;
        self.restore(token, relay, owner, now_ms + RESERVATION_MS);
        token
    }

    /// Reserves a bound port under a token that was given out before.
    pub(in crate::turn) fn restore(
        &mut self,
        token: ReservationToken,
        relay: RelayId,
        owner: &Owner,
        expires_ms: u64,
    ) {
        let (user, account) = (owner.user.clone(), owner.account.clone());
        self.held.insert(token, Reservation { relay, account, user, expires_ms });
        let place = self.queue.partition_point(|(earlier_ms, _)| *earlier_ms <= expires_ms);
        self.queue.insert(place, (expires_ms, token));
    }

    /// True for a token that is given out and not redeemed.
    pub(in crate::turn) fn has(&self, token: ReservationToken) -> bool {
        self.held.contains_key(&token)
    }

    /// Every reservation, in the order they expire.
    pub(in crate::turn) fn iter(&self) -> impl Iterator<Item = (ReservationToken, &Reservation)> {
        self.queue.iter().filter_map(|(_, token)| Some((*token, self.held.get(token)?)))
    }

    /// Takes a reservation for its user, while it lasts.
    pub(in crate::turn) fn redeem(
        &mut self,
        token: ReservationToken,
        user: &str,
        now_ms: u64,
    ) -> Option<Reservation> {
        let held = self.held.get(&token)?;
        if held.expires_ms <= now_ms || *held.user != *user {
            return None;
        }
        let reservation = self.held.remove(&token);
        self.forget_redeemed();
        reservation
    }

    /// Takes one reservation that is over.
    pub(in crate::turn) fn next_over(&mut self, now_ms: u64) -> Option<Reservation> {
        while let Some((expires_ms, token)) = self.queue.front().copied()
            && expires_ms <= now_ms
        {
            self.queue.pop_front();
            if let Some(reservation) = self.held.remove(&token) {
                return Some(reservation);
            }
        }
        None
    }

    /// Takes any reservation, over or not.
    pub(in crate::turn) fn next_of_all(&mut self) -> Option<Reservation> {
        self.next_over(u64::MAX)
    }

    /// When the next reservation is over.
    pub(in crate::turn) fn next_deadline_ms(&self) -> Option<u64> {
        self.queue.front().map(|(expires_ms, _)| *expires_ms)
    }

    /// Keeps a living reservation at the front of the queue, so that nobody wakes for a dead one.
    fn forget_redeemed(&mut self) {
        while let Some((_, token)) = self.queue.front()
            && !self.held.contains_key(token)
        {
            self.queue.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::IntegrityKey;

    #[test]
    fn a_token_names_its_worker_and_serves_its_user_once_within_its_time() {
        let mut rng = Rng::new([1; 32]);
        let hash = rng.hash_state();
        let mut reservations = Reservations::new(WorkerIndex(5), hash);
        let ann = Owner {
            settings_epoch: None,
            user: "ann".into(),
            account: "ann".into(),
            key: IntegrityKey::from_bytes(b"key"),
        };
        let token = reservations.make(RelayId(1), &ann, 0, &mut rng);
        let late = reservations.make(RelayId(2), &ann, 1, &mut rng);
        assert_eq!(owner(token), WorkerIndex(5));
        assert_ne!(token, late);
        assert!(reservations.redeem(token, "bob", 10).is_none());
        assert_eq!(reservations.redeem(token, "ann", 10).unwrap().relay, RelayId(1));
        assert!(reservations.redeem(token, "ann", 10).is_none());
        assert_eq!(reservations.next_deadline_ms(), Some(30_001));
        assert!(reservations.redeem(late, "ann", 30_001).is_none());
        assert!(reservations.next_over(30_000).is_none());
        assert_eq!(reservations.next_over(30_001).unwrap().relay, RelayId(2));
        assert_eq!(reservations.next_deadline_ms(), None);
    }
}
