//! Each request, answered.

use std::path::PathBuf;
use std::sync::Arc;

use super::commands::{CommandSender, DrainRequest, Progress, ServerStatus, State};
use super::line_writer::{BrokenOff, LineWriter};
use super::protocol::{
    BoundChannel, CertificateRow, ControlRequest, Draining, Held, Line, PermittedPeer,
    SessionDetail, SessionRow, Status, seconds,
};
use crate::control::config::{Config, Origin};
use crate::control::log::refused::recent::RecentRefusals;
use crate::control::log::totals::{Totals, held};
use crate::control::metrics::Node;
use crate::turn::{self, SessionId, WorkerIndex};
use crate::worker::Workers;

/// Where requests are answered.
pub(in crate::control) struct Handler {
    pub(in crate::control) workers: Arc<Workers>,
    pub(in crate::control) node: Arc<Node>,
    pub(in crate::control) commands: CommandSender,
    pub(in crate::control) place: FixedStatus,
    pub(in crate::control) refusals: RecentRefusals,
}

/// What does not change while a server runs.
#[derive(Debug)]
pub(in crate::control) struct FixedStatus {
    config: Option<PathBuf>,
    relay_ports: String,
}

impl FixedStatus {
    /// Notes where a server is.
    pub(in crate::control) fn of(config: &Config, origin: &Origin) -> Self {
        Self { config: origin.file.clone(), relay_ports: config.values.relay_ports.to_string() }
    }
}

impl Handler {
    pub(super) async fn answer(
        &self,
        request: ControlRequest,
        writer: &mut LineWriter,
    ) -> Result<(), BrokenOff> {
        match request {
            ControlRequest::Status {} => {
                let status = Box::new(self.status().await);
                Ok(writer.write(&Line::Status(status)).await?)
            }
            ControlRequest::Sessions { user } => self.list(user.as_deref(), writer).await,
            ControlRequest::Session { id } => self.show(&id, writer).await,
            ControlRequest::Refusals { user, client } => {
                for row in self.refusals.rows(user.as_deref(), client) {
                    writer.write(&Line::Refusal(row.into())).await?;
                }
                Ok(())
            }
            ControlRequest::Kill { id } => self.end(&id, writer).await,
            ControlRequest::Reload {} => {
                let change = self.commands.reload().await?;
                Ok(writer.write(&Line::Reloaded(change)).await?)
            }
            ControlRequest::Drain { deadline_s, alternate } => {
                self.commands.drain(DrainRequest { deadline_s, alternate }).await?;
                self.watch_drain(writer).await
            }
            ControlRequest::Top {} => self.watch_figures(writer).await,
            ControlRequest::Cancel {} => {
                self.commands.cancel().await?;
                Ok(writer.write(&Line::Serving {}).await?)
            }
        }
    }

