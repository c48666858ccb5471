//! Requests and their answers.

use std::net::{IpAddr, SocketAddr};

use uturn::wire::{Class, Family, Fingerprint, Message};

use super::payload::Buffer;
use crate::{
    mail::{Mail, Redemption},
    model::{Arrival as Asked, Expect, Model},
    packet::{Ask, Request},
    run::Story,
};

impl Story {
    pub(super) fn hold_request(&mut self, worker: u8, client: SocketAddr, request: &Request) {
        let asked = Asked { now_ms: self.now_ms, worker, client, request };
        let opening = self.model.openings.get(&client).map(|it| it.worker);
        let allocation = self.model.live(client, self.now_ms).map(|it| it.worker);
        let is_torn = opening.or(allocation).is_some_and(|owner| owner != worker);
        if is_torn && matches!(request.ask, Ask::Allocate(_)) {
            self.is_torn = true;
            return;
        }
        if self.model.is_heard_no_more(client) {
            return self.is_answered_no_more(worker, client);
        }
        let expect = self.model.judge(asked);
        self.model.note_stranger(client, request, expect);
        match expect {
            Expect::Later => self.later(asked),
            Expect::Silence(_) => {
                self.model.sums.dropped += 1;
                self.model.sums.already_pending += 1;
            }
            expect @ (Expect::Success | Expect::Again | Expect::Code(_)) => {
                let answer = self.take_answer(Buffer::Received, asked, expect);
                if let (Expect::Success, Ask::Allocate(_)) = (expect, &request.ask) {
                    self.redeemed_here(asked, answer.as_deref());
                }
            }
        }
    }

    /// An Allocate that is not answered at once, unless there is no port.
    fn later(&mut self, asked: Asked<'_>) {
        let Asked { worker, client, request, .. } = asked;
        let (Ask::Allocate(wish), Some(signature)) = (&request.ask, &request.signature) else {
            panic!("{request:?} is answered at once");
        };
        self.tally.later += 1;
        if let Some(token) = wish.token {
            let user = signature.user.name.clone();
            let redemption = Redemption { asker: worker, client, token, user };
            if !self.node.mail.try_post(token[0], Mail::Redeem(redemption)) {
                self.conclude(worker, client, true);
            }
            return;
        }
        if self.is_next_answer(asked) {
            return self.there_is_no_port(asked);
        }
        self.settle_news(worker, Some(client));
        match self.node.attempts.get(&client) {
            Some(attempt) if attempt.awaited.is_empty() => self.conclude(worker, client, true),
            Some(_) => {}
            None => {
                let is_unheard = Model::is_stream(client) || !self.model.listens(worker, client);
                assert!(is_unheard, "it asked for no socket");
                self.there_is_no_port(asked);
            }
        }
    }

    fn there_is_no_port(&mut self, asked: Asked<'_>) {
        self.model.openings.remove(&asked.client);
        self.take_answer(Buffer::Received, asked, Expect::Code(508));
        self.check_scarcity(asked);
    }

    /// There may be no port only where there is none.
    pub(super) fn check_scarcity(&self, asked: Asked<'_>) {
        let Ask::Allocate(wish) = &asked.request.ask else { return };
        let families = match (wish.is_dual, wish.family) {
            (true, _) => vec![Family::V4, Family::V6],
            (false, family) => vec![family.unwrap_or(Family::V4)],
        };
        let addresses = self.model.scenario.relay_addresses();
        let wanted = addresses.iter().filter(|one| families.contains(&Family::of(one.local)));
        for address in wanted {
            let free = self.free_ports(address.local, wish.even);
            assert!(free.is_empty(), "508 with {free:?} free on {}", address.local);
        }
    }

    /// Ports that would do: neither bound nor drawn by an Allocate that waits, nor on their way.
    pub(super) fn free_ports(&self, local: IpAddr, even: Option<bool>) -> Vec<u16> {
        let (low, high) = self.model.scenario.ports;
        let is_free = |port: u16| {
            let local = SocketAddr::new(local, port);
            let is_held = self.node.taken.contains(&local) || self.node.is_drawn(local);
            !is_held && !self.model.moving.contains_key(&local)
        };
        let fits = |port: &u16| {
            let is_even = port.is_multiple_of(2);
            match even {
                None => is_free(*port),
                Some(false) => is_even && is_free(*port),
                Some(true) => {
                    let next = *port + 1;
                    is_even && is_free(*port) && next <= high && is_free(next)
                }
            }
        };
        (low..=high).filter(fits).collect()
    }

    /// A token of this very worker is redeemed at once.
    pub(super) fn redeemed_here(&mut self, asked: Asked<'_>, answer: Option<&[u8]>) {
        let Ask::Allocate(wish) = &asked.request.ask else { return };
        let token = wish.token.expect("nothing else is answered at once");
        let reservation = self.model.reservations.remove(&token).expect("judged redeemable");
        self.model.sums.redeemed += 1;
        self.model.opened(asked, &[reservation.relayed], answer);
        self.settle(asked.worker, asked.client);
    }

    /// An answer leaves: checks what every answer must have.
    pub(super) fn take_answer(
        &mut self,
        buffer: Buffer,
        asked: Asked<'_>,
        expect: Expect,
    ) -> Option<Vec<u8>> {
        let Asked { client, request, .. } = asked;
        let code = if let Expect::Code(code) = expect { Some(code) } else { None };
        match code {
            Some(code) => {
                self.model.sums.errors += 1;
                *self.tally.codes.entry(code).or_default() += 1;
            }
            None => self.model.sums.successes += 1,
        }
        if Model::is_stream(client) {
            self.owe(asked, expect);
            return None;
        }
        let answer =
            self.take_sent_to_client(asked.worker, (buffer, client), &(expect, request))?;
        self.check_answer(asked, (expect, self.model.unix_s), &answer);
        Some(answer)
    }

    /// What every answer must have; what it teaches is learnt.
    pub(super) fn check_answer(
        &mut self,
        asked: Asked<'_>,
        (expect, unix_s): (Expect, u64),
        answer: &[u8],
    ) {
        let Asked { client, request, .. } = asked;
        let code = if let Expect::Code(code) = expect { Some(code) } else { None };
        let message = Message::parse(answer).expect("answers are well-formed");
        let what = format!("{expect:?} {client} at {} {request:?}", asked.worker);
        assert_eq!(message.error_code().expect("well-formed"), code, "{what}");
        let is_error = message.class() == Class::Error;
        assert_eq!(is_error, code.is_some(), "{what}");
        assert_eq!(message.transaction(), request.transaction, "{what}");
        assert_eq!(message.method(), request.ask.method());
        let has_fingerprint = message.fingerprint() == Fingerprint::Valid;
        assert_eq!(has_fingerprint, request.has_fingerprint);
        match &request.signature {
            Some(signature) if !matches!(code, Some(401 | 438)) && request.ask != Ask::Binding => {
                assert!(message.is_signed_with(&signature.key()), "{request:?}");
            }
            Some(_) | None => assert!(!message.has_integrity()),
        }
        if matches!(code, Some(401 | 438)) {
            let nonce = message.nonce().expect("a challenge has a nonce").to_vec();
            let holder = Model::nonce_address(client);
            self.model.nonces.insert(nonce, (holder, unix_s));
        }
        if expect == Expect::Again {
            let allocation = self.model.allocations.get_mut(&client).expect("it is there");
            let before = allocation.answer.get_or_insert_with(|| answer.to_vec());
            assert_eq!(*before, answer);
        }
    }
}
