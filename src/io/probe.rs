//! What this kernel can do, found out once at start, by trying.
//!
//! A version number says little: distributions port features back, containers take them away. So a
//! small driver is made, receives a datagram from itself and lets go of a socket, and what fails is
//! a fact. io_uring is used from kernel 6.1; each missing feature costs something and has its line.

use std::{
    error::Error,
    fmt, fs, io,
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use super::{
    driver::Driver,
    event::{Event, Receive, SocketId, Wait},
    settings::Settings,
    socket::open::{self as sockets, BufferSizes},
    sys,
    uring::{self, UringDriver},
};

/// How long the trial waits for its own datagram, or for a port to become free.
const TRIAL: Duration = Duration::from_millis(500);
const SYSCTL: &str = "/proc/sys/kernel/io_uring_disabled";

/// What the kernel can do for a driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Whether [`UringDriver`] works here, and if not, why.
    pub uring: Result<(), Obstacle>,
    /// The kernel polls the devices' queues for a ring (6.9).
    pub busy_poll: bool,
    /// A registered socket is released when it is closed, whatever others do (6.13).
    pub registered_files: bool,
    /// The ring opens and binds sockets, which then have no descriptor (6.11) unless they are given
    /// away (6.8).
    pub direct_sockets: bool,
    /// Trains are received whole (UDP_GRO, 5.0).
    pub gro: bool,
    /// Trains are sent whole (UDP_SEGMENT, 4.18).
    pub segmentation: bool,
}

/// Why there is no io_uring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// The kernel was built without it, or is older than 5.1.
    Absent,
    /// A sandbox forbids it; containers commonly do.
    Forbidden,
    /// The sysctl `kernel.io_uring_disabled` switches it off.
    Disabled,
    /// No deferred task work for a single issuer (kernel 6.1).
    TooOld,
    /// No ring of provided buffers (kernel 5.19).
    NoBufferRing,
    /// A receive that completes more than once did not work (kernel 6.0).
    NoMultishot,
    /// The limits of memory, locked memory or open files do not suffice.
    NoRoom,
    /// Something else; the errno.
    Other(i32),
}

impl Facts {
    /// A kernel that lacks nothing.
    #[cfg(test)]
    pub(crate) const ALL: Self = Self {
        uring: Ok(()),
        busy_poll: true,
        registered_files: true,
        direct_sockets: true,
        gro: true,
        segmentation: true,
    };

    /// Tries everything. Takes some milliseconds.
    #[must_use]
    pub fn probe() -> Self {
        let trial = Trial::run();
        Self {
            uring: trial.as_ref().map(drop).map_err(|obstacle| *obstacle),
            busy_poll: trial.as_ref().is_ok_and(|trial| trial.busy_poll),
            registered_files: trial.as_ref().is_ok_and(|trial| trial.registered_files),
            direct_sockets: trial.is_ok_and(|trial| trial.direct_sockets),
            gro: has_option(libc::UDP_GRO, 1),
            segmentation: has_option(libc::UDP_SEGMENT, 1200),
        }
    }

    /// The settings with what is missing switched off.
    #[must_use]
    pub fn adapt(&self, settings: Settings) -> Settings {
        Settings {
            segmentation: settings.segmentation && self.segmentation,
            registered_files: settings.registered_files && self.registered_files,
            direct_sockets: settings.direct_sockets && self.direct_sockets,
            busy_poll_us: if self.busy_poll { settings.busy_poll_us } else { 0 },
            ..settings
        }
    }

