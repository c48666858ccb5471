//! What is tried, in the order in which a call needs it.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::client::Client;
use super::dial;
use super::failure::{Failure, explain, proxied, why};
use super::link::Link;
use super::target::Target;
use super::transport::CheckTransport;
use super::trouble::Trouble;
use crate::control::config::User;
use crate::turn::{Judgement, PeerPolicy};
use crate::wire::{AttributeType, Family, Message, Method, TRANSPORT_UDP};

/// How often a datagram that may be lost is sent.
const TRIES: u32 = 5;
/// How long a datagram takes at the most that does not leave the machine.
const NEAR: Duration = Duration::from_millis(300);
/// What is sent through the relay, each way.
const IN: &[u8] = b"uturn check: towards the client";
const OUT: &[u8] = b"uturn check: towards the peer";

/// One thing that was tried.
#[derive(Debug)]
pub(super) struct CheckStep {
    pub(super) name: &'static str,
    pub(super) took: Duration,
    pub(super) outcome: Result<String, Failure>,
}

/// Everything that is known of a relay while it is tried.
struct Trial<'a> {
    target: &'a Target<'a>,
    steps: Vec<CheckStep>,
}

/// An allocation, and where peers reach it.
struct Allocation<'a> {
    client: Client<'a>,
    relayed: SocketAddr,
}

/// Tries a server; ends with the first step that fails.
pub(super) fn try_all(target: &Target<'_>) -> Vec<CheckStep> {
    let mut trial = Trial { target, steps: Vec::new() };
    trial.run();
    trial.steps
}

impl<'a> Trial<'a> {
    fn run(&mut self) -> Option<()> {
        let link = match self.target.transport {
            CheckTransport::Udp => None,
            CheckTransport::Tcp | CheckTransport::Tls => Some(self.connect()?),
        };
        let mapped = self.step("binding", |trial| trial.bind(link))?;
        // Nobody has no allocation.
        self.target.user?;
        let mut own = self.step("allocation", |trial| trial.allocate(mapped))?;
        let echoed = match self.target.transport {
            CheckTransport::Udp => self.echo(&mut own),
            CheckTransport::Tcp | CheckTransport::Tls => self.echo_inside(&mut own),
        };
        let closed = self.step("release", |_| release(&mut own));
        echoed.and(closed)
    }

    fn connect(&mut self) -> Option<Link> {
        let mut stream = self.step("connect", |trial| dial::connect(trial.target))?;
        if self.target.transport == CheckTransport::Tls {
            stream = self.step("TLS", |trial| dial::secure(trial.target, stream))?;
        }
        Some(Link::stream(stream))
    }

    /// Sees both ways through the relay over connections: where these come through, UDP from
    /// outside may not.
    fn echo_inside(&mut self, own: &mut Allocation<'a>) -> Option<()> {
        let ip = own.relayed.ip();
        self.step("permission", |_| match permit(&mut own.client, own.relayed) {
            Ok(()) => Ok((ip.to_string(), ())),
            Err(trouble) => Err(explain("CreatePermission", &trouble)),
        })?;
        let reason = "--transport udp does that";
        self.step("relay to relay", |trial| trial.through_itself(own, reason))
    }

    /// Sees both ways through the relay. From outside where the policy allows this machine as a
    /// peer, else from one allocation to another.
    fn echo(&mut self, own: &mut Allocation<'a>) -> Option<()> {
        let peer = self.step("peer", Trial::peer)?;
        let (peer, address) = peer;
        let permitted = permit(&mut own.client, address);
        match permitted {
            Err(Trouble::Refused { code: 403, .. }) => self
                .step("relay to relay", |trial| trial.through_itself(own, &denial(address.ip()))),
            Ok(()) if self.is_shut_off(own, &peer, address) => self
                .step("relay to relay", |trial| trial.through_itself(own, &denial(address.ip()))),
            permitted => {
                self.step("permission", |_| match permitted {
                    Ok(()) => Ok((address.ip().to_string(), ())),
                    Err(trouble) => Err(explain("CreatePermission", &trouble)),
                })?;
                let peer = &peer;
                let seen = self.step("to the client", |trial| trial.come_in(own, peer))?;
                self.step("to the peer", |trial| trial.go_out(own, peer, seen))
            }
        }
    }

