//! What a request must be answered, and what is so afterwards.

use std::net::{IpAddr, SocketAddr};

use uturn::{
    turn::{Cause, OnReallocate, Reason},
    wire::{AttributeType, Family, Message},
};

use super::{
    Allocation, CHANNEL_MS, Channel, End, Granted, Model, Opening, PERMISSION_MS, Permission,
    Reservation,
};
use crate::{
    operator::DENIED,
    packet::{Ask, Request, Signature, Wish},
    scenario::{ADVERTISED_V4, LOCAL_V6, ip},
};

const RESERVATION_MS: u64 = 30_000;

/// The one answer that is right.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Expect {
    Success,
    /// The answer that was given before, byte for byte.
    Again,
    Code(u16),
    /// Accepted; the answer follows. Or 508 at once, if there is no port.
    Later,
    Silence(Reason),
}

/// A request, where it came from and where it was handled.
#[derive(Clone, Copy)]
pub(crate) struct Arrival<'r> {
    pub(crate) now_ms: u64,
    pub(crate) worker: u8,
    pub(crate) client: SocketAddr,
    pub(crate) request: &'r Request,
}

impl Model {
    /// Says what must be answered, and takes for granted that it will be.
    pub(crate) fn judge(&mut self, arrival: Arrival<'_>) -> Expect {
        let request = arrival.request;
        if request.ask == Ask::Binding {
            return Expect::Success;
        }
        let Some(signature) = &request.signature else { return Expect::Code(401) };
        if let Some(code) = self.distrust(arrival, signature) {
            return Expect::Code(code);
        }
        match &request.ask {
            Ask::Binding => Expect::Success,
            Ask::Allocate(wish) => self.allocate(arrival, signature, wish),
            Ask::Refresh { .. } | Ask::Permit(_) | Ask::Bind { .. } => {
                match self.change(arrival, signature) {
                    Ok(()) => Expect::Success,
                    Err(code) => Expect::Code(code),
                }
            }
        }
    }

    fn distrust(&self, arrival: Arrival<'_>, signature: &Signature) -> Option<u16> {
        let Arrival { now_ms, worker, client, .. } = arrival;
        let now_s = self.unix_s;
        let is_fresh = self.nonces.get(&signature.nonce).is_some_and(|(given_to, issued_s)| {
            let age_s = now_s.checked_sub(*issued_s);
            *given_to == Self::nonce_address(client)
                && age_s.is_some_and(|it| it <= self.scenario.nonce_lifetime_s)
        });
        let is_kept = self.live(client, now_ms).is_some_and(|a| a.user == signature.user.name);
        let is_over = signature.user.expires_s.is_some_and(|expires_s| expires_s <= now_s);
        if !is_fresh {
            Some(438)
        } else if self.operated(worker).bans(&signature.user.name)
            || !signature.is_right
            || (is_over && !is_kept)
        {
            Some(401)
        } else {
            None
        }
    }

    fn allocate(&mut self, arrival: Arrival<'_>, signature: &Signature, wish: &Wish) -> Expect {
        let Arrival { now_ms, worker, client, request } = arrival;
        if let Some(opening) = self.openings.get(&client) {
            let again = opening.request.transaction == request.transaction;
            return if again { Expect::Silence(Reason::AlreadyPending) } else { Expect::Code(437) };
        }
        if let Some(allocation) = self.live(client, now_ms) {
            let is_own = allocation.user == signature.user.name;
            if is_own && allocation.request.transaction == request.transaction {
                return Expect::Again;
            }
            // The account of all names without an id is nobody's in particular.
            let account = Some(&signature.user.account).filter(|account| !account.is_empty());
            let is_same_client = is_own || account == Some(&allocation.account);
            if !is_same_client || self.scenario.on_reallocate == OnReallocate::Refuse {
                return Expect::Code(437);
            }
        }
        if wish.is_nonsense() {
            return Expect::Code(400);
        }
        if let (Some(has_alternates), None) = (self.operated(worker).drains, wish.token) {
            return Expect::Code(if has_alternates { 300 } else { 508 });
        }
        if self.live(client, now_ms).is_none() {
            self.end(client, Cause::Expired);
        }
        let expect = match wish.token {
            Some(token) => self.redeem_by(arrival, signature, token),
            None => self.draw(client, signature, wish),
        };
        if expect == Expect::Later {
            let places = match (wish.token, wish.even) {
                (Some(_), _) => 0,
                (None, Some(true)) => 2,
                (None, _) => 1,
            };
            let account = signature.user.account.clone();
            let opening = Opening { worker, request: request.clone(), account, places };
            self.openings.insert(client, opening);
        }
        expect
    }