    /// One line for each missing feature: what, since which kernel, and what happens instead.
    pub fn missing(&self) -> impl Iterator<Item = String> {
        let uring = self.uring.err().map(|obstacle| {
            format!("{obstacle}: packets go through epoll, recvmmsg and sendmmsg instead")
        });
        let usable = self.uring.is_ok();
        let features = [
            (
                usable && !self.registered_files,
                "io_uring keeps closed sockets that were registered (kernel 6.13): \
                 sockets are used unregistered instead, at 2 % more CPU per send",
            ),
            (
                usable && !self.direct_sockets,
                "io_uring cannot open sockets by itself (kernel 6.11, and 6.13 to close them): each \
                 relayed address takes a dozen system calls and an open file instead",
            ),
            (!self.gro, "no UDP_GRO (kernel 5.0): trains of datagrams arrive one by one instead"),
            (
                !self.segmentation,
                "no UDP_SEGMENT (kernel 4.18): every datagram is a send of its own instead",
            ),
        ];
        let features = features.into_iter().filter(|(missing, _)| *missing);
        uring.into_iter().chain(features.map(|(_, line)| line.to_owned()))
    }
}

impl Obstacle {
    fn of(error: &io::Error) -> Self {
        match error.raw_os_error().unwrap_or(0) {
            libc::ENOSYS => Self::Absent,
            libc::EPERM | libc::EACCES if is_disabled() => Self::Disabled,
            libc::EPERM | libc::EACCES => Self::Forbidden,
            libc::EINVAL => Self::TooOld,
            libc::ENOMEM | libc::EMFILE | libc::ENFILE | libc::EAGAIN => Self::NoRoom,
            errno => Self::Other(errno),
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => write!(f, "this kernel has no io_uring (6.1 is needed)"),
            Self::Forbidden => write!(f, "io_uring is forbidden here, as in most containers"),
            Self::Disabled => write!(f, "io_uring is switched off by kernel.io_uring_disabled"),
            Self::TooOld => write!(f, "io_uring is older than kernel 6.1 (no DEFER_TASKRUN)"),
            Self::NoBufferRing => write!(f, "io_uring has no buffer rings (kernel 5.19)"),
            Self::NoMultishot => write!(f, "io_uring has no multishot receive (kernel 6.0)"),
            Self::NoRoom => write!(f, "io_uring does not fit into the limits of memory and files"),
            Self::Other(errno) => {
                write!(f, "io_uring failed: {}", io::Error::from_raw_os_error(*errno))
            }
        }
    }
}

impl Error for Obstacle {}

/// Whether the sysctl forbids io_uring to this process (1: to the unprivileged, 2: to all).
fn is_disabled() -> bool {
    fs::read_to_string(SYSCTL).is_ok_and(|value| value.trim() != "0")
}

fn has_option(name: libc::c_int, value: libc::c_int) -> bool {
    let socket = socket();
    socket.is_ok_and(|socket| sys::set_option(&socket, libc::SOL_UDP, name, value).is_ok())
}

/// A socket on whichever loopback there is.
fn socket() -> io::Result<UdpSocket> {
    let v4 = SocketAddr::from(([127, 0, 0, 1], 0));
    let v6 = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 0));
    sockets::relay(v4, BufferSizes::RELAY).or_else(|_| sockets::relay(v6, BufferSizes::RELAY))
}

/// A small driver at work.
struct Trial {
    busy_poll: bool,
    registered_files: bool,
    direct_sockets: bool,
}

impl Trial {
    fn run() -> Result<Self, Obstacle> {
        let settings = Settings { buffers: 4, sockets: 4, ..Settings::default() };
        let mut driver = UringDriver::new(&settings).map_err(|error| obstacle(&error))?;
        let busy_poll = driver.kernel.polls_devices();
        let registered_files = releases_sockets(&mut driver)?;
        let direct_sockets = registered_files && opens_sockets(&mut driver)?;
        Ok(Self { busy_poll, registered_files, direct_sockets })
    }
}

/// Tells a missing buffer ring from a missing ring, which fail alike.
fn obstacle(error: &io::Error) -> Obstacle {
    let whole = Obstacle::of(error);
    if whole == Obstacle::TooOld && uring::Kernel::has_ring() {
        Obstacle::NoBufferRing
    } else {
        whole
    }
}

