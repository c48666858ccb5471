//! The sockets of listening addresses, for each worker two for datagrams or one for connections,
//! opened by whoever starts them, because the order in which those for datagrams are bound says
//! which worker gets what. The kernel spreads connections by a hash of their addresses; each stays
//! with the worker that took it.

use std::{
    fmt, io,
    net::{SocketAddr, TcpListener, UdpSocket},
    time::Duration,
};

use crate::{
    io::{BufferSizes, sockets, steer, steer::Share},
    worker::start::plan::{Listen, ListenKind, Plan, SpawnError, Steering},
};

/// Sockets of each worker on each UDP address: one for payload, one for requests.
pub const SOCKETS_OF_A_LISTENER: usize = 2;

/// What one worker has of one listening address.
#[derive(Debug)]
pub enum ListenerSockets {
    /// Of [`ListenKind::Datagrams`].
    Datagrams(DatagramSockets),
    /// Of [`ListenKind::Streams`].
    Streams(TcpListener),
    /// Of [`ListenKind::TlsStreams`].
    TlsStreams(TcpListener),
}

/// The UDP sockets of one worker on one listening address.
#[derive(Debug)]
pub struct DatagramSockets {
    /// Payload comes in here, and every answer leaves from here.
    pub payload: UdpSocket,
    /// Requests come in here.
    pub requests: UdpSocket,
}

/// What the kernel gave the listening sockets.
#[derive(Debug, Clone, Copy)]
pub struct GrantedSockets {
    /// The smallest buffers of any; `None` where there is no such socket.
    pub buffers: Option<BufferSizes>,
    /// Whether requests come in through sockets of their own.
    pub requests_apart: bool,
}

/// Opens the sockets of listening addresses.
pub trait OpenListeners: fmt::Debug + Send + Sync {
    /// Opens the sockets of each worker, by its index, on an address that must be free now.
    ///
    /// # Errors
    /// The address cannot be opened.
    fn open(&self, listen: Listen) -> Result<Vec<ListenerSockets>, SpawnError>;
}

/// How the kernel is asked for listening sockets.
#[derive(Debug, Clone)]
pub(super) struct Listening {
    /// By worker.
    cores: Vec<usize>,
    steering: Steering,
    /// What the choice of a worker is hashed with.
    secret: u32,
}

impl Listening {
    /// # Errors
    /// The kernel gives no random numbers.
    pub(super) fn new(plan: &Plan) -> Result<Listening, SpawnError> {
        let mut secret = [0; 4];
        getrandom::fill(&mut secret).map_err(|error| SpawnError::Start(error.into()))?;
        let secret = u32::from_ne_bytes(secret);
        Ok(Listening { cores: plan.cores.clone(), steering: plan.steering, secret })
    }

    /// Opens the sockets of each worker on some addresses: by worker, in the order of the
    /// addresses. All are found to be free before the first is taken.
    pub(super) fn open_all(
        &self,
        addresses: &[Listen],
    ) -> Result<(Vec<Vec<ListenerSockets>>, GrantedSockets), SpawnError> {
        let patience = sockets::BIND_PATIENCE;
        for listen in addresses {
            ensure_free(*listen, patience)?;
        }
        let mut workers: Vec<Vec<ListenerSockets>> = self.cores.iter().map(|_| vec![]).collect();
        let mut granted = GrantedSockets { buffers: None, requests_apart: true };
        for listen in addresses {
            let sockets = self.open_on(*listen, patience, &mut granted)?;
            workers.iter_mut().zip(sockets).for_each(|(worker, sockets)| worker.push(sockets));
        }
        Ok((workers, granted))
    }

    fn open_on(
        &self,
        listen: Listen,
        patience: Duration,
        granted: &mut GrantedSockets,
    ) -> Result<Vec<ListenerSockets>, SpawnError> {
        let failed = |error| SpawnError::Listen(listen, error);
        let streams = |made: fn(TcpListener) -> ListenerSockets| {
            let open = |_| sockets::stream_listening(listen.address, patience).map(made);
            self.cores.iter().map(open).collect::<io::Result<_>>().map_err(failed)
        };
        match listen.kind {
            ListenKind::Streams => return streams(ListenerSockets::Streams),
            ListenKind::TlsStreams => return streams(ListenerSockets::TlsStreams),
            ListenKind::Datagrams => {}
        }
        let mut open = || {
            let listening = sockets::listening(listen.address, BufferSizes::LISTENING, patience)?;
            let so_far = granted.buffers.unwrap_or(listening.granted);
            granted.buffers = Some(so_far.min(listening.granted));
            Ok(listening.socket)
        };
        // All for payload, and then all for requests: that is how the program counts them.
        let payload: Vec<UdpSocket> =
            self.cores.iter().map(|_| open()).collect::<io::Result<_>>().map_err(failed)?;
        let requests: Vec<UdpSocket> =
            self.cores.iter().map(|_| open()).collect::<io::Result<_>>().map_err(failed)?;
        if let Some(first) = payload.first() {
            granted.requests_apart &= self.steer(first, listen.address)?;
        }
        let pairs = payload.into_iter().zip(requests);
        let pairs = pairs.map(|(payload, requests)| DatagramSockets { payload, requests });
        Ok(pairs.map(ListenerSockets::Datagrams).collect())
    }

    /// Tells the kernel how to choose among the sockets of an address. They stand in their group in
    /// the order in which they were bound: those for payload, worker by worker, then those for
    /// requests.
    ///
    /// Without the program it hashes clients over all of them, requests and payload alike, and
    /// steering by core cannot be had. Says whether the address has it.
    fn steer(&self, socket: &UdpSocket, address: SocketAddr) -> Result<bool, SpawnError> {
        let share = match self.steering {
            Steering::Hash => Share::Hash { workers: self.cores.len(), secret: self.secret },
            Steering::Cpu => Share::Cores(&self.cores),
        };
        match (steer::attach(socket, share), self.steering) {
            (Ok(()), _) => Ok(true),
            (Err(_), Steering::Hash) => Ok(false),
            (Err(error), Steering::Cpu) => Err(SpawnError::Steer(address, error)),
        }
    }
}

impl OpenListeners for Listening {
    fn open(&self, listen: Listen) -> Result<Vec<ListenerSockets>, SpawnError> {
        ensure_free(listen, Duration::ZERO)?;
        let mut granted = GrantedSockets { buffers: None, requests_apart: true };
        self.open_on(listen, Duration::ZERO, &mut granted)
    }
}

/// A first socket without SO_REUSEPORT finds out whether another process has an address: with it,
/// two servers would share the clients silently.
fn ensure_free(listen: Listen, patience: Duration) -> Result<(), SpawnError> {
    let free = match listen.kind {
        ListenKind::Datagrams => sockets::ensure_free(listen.address, patience),
        ListenKind::Streams | ListenKind::TlsStreams => {
            sockets::ensure_stream_free(listen.address, patience)
        }
    };
    free.map_err(|error| SpawnError::Listen(listen, error))
}