    fn redeem_by(&self, arrival: Arrival<'_>, signature: &Signature, token: [u8; 8]) -> Expect {
        if token[0] != arrival.worker && token[0] < self.scenario.workers {
            return Expect::Later;
        }
        match self.redeemable(arrival.now_ms, arrival.worker, token, &signature.user.name) {
            true => Expect::Success,
            false => Expect::Code(508),
        }
    }

    pub(crate) fn redeemable(&self, now_ms: u64, worker: u8, token: [u8; 8], user: &str) -> bool {
        let reservation = self.reservations.get(&token).filter(|_| token[0] == worker);
        reservation.is_some_and(|held| held.user == user && held.expires_ms > now_ms)
    }

    fn draw(&mut self, client: SocketAddr, signature: &Signature, wish: &Wish) -> Expect {
        if wish.family == Some(Family::V6) && !self.scenario.has_v6 {
            return Expect::Code(440);
        }
        self.end(client, Cause::Replaced);
        let places = if wish.even == Some(true) { 2 } else { 1 };
        let held = self.held_by(&signature.user.account);
        let total = self.held_in_total();
        for place in 0..places {
            if held + place >= self.scenario.user_quota {
                return Expect::Code(486);
            }
            if total + place >= self.scenario.total_quota {
                return Expect::Code(508);
            }
        }
        Expect::Later
    }

    fn change(&mut self, arrival: Arrival<'_>, signature: &Signature) -> Result<(), u16> {
        let Arrival { now_ms, client, request, .. } = arrival;
        let user = self.live(client, now_ms).map(|allocation| allocation.user.clone());
        if user.as_ref() != Some(&signature.user.name) {
            return Err(if user.is_none() { 437 } else { 441 });
        }
        match &request.ask {
            Ask::Refresh { lifetime_s, family } => self.refresh(arrival, *lifetime_s, *family),
            Ask::Permit(peers) => self.permit(arrival, peers),
            Ask::Bind { number, peer } => self.bind(arrival, *number, *peer),
            Ask::Binding | Ask::Allocate(_) => Ok(()),
        }
    }

    fn refresh(
        &mut self,
        arrival: Arrival<'_>,
        lifetime_s: Option<u32>,
        family: Option<Family>,
    ) -> Result<(), u16> {
        let Arrival { now_ms, client, .. } = arrival;
        let granted_ms = self.granted_ms(lifetime_s);
        let Some(allocation) = self.allocations.get_mut(&client) else { return Err(437) };
        let is_meant = |end: &End| {
            family.is_none_or(|family| Family::of(end.relayed.ip()) == family)
                && end.expires_ms > now_ms
        };
        if !allocation.ends.iter().any(is_meant) {
            return Err(443);
        }
        if lifetime_s != Some(0) {
            let ends = allocation.ends.iter_mut().filter(|end| is_meant(end));
            ends.for_each(|end| end.expires_ms = now_ms + granted_ms);
            return Ok(());
        }
        let gone: Vec<End> = allocation.ends.iter().copied().filter(is_meant).collect();
        allocation.ends.retain(|end| !is_meant(end));
        for end in gone {
            let is_v4 = end.relayed.is_ipv4();
            allocation.permissions.retain(|ip, _| ip.is_ipv4() != is_v4);
            allocation.channels.retain(|_, channel| channel.peer.is_ipv4() != is_v4);
        }
        if allocation.ends.is_empty() {
            self.end(client, Cause::Deleted);
        }
        Ok(())
    }

    pub(crate) fn granted_ms(&self, asked_s: Option<u32>) -> u64 {
        let least = self.scenario.default_lifetime_s;
        u64::from(asked_s.unwrap_or(least).max(least).min(self.scenario.max_lifetime_s)) * 1000
    }

    fn permit(&mut self, arrival: Arrival<'_>, peers: &[SocketAddr]) -> Result<(), u16> {
        if peers.is_empty() {
            return Err(400);
        }
        for peer in peers {
            self.may_reach(arrival, peer.ip())?;
        }
        let ips: Vec<IpAddr> = peers.iter().map(SocketAddr::ip).collect();
        self.install(arrival, &ips)
    }

