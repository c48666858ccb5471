//! Brings a server up: the log, the workers, the banner, and then its supervisor.

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::Receiver;
use tokio::sync::watch;
use tracing::{error, info, warn};

use super::background::Background;
use super::change::follow::Followed;
use super::change::reload::Reload;
use super::change::renewal::Renewal;
use super::change::rules::Rules;
use super::reports::reports;
use super::service::Service;
use super::signals::Signals;
use super::start::plan::{Holder, StartRules, nonces, open_files, plan};
use super::start::runtime::Runtime;
use super::start::{banner, files, memory};
use super::supervisor::{self, Supervisor};
use crate::control::admin::{
    commands::{ServerStatus, command_channel},
    handler::{FixedStatus, Handler},
    places::bind_first,
    socket::ControlSocket,
};
use crate::control::config::{Config, ControlPath, IoChoice, Origin, environment};
use crate::control::log::drops::Drops;
use crate::control::log::events::EventLog;
use crate::control::log::output;
use crate::control::log::output::Level;
use crate::control::metrics::{
    About, Losses, MetricsListeners, Node, Readiness, sampler::SnapshotSampler,
};
use crate::control::network::watch::Watch;
use crate::control::usage::{
    self, UsageRecords,
    counts::RecordCounts,
    record::Names,
    writer::{Interim, Writer},
};
use crate::io::{BufferSizes, Facts};
use crate::turn::{Alternates, ListenerId, RelayAddress, Settings, WorkerIndex};
use crate::worker::{
    self, DriverKind, GrantedSockets, Limits, Listen, Snapshot, SpawnError, StreamRules, Tell,
    Workers,
};

/// How long the log's reader has for the last lines, once everything else has ended.
const LAST_LINES_WITHIN: Duration = Duration::from_secs(1);

/// Serves until a signal comes or a worker fails. Standard output gets the banner, standard error
/// the log.
///
/// Exit status: 0 when asked to stop, 1 when the server could not start or failed, 128 and the
/// signal's number when a second signal came before the end.
pub fn serve(config: Config, origin: Origin) -> ExitCode {
    let level = match output::start(&config.values) {
        Ok(level) => level,
        Err(error) => {
            eprintln!("uturn: there can be no log: {error}");
            return ExitCode::FAILURE;
        }
    };
    memory::settle(config.values.core_dumps.0);
    config.exposed.iter().for_each(|exposure| warn!("{exposure}"));
    config.idle_keys().iter().for_each(|idle| warn!("{idle}"));
    environment::unknown().iter().for_each(|unknown| warn!("{unknown}"));
    let status = try_serve(config, origin, level).unwrap_or_else(|error| {
        error!("the server cannot start: {error}");
        ExitCode::FAILURE
    });
    output::wait_until_written(LAST_LINES_WITHIN);
    status
}

fn try_serve(config: Config, origin: Origin, level: Level) -> io::Result<ExitCode> {
    let runtime = Runtime::new(config.values.io)?;
    // Handlers are in place before there is anything that a signal could leave half done.
    let signals = runtime.block_on(async { Signals::new() })?;
    let metrics = MetricsListeners::bind(&config.metrics)?;
    let control = control_socket(&config)?;
    let (handler, commands, status) = command_channel(ServerStatus::serving(&config));
    let names = Names { status: status.subscribe() };
    let counts = Arc::new(RecordCounts::default());
    let (records, writer) = open_records(&config, &runtime, &names, &counts)?;
    let (tell, reports) = reports();
    let nonces = nonces()?;
    let renewal = renewal(&config, &runtime, &status)?;
    let rules = StartRules::of(&config, &nonces, &renewal.holds);
    let (workers, driver) = spawn(&config, &rules, &tell).map_err(io::Error::other)?;
    drop(tell);
    let (workers, name) = (Arc::new(workers), driver_name(driver));
    let readiness = Readiness::new();
    let losses = Losses { usage: counts, reports: reports.lost_so_far(), log: output::lost() };
    let node = Arc::new(node(&config, &workers, name, &readiness, losses, status.subscribe()));
    let place = FixedStatus::of(&config, &origin);
    let events = EventLog::new(Instant::now(), config.listeners(), records.unwrap_or_default());
    let (asked, refusals) = (Arc::clone(&workers), events.recent_refusals());
    let handler = Handler { workers: asked, node, commands: handler, place, refusals };
    answer(&runtime, metrics, control.as_ref(), handler)?;
    let control_path = control.as_ref().map(ControlSocket::path);
    banner::print(&config, name, control_path);
    log_start(&config, name, control_path, workers.granted());
    let alive = config.workers.len();
    let writing = writer.map(|writer| writer.run(interim(&config, &workers, names)));
    let reload = Reload::new(origin, config, nonces, level);
    let service = Service::of_this_process();
    let followed = follow(reload.config(), &status);
    let watch = runtime.block_on(async { Watch::begin() });
    let next_beat = service.every.map(|_| Instant::now());
    let supervisor = Supervisor {
        workers,
        alive,
        background: Background::new(),
        reports,
        signals,
        events,
        drops: Drops::default(),
        readiness,
        reload,
        rules: Rules::new(rules.settings),
        commands,
        status,
        service,
        watch,
        followed,
        renewal,
        drain: None,
        next_beat,
        reading: None,
    };
    let status = runtime.block_on(usage::beside(supervisor.run(), writing));
    runtime.leave();
    Ok(status)
}