    async fn status(&self) -> Status {
        let (about, place) = (&self.node.about, &self.place);
        let sample = self.node.sampler.sample().await;
        let server = self.commands.status();
        let mut totals = Totals::default();
        sample.known.iter().for_each(|snapshot| totals += snapshot);
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            state: server.state.word().to_owned(),
            uptime_s: about.begun.elapsed().as_secs(),
            driver: about.driver.to_owned(),
            workers: about.workers,
            workers_answering: sample.answered.len(),
            config: place.config.clone(),
            realm: server.realm,
            listen: server.listen,
            relays: server.relays,
            relay_ports: place.relay_ports.clone(),
            allocations: sample.known.iter().map(|snapshot| snapshot.turn.live).sum(),
            allocations_limit: server.allocations_limit,
            allocations_opened: totals.allocations,
            connections: sample.known.iter().map(|it| it.streams.open).sum(),
            connections_unauthenticated: sample.known.iter().map(|it| it.streams.strangers).sum(),
            to_peers: totals.to_peers.into(),
            to_clients: totals.to_clients.into(),
            between_clients: totals.between_clients.into(),
            dropped: totals.dropped,
            held: Held::of(&held(&sample.known)),
            certificates: server.certificates.into_iter().map(CertificateRow::from).collect(),
        }
    }

    /// Tells how far a drain is until it is over.
    async fn watch_drain(&self, writer: &mut LineWriter) -> Result<(), BrokenOff> {
        let mut status = self.commands.watch();
        loop {
            let state = status.borrow_and_update().state.clone();
            match state {
                State::Draining(Progress { left, begun_with, left_s }) => {
                    let draining = Draining { allocations: left, begun_with, left_s };
                    writer.write(&Line::Draining(draining)).await?;
                }
                State::Drained { left } => {
                    return Ok(writer.write(&Line::Drained { left }).await?);
                }
                State::Serving => return Err("draining was called off".to_owned().into()),
                State::Stopping => {
                    return Err("the server was stopped before it had drained".to_owned().into());
                }
            }
            status.changed().await.map_err(|_| "the server has ended".to_owned())?;
        }
    }

    /// Lists sessions page by page, worker by worker. Whoever comes or goes meanwhile may be
    /// missing.
    async fn list(&self, user: Option<&str>, writer: &mut LineWriter) -> Result<(), BrokenOff> {
        let status = self.commands.status();
        for worker in 0..self.node.about.workers {
            let worker = WorkerIndex(u8::try_from(worker).expect("there are 128 workers at most"));
            let mut from = Some(0);
            while let Some(at) = from {
                let page = self.sessions(worker, at, user).await?;
                for session in page.items {
                    writer.write(&Line::Session(self.session_line(&session, &status))).await?;
                }
                from = page.next;
            }
        }
        Ok(())
    }

    async fn show(&self, id: &str, writer: &mut LineWriter) -> Result<(), BrokenOff> {
        let Some(detail) = self.session(self.named(id)?).await? else { return Err(none(id)) };
        let status = self.commands.status();
        let permitted = detail
            .permitted
            .iter()
            .map(|it| PermittedPeer { peer: it.peer, left_s: seconds(it.left_ms) });
        let bound = detail.bound.iter().map(|it| BoundChannel {
            channel: it.number,
            peer: it.peer,
            left_s: seconds(it.left_ms),
        });
        let (permitted, bound) = (permitted.collect(), bound.collect());
        let session = self.session_line(&detail.session, &status);
        let line = Line::Detail(Box::new(SessionDetail { session, permitted, bound }));
        Ok(writer.write(&line).await?)
    }

    async fn end(&self, id: &str, writer: &mut LineWriter) -> Result<(), BrokenOff> {
        if !self.kill(self.named(id)?).await? {
            return Err(none(id));
        }
        Ok(writer.write(&Line::Killed(id.to_owned())).await?)
    }

    /// The session a text names; one of a worker that does not exist is none.
    fn named(&self, id: &str) -> Result<SessionId, BrokenOff> {
        let session: SessionId = id.parse().map_err(|error| format!("'{id}' is {error}"))?;
        let exists = usize::from(session.worker.0) < self.node.about.workers;
        if exists { Ok(session) } else { Err(none(id)) }
    }

    pub(super) fn session_line(
        &self,
        session: &turn::Session,
        status: &ServerStatus,
    ) -> SessionRow {
        SessionRow {
            id: session.id.to_string(),
            user: session.user.to_string(),
            realm: status.realm.clone(),
            transport: session.path.transport.name().to_owned(),
            client: session.path.client(),
            server: status.server(session.path.flow.listener),
            relayed: session.relayed.iter().copied().collect(),
            permissions: session.permissions,
            channels: session.channels,
            age_s: seconds(session.age_ms),
            left_s: seconds(session.left_ms),
            to_peers: session.traffic.to_peers.into(),
            to_client: session.traffic.to_client.into(),
        }
    }
}

fn none(id: &str) -> BrokenOff {
    BrokenOff::Problem(format!("there is no session {id}"))
}