    fn may_reach(&self, arrival: Arrival<'_>, peer: IpAddr) -> Result<(), u16> {
        let Arrival { now_ms, worker, client, .. } = arrival;
        let allocation = self.live(client, now_ms).ok_or(437_u16)?;
        allocation.end_for(peer, now_ms).ok_or(443_u16)?;
        let closed = ["10.0.0.5", "127.0.0.1", "fe80::1", "7.7.7.7"];
        let is_denied = self.operated(worker).denies_a_peer && ip(DENIED) == peer;
        if is_denied || closed.iter().any(|closed| ip(closed) == peer) { Err(403) } else { Ok(()) }
    }

    fn install(&mut self, arrival: Arrival<'_>, ips: &[IpAddr]) -> Result<(), u16> {
        let Arrival { now_ms, worker, client, .. } = arrival;
        let opens_neighbours = self.operated(worker).opens_neighbours;
        let limit = usize::from(self.scenario.permission_quota);
        let Some(allocation) = self.allocations.get_mut(&client) else { return Err(437) };
        allocation.forget_what_is_over(now_ms);
        let mut after = allocation.permissions.clone();
        let before = after.len();
        let permission = Permission { until_ms: now_ms + PERMISSION_MS, opens_neighbours };
        after.extend(ips.iter().map(|ip| (*ip, permission)));
        if after.len() > before && after.len() > limit {
            return Err(508);
        }
        allocation.permissions = after;
        Ok(())
    }

    fn bind(&mut self, arrival: Arrival<'_>, number: u16, peer: SocketAddr) -> Result<(), u16> {
        let Arrival { now_ms, worker, client, .. } = arrival;
        if !(0x4000..=0x4FFF).contains(&number) || peer.port() == 0 {
            return Err(400);
        }
        self.may_reach(arrival, peer.ip())?;
        if self.is_closed_socket(worker, peer) {
            return Err(403);
        }
        let limit = usize::from(self.scenario.channel_quota);
        let Some(allocation) = self.allocations.get_mut(&client) else { return Err(437) };
        allocation.forget_what_is_over(now_ms);
        let by_number = allocation.channels.get(&number).map(|channel| channel.peer);
        let by_peer = allocation.channels.iter().find(|(_, channel)| channel.peer == peer);
        if by_number.is_some_and(|bound| bound != peer)
            || by_peer.is_some_and(|(n, _)| *n != number)
        {
            return Err(400);
        }
        if by_number.is_none() && allocation.channels.len() >= limit {
            return Err(508);
        }
        self.install(arrival, &[peer.ip()])?;
        if let Some(allocation) = self.allocations.get_mut(&client) {
            let channel = Channel { peer, until_ms: now_ms + CHANNEL_MS };
            allocation.channels.insert(number, channel);
        }
        Ok(())
    }

    /// A port on an address of the relays that can be no relay's, while neighbours are closed.
    fn is_closed_socket(&self, worker: u8, peer: SocketAddr) -> bool {
        let is_other = self.is_relay_ip(peer.ip()) && !self.is_relay(peer);
        is_other && !self.operated(worker).opens_neighbours
    }

    pub(crate) fn is_relay_ip(&self, peer: IpAddr) -> bool {
        peer == ip(ADVERTISED_V4) || (self.scenario.has_v6 && peer == ip(LOCAL_V6))
    }

    /// What an answer to an Allocate says beside the relayed addresses; its token.
    pub(crate) fn check_granted(
        &self,
        client: SocketAddr,
        wish: &Wish,
        granted: &Granted,
        answer: &Message<'_>,
    ) -> Option<[u8; 8]> {
        wish.check(&granted.relayed, answer);
        assert_eq!(answer.lifetime_s(), Ok(Some((granted.lifetime_ms / 1000) as u32)));
        assert_eq!(answer.xor_address(AttributeType::XOR_MAPPED_ADDRESS), Ok(Some(client)));
        answer.reservation_token().expect("well-formed")
    }