/// Reads the certificates and begins to watch their files.
fn renewal(
    config: &Config,
    runtime: &Runtime,
    status: &watch::Sender<ServerStatus>,
) -> io::Result<Renewal> {
    let renewal = runtime.block_on(async { Renewal::begin(&config.tls_files()) });
    let renewal = renewal.map_err(|unfit| io::Error::other(unfit.at_start()))?;
    status.send_modify(|status| status.certificates.clone_from(&renewal.holds.facts));
    Ok(renewal)
}

/// Binds the control socket: where the configuration says, or else where it can be. A server that
/// was told no place serves without one, too.
fn control_socket(config: &Config) -> io::Result<Option<ControlSocket>> {
    match &config.values.control {
        Some(ControlPath::Off) => Ok(None),
        Some(ControlPath::At(path)) => ControlSocket::bind(path).map(Some),
        None => match bind_first() {
            Ok(socket) => Ok(Some(socket)),
            Err(why) => {
                info!("no control socket: {why}; `control` names another place, or is \"off\"");
                Ok(None)
            }
        },
    }
}

/// Opens the file of usage records, if one is configured, with what writes to it.
fn open_records(
    config: &Config,
    runtime: &Runtime,
    names: &Names,
    counts: &Arc<RecordCounts>,
) -> io::Result<(Option<UsageRecords>, Option<Writer>)> {
    let path = config.values.usage_records.as_ref().map(|path| path.0.as_path());
    let open = |path| UsageRecords::open(path, runtime.has_ring(), names.clone(), counts);
    Ok(path.map(open).transpose()?.unzip())
}

/// Begins to answer on the metrics addresses and at the control socket.
fn answer(
    runtime: &Runtime,
    metrics: MetricsListeners,
    control: Option<&ControlSocket>,
    handler: Handler,
) -> io::Result<()> {
    runtime.block_on(async {
        metrics.open(&handler.node)?;
        control.map_or(Ok(()), |socket| handler.open(socket))
    })
}

/// What interim records are made from, if they are wanted.
fn interim(config: &Config, workers: &Arc<Workers>, names: Names) -> Option<Interim> {
    let interval_s = config.values.usage_interval;
    (interval_s > 0).then(|| Interim {
        every: Duration::from_secs(interval_s.into()),
        workers: Arc::clone(workers),
        count: config.workers.len(),
        names,
    })
}

/// Begins to follow the machine's addresses, and tells which of those configured it lacks.
fn follow(config: &Config, status: &watch::Sender<ServerStatus>) -> Followed {
    let followed = Followed::new(config);
    let lacking = followed.lacking(config);
    status.send_modify(|status| status.lacking = lacking);
    followed
}

/// What is shown on the metrics addresses, if there are any.
fn node(
    config: &Config,
    workers: &Arc<Workers>,
    driver: &'static str,
    readiness: &Readiness,
    losses: Losses,
    status: watch::Receiver<ServerStatus>,
) -> Node {
    let asked = Arc::clone(workers);
    let about = About {
        driver,
        workers: config.workers.len(),
        started: SystemTime::now(),
        begun: Instant::now(),
        losses,
    };
    let sampler = SnapshotSampler::new(about.begun, move || asked.snapshots());
    Node { about, sampler, readiness: readiness.clone(), status }
}