/// Whether a closed socket's port is free while another socket goes on receiving.
fn releases_sockets(driver: &mut UringDriver) -> Result<bool, Obstacle> {
    let failed = |error: io::Error| Obstacle::of(&error);
    let staying = driver.open(socket().map_err(failed)?).map_err(failed)?;
    let leaving = socket().map_err(failed)?;
    let address = leaving.local_addr().map_err(failed)?;
    let leaving = driver.open(leaving).map_err(failed)?;
    receives(driver, leaving, address).map_err(failed)?.ok_or(Obstacle::NoMultishot)?;
    driver.close(leaving);
    let closed = |event: &Event| matches!(event, Event::Closed(socket) if *socket == leaving);
    wait_for(driver, closed).map_err(failed)?;
    driver.close(staying);
    Ok(sockets::relay(address, BufferSizes::RELAY).is_ok())
}

/// Whether the ring opens a socket at an address, one that hears, and gives it away again.
fn opens_sockets(driver: &mut UringDriver) -> Result<bool, Obstacle> {
    let failed = |error: io::Error| Obstacle::of(&error);
    // A port that was free a moment ago.
    let address = socket().and_then(|socket| socket.local_addr()).map_err(failed)?;
    let opened = driver.bind(address, Receive::Now).map_err(failed)?;
    let answer = |event: &Event| match event {
        Event::Opened(socket) | Event::Refused(socket, _) => *socket == opened,
        _ => false,
    };
    let Some(Event::Opened(opened)) = wait_for(driver, answer).map_err(failed)? else {
        return Ok(false);
    };
    let hears = receives(driver, opened, address).map_err(failed)?.is_some();
    driver.take(opened);
    let gone = |event: &Event| match event {
        Event::Taken(socket, _) | Event::Closed(socket) => *socket == opened,
        _ => false,
    };
    let gone = wait_for(driver, gone).map_err(failed)?;
    let is_taken = matches!(gone, Some(Event::Taken(..)));
    // The last descriptor of the socket.
    drop(gone);
    Ok(hears && is_taken && sockets::relay(address, BufferSizes::RELAY).is_ok())
}

/// Whether the socket at `address` hears what is sent to it, twice.
fn receives(driver: &mut UringDriver, at: SocketId, address: SocketAddr) -> io::Result<Option<()>> {
    let source = socket()?;
    for _ in 0..2 {
        source.send_to(b"trial", address)?;
        let heard = |event: &Event| matches!(event, Event::Received(got) if got.socket == at);
        if wait_for(driver, heard)?.is_none() {
            return Ok(None);
        }
    }
    Ok(Some(()))
}

/// Turns until an event is the wanted one; `None` when the trial's time is up.
fn wait_for(
    driver: &mut UringDriver,
    wanted: impl Fn(&Event) -> bool,
) -> io::Result<Option<Event>> {
    let give_up = Instant::now() + TRIAL;
    while Instant::now() < give_up {
        driver.turn(Wait::For(TRIAL / 10))?;
        let event = std::iter::from_fn(|| driver.next()).find(&wanted);
        if event.is_some() {
            return Ok(event);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_kernel_can_be_probed() {
        let facts = Facts::probe();
        eprintln!("missing here: {:?}", facts.missing().collect::<Vec<_>>());
        assert_eq!(facts.uring.is_ok(), UringDriver::new(&Settings::default()).is_ok());
    }

    #[test]
    fn every_missing_feature_has_a_line() {
        assert_eq!(Facts::ALL.missing().count(), 0);
        let old = Facts { registered_files: false, direct_sockets: false, ..Facts::ALL };
        assert_eq!(old.missing().count(), 2);
        let none = Facts { uring: Err(Obstacle::Absent), gro: false, segmentation: false, ..old };
        let lines: Vec<_> = none.missing().collect();
        assert_eq!(lines.len(), 3, "what only io_uring has is not missed without it: {lines:?}");
        assert!(lines.iter().all(|line| line.contains("kernel") && line.contains("instead")));
    }

    #[test]
    fn settings_follow_the_facts() {
        let facts = Facts { direct_sockets: false, segmentation: false, ..Facts::ALL };
        let settings = facts.adapt(Settings::default());
        assert!(!settings.direct_sockets && !settings.segmentation && settings.registered_files);
    }
}