    /// An Allocate was answered with a success: checks what the answer says, unless it was lost on
    /// its way or has not left yet, and believes it.
    pub(crate) fn opened(
        &mut self,
        arrival: Arrival<'_>,
        relayed: &[SocketAddr],
        answer: Option<&[u8]>,
    ) {
        let Arrival { now_ms, worker, client, request } = arrival;
        let (Ask::Allocate(wish), Some(signature)) = (&request.ask, &request.signature) else {
            panic!("only a signed Allocate is answered so");
        };
        let lifetime_ms = self.granted_ms(wish.lifetime_s);
        let cause =
            if self.live(client, now_ms).is_some() { Cause::Replaced } else { Cause::Expired };
        self.end(client, cause);
        for address in relayed {
            assert!(self.client_of(*address, now_ms).is_none(), "{address} is somebody else's");
        }
        let (user, account) = (signature.user.name.clone(), signature.user.account.clone());
        // Nobody redeems a reservation that nobody was told of.
        let unknown_token = (u64::MAX - self.sums.reserved).to_be_bytes();
        let granted = Granted { relayed: relayed.to_vec(), lifetime_ms, unknown_token };
        let mut token = Some(unknown_token);
        if let Some(answer) = answer {
            let answer = Message::parse(answer).expect("answers are well-formed");
            assert_eq!(relayed_addresses(&answer), relayed);
            token = self.check_granted(client, wish, &granted, &answer);
        }
        self.owe_granted(client, granted);
        if let (Some(token), Some(true)) = (token, wish.even) {
            let relayed = SocketAddr::new(relayed[0].ip(), relayed[0].port() + 1);
            let expires_ms = now_ms + RESERVATION_MS;
            let (user, account) = (user.clone(), account.clone());
            self.reservations.insert(token, Reservation { user, account, relayed, expires_ms });
            self.sums.reserved += 1;
        }
        let end =
            |relayed: &SocketAddr| End { relayed: *relayed, expires_ms: now_ms + lifetime_ms };
        let allocation = Allocation {
            worker,
            request: request.clone(),
            answer: answer.map(<[u8]>::to_vec),
            user,
            account,
            ends: relayed.iter().map(end).collect(),
            permissions: Default::default(),
            channels: Default::default(),
            traffic: Default::default(),
            opened_ms: now_ms,
            session: None,
        };
        let before = self.allocations.insert(client, allocation);
        assert!(before.is_none(), "two allocations on one five-tuple");
        self.sums.opened += 1;
    }
}

pub(crate) fn relayed_addresses(answer: &Message<'_>) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    let kind = AttributeType::XOR_RELAYED_ADDRESS;
    let first = answer.xor_address(kind).expect("well-formed").expect("a relayed address");
    found.push(first);
    let others = answer.attributes().filter(|attribute| attribute.kind == kind).count();
    if others > 1 {
        found.push(SocketAddr::new(ip(LOCAL_V6), second_port(answer)));
    }
    found
}

/// The port of the second relayed address, un-xored by hand (RFC 8489 §14.2).
fn second_port(answer: &Message<'_>) -> u16 {
    let kind = AttributeType::XOR_RELAYED_ADDRESS;
    let second = answer.attributes().filter(|attribute| attribute.kind == kind).nth(1);
    let value = second.expect("two").value;
    u16::from_be_bytes([value[2], value[3]]) ^ 0x2112
}

impl Wish {
    fn is_nonsense(&self) -> bool {
        let has_more = self.even.is_some() || self.family.is_some() || self.is_dual;
        (self.token.is_some() && has_more)
            || (self.is_dual && (self.family.is_some() || self.even == Some(true)))
    }

    /// RFC 8656 §7.2 and §7.3: the relayed addresses are those that were asked for.
    fn check(&self, relayed: &[SocketAddr], answer: &Message<'_>) {
        assert!(
            relayed.iter().all(|address| address.ip() == ip(ADVERTISED_V4) || address.is_ipv6())
        );
        if self.even.is_some() {
            assert!(relayed.iter().all(|address| address.port().is_multiple_of(2)), "{relayed:?}");
        }
        let has_token = answer.reservation_token().expect("well-formed").is_some();
        assert_eq!(has_token, self.even == Some(true));
        if self.token.is_none() && !self.is_dual {
            let family = self.family.unwrap_or(Family::V4);
            assert!(relayed.len() == 1 && Family::of(relayed[0].ip()) == family);
        }
        let missing = answer.first(AttributeType::ADDRESS_ERROR_CODE).is_some();
        assert_eq!(missing, self.is_dual && relayed.len() == 1);
    }
}