/// Takes io_uring if it is wanted and works, else the portable driver.
fn spawn(
    config: &Config,
    rules: &StartRules,
    tell: &Tell,
) -> Result<(Workers, DriverKind), SpawnError> {
    let facts = facts(config.values.io);
    facts.missing().for_each(|line| warn!("{line}"));
    if config.values.busy_poll_us > 0
        && (config.values.io == IoChoice::Portable || !facts.busy_poll)
    {
        warn!("busy-poll-us has no effect: it needs io_uring and kernel 6.9");
    }
    let with = |driver| {
        let limit = files::raise_limit(open_files(config, Holder::of(driver, &facts)));
        let workers = worker::spawn(&plan(config, rules, driver, &facts, limit), tell);
        workers.map(|workers| (workers, driver))
    };
    match (config.values.io, facts.uring) {
        (IoChoice::Portable, _) | (IoChoice::Auto, Err(_)) => with(DriverKind::Portable),
        (IoChoice::Uring, Err(obstacle)) => Err(SpawnError::Driver(io::Error::other(obstacle))),
        (IoChoice::Uring, Ok(())) => with(DriverKind::Uring),
        (IoChoice::Auto, Ok(())) => match with(DriverKind::Uring) {
            // A trial ring may fit into the limits where those of the workers do not.
            Err(SpawnError::Driver(error)) => {
                warn!(%error, "the rings of the workers cannot be made: epoll takes their place");
                with(DriverKind::Portable)
            }
            outcome => outcome,
        },
    }
}

/// Finds out what the kernel can do; what a ring would lack is nothing to the portable driver.
fn facts(choice: IoChoice) -> Facts {
    let facts = Facts::probe();
    match choice {
        IoChoice::Portable => {
            let uring = Ok(());
            Facts { uring, registered_files: true, direct_sockets: true, ..facts }
        }
        IoChoice::Uring | IoChoice::Auto => facts,
    }
}

fn driver_name(driver: DriverKind) -> &'static str {
    match driver {
        DriverKind::Uring => "io_uring",
        DriverKind::Portable => "epoll",
    }
}

fn log_start(config: &Config, driver: &str, control: Option<&Path>, granted: GrantedSockets) {
    info!(
        version = env!("CARGO_PKG_VERSION"),
        listen = ?config.listen,
        listen_tls = ?config.listen_tls,
        relay_ports = %config.values.relay_ports,
        workers = config.workers.len(),
        driver,
        metrics = ?config.metrics,
        control = control.map(|path| tracing::field::display(path.display())),
        "started"
    );
    if config.local.is_empty() {
        warn!(
            "the kernel does not say what this machine's addresses are: only those configured are \
               closed to clients"
        );
    }
    for address in &config.missing {
        warn!(%address, "not an address of this machine yet");
    }
    for relayed in config.private_relays() {
        warn!(%relayed, "the advertised relay address is private: behind 1:1 NAT set external-ip");
    }
    if !granted.requests_apart {
        warn!(
            "the kernel takes no BPF program for the listening sockets: requests share their buffers \
             with payload and may be lost under overload"
        );
    }
    if let Some(buffers) = granted.buffers {
        log_buffers(buffers);
    }
}

/// Says which sysctl holds socket buffers below what was asked for.
fn log_buffers(granted: BufferSizes) {
    let wanted = BufferSizes::LISTENING;
    for (sysctl, granted, wanted) in [
        ("net.core.rmem_max", granted.receive_bytes, wanted.receive_bytes),
        ("net.core.wmem_max", granted.send_bytes, wanted.send_bytes),
    ] {
        if granted < wanted {
            warn!(sysctl, granted, wanted, "socket buffers are smaller than asked for: raise it");
        }
    }
}

impl supervisor::WorkerControl for Arc<Workers> {
    fn stop(&self) {
        Workers::stop(self);
    }

    fn retry(&self) -> bool {
        Workers::retry(self)
    }

    fn snapshots(&self) -> Receiver<Snapshot> {
        Workers::snapshots(self)
    }

    fn drain(&self, alternates: Option<Alternates>) {
        Workers::drain(self, alternates);
    }

    fn listen(&self, listener: ListenerId, listen: Listen) -> Result<(), SpawnError> {
        Workers::listen(self, listener, listen)
    }

    fn set_stream_rules(&self, rules: &Arc<StreamRules>) {
        Workers::set_stream_rules(self, rules);
    }

    fn relay_on(&self, relays: &[RelayAddress]) {
        Workers::relay_on(self, relays);
    }

    fn stop_listening(&self, listener: ListenerId) {
        Workers::stop_listening(self, listener);
    }

    fn reconfigure(&self, settings: &Arc<Settings>, limits: Limits) -> Receiver<WorkerIndex> {
        Workers::reconfigure(self, settings, limits)
    }
}