    /// A server's own addresses are permitted, for other relays on them, and nothing else there is
    /// reached unless its policy opens them.
    fn is_shut_off(&self, own: &Allocation<'_>, peer: &Client<'_>, address: SocketAddr) -> bool {
        let is_near = [own.relayed.ip(), self.target.server.ip()].contains(&address.ip());
        let comes_in = || {
            peer.send_bare(own.relayed, IN)?;
            own.client.data(IN, NEAR)
        };
        is_near && comes_in().is_err()
    }

    /// Does one thing and notes how it went and how long it took.
    fn step<T>(
        &mut self,
        name: &'static str,
        act: impl FnOnce(&Self) -> Result<(String, T), Failure>,
    ) -> Option<T> {
        let begun = Instant::now();
        let result = act(self);
        let took = begun.elapsed();
        let (outcome, value) = match result {
            Ok((detail, value)) => (Ok(detail), Some(value)),
            Err(failure) => (Err(failure), None),
        };
        self.steps.push(CheckStep { name, took, outcome });
        value
    }

    fn bind(&self, link: Option<Link>) -> Result<(String, SocketAddr), Failure> {
        let Target { server, patience, .. } = *self.target;
        let mut client = match link {
            Some(link) => Client::new(link, server, None, patience),
            None => self.client(None)?,
        };
        client.connect().map_err(|trouble| explain("Binding", &trouble))?;
        let answered = dial::again(patience, || mapped(&mut client));
        let mapped = answered.map_err(|trouble| self.unanswered(&trouble))?;
        Ok((format!("the server sees this machine as {mapped}"), mapped))
    }

    /// Why the first request came to nothing; where it was over UDP alone, what else to try.
    fn unanswered(&self, trouble: &Trouble) -> Failure {
        let Failure { mut problem, mut remedy } = explain("Binding", trouble);
        let is_udp = self.target.transport == CheckTransport::Udp;
        if is_udp && matches!(trouble, Trouble::Silence | Trouble::Closed) {
            problem = format!("Binding: nobody answers there over UDP ({})", why(trouble));
            if !self.target.is_chosen {
                remedy.push_str("; --transport tcp and --transport tls try the others");
            }
        }
        if let (Some(network), false) = (self.target.proxy, is_udp) {
            remedy = proxied(network);
        }
        Failure { problem, remedy }
    }

    /// A second socket, for the other end of a call, and its address as the server sees it.
    fn peer(&self) -> Result<(String, (Client<'a>, SocketAddr)), Failure> {
        let mut client = self.client(None)?;
        let mapped = mapped(&mut client).map_err(|trouble| explain("Binding", &trouble))?;
        Ok((format!("{mapped}, a second socket of this machine"), (client, mapped)))
    }

    fn allocate(&self, mapped: SocketAddr) -> Result<(String, Allocation<'a>), Failure> {
        let mut client = self.client(self.target.user)?;
        let failed = |trouble: Trouble| explain("Allocate", &trouble);
        client.connect().map_err(failed)?;
        let family = Family::of(self.target.server.ip());
        let answer = client
            .ask(Method::Allocate, |request| {
                request.requested_transport(TRANSPORT_UDP);
                if family == Family::V6 {
                    request.requested_family(Family::V6);
                }
            })
            .map_err(failed)?;
        let relayed = address(&answer, AttributeType::XOR_RELAYED_ADDRESS)
            .ok_or(Trouble::Nonsense)
            .map_err(failed)?;
        self.judge_relayed(relayed, mapped)?;
        let detail = format!("relayed address {relayed}, realm {}", client.realm());
        Ok((detail, Allocation { client, relayed }))
    }

    /// Whoever reaches a server at a public address cannot reach a relay at a private one.
    fn judge_relayed(&self, relayed: SocketAddr, mapped: SocketAddr) -> Result<(), Failure> {
        let policy = PeerPolicy::new(&[], &[], &[]);
        let is_public = |address: SocketAddr| policy.judge(address.ip()) == Judgement::Allowed;
        let is_far = is_public(mapped) && is_public(self.target.server);
        if !is_far || is_public(relayed) {
            return Ok(());
        }
        Err(Failure {
            problem: format!("the relayed address {relayed} is not a public one"),
            remedy: "tell the server its public address: external-ip".to_owned(),
        })
    }

    /// A datagram to the relayed address must come to the client; says from which address.
    fn come_in(
        &self,
        own: &Allocation<'_>,
        peer: &Client<'_>,
    ) -> Result<(String, SocketAddr), Failure> {
        let seen =
            self.repeat(|| peer.send_bare(own.relayed, IN), |wait| own.client.data(IN, wait));
        let seen = seen.map_err(|trouble| Failure {
            problem: format!(
                "nothing sent to {} reached the client: {}",
                own.relayed,
                why(&trouble)
            ),
            remedy: "let UDP in to the relay ports (relay-ports) in the server's firewall and \
                     security group"
                .to_owned(),
        })?;
        Ok((format!("from {seen} through {}", own.relayed), seen))
    }

    /// What the client sends must leave from the relayed address.
    fn go_out(
        &self,
        own: &Allocation<'_>,
        peer: &Client<'_>,
        to: SocketAddr,
    ) -> Result<(String, ()), Failure> {
        let from = self.repeat(|| own.client.send_to_peer(to, OUT), |wait| peer.bare(OUT, wait));
        let from = from.map_err(|trouble| Failure {
            problem: format!("nothing sent to the peer {to} arrived: {}", why(&trouble)),
            remedy: "let UDP out of the relay ports in the server's firewall".to_owned(),
        })?;
        Ok((format!("from {from} to {to}"), ()))
    }

    /// From one allocation to another and back, without leaving the server.
    fn through_itself(
        &self,
        own: &mut Allocation<'a>,
        reason: &str,
    ) -> Result<(String, ()), Failure> {
        let (_, mut other) = self.allocate(own.relayed)?;
        for (client, peer) in [(&mut own.client, other.relayed), (&mut other.client, own.relayed)] {
            permit(client, peer).map_err(|trouble| explain("CreatePermission", &trouble))?;
        }
        for (from, to) in [(&*own, &other), (&other, &*own)] {
            let got = self.repeat(
                || from.client.send_to_peer(to.relayed, OUT),
                |wait| to.client.data(OUT, wait),
            );
            got.map_err(|trouble| Failure {
                problem: format!(
                    "nothing came from {} to {}: {}",
                    from.relayed,
                    to.relayed,
                    why(&trouble)
                ),
                remedy: "look at the server's log and `uturn status`".to_owned(),
            })?;
        }
        release(&mut other)?;
        let detail = format!("both ways; the relay ports were not tried from outside, {reason}");
        Ok((detail, ()))
    }

    /// Sends and listens, a few times.
    fn repeat(
        &self,
        send: impl Fn() -> Result<(), Trouble>,
        hear: impl Fn(Duration) -> Result<SocketAddr, Trouble>,
    ) -> Result<SocketAddr, Trouble> {
        for _ in 0..TRIES {
            send()?;
            match hear(self.target.patience / TRIES) {
                Err(Trouble::Silence) => {}
                heard => return heard,
            }
        }
        Err(Trouble::Silence)
    }

    fn client(&self, user: Option<&'a User>) -> Result<Client<'a>, Failure> {
        let Target { server, patience, .. } = *self.target;
        let link = match self.target.transport {
            CheckTransport::Udp => {
                Link::datagrams(server).map_err(|trouble| explain("a socket", &trouble))?
            }
            CheckTransport::Tcp | CheckTransport::Tls => dial::link(self.target)?,
        };
        Ok(Client::new(link, server, user, patience))
    }
}

fn denial(ip: IpAddr) -> String {
    format!("since the server relays nothing to {ip}")
}

fn mapped(client: &mut Client<'_>) -> Result<SocketAddr, Trouble> {
    let answer = client.ask(Method::Binding, |_| {})?;
    address(&answer, AttributeType::XOR_MAPPED_ADDRESS).ok_or(Trouble::Nonsense)
}

fn permit(client: &mut Client<'_>, peer: SocketAddr) -> Result<(), Trouble> {
    client.ask(Method::CreatePermission, |request| _ = request.xor_peer_address(peer)).map(drop)
}

fn release(allocation: &mut Allocation<'_>) -> Result<(String, ()), Failure> {
    let ended = allocation.client.ask(Method::Refresh, |request| _ = request.lifetime_s(0));
    ended.map_err(|trouble| explain("Refresh", &trouble))?;
    Ok((format!("{} is free again", allocation.relayed), ()))
}

fn address(answer: &[u8], kind: AttributeType) -> Option<SocketAddr> {
    Message::parse(answer).ok()?.xor_address(kind).ok()?
}
