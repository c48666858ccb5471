//! A server that takes part: started here and ended with the comparison, or running already.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use uturn::wire::{Class, Message, MessageWriter, Method, TransactionId};

use crate::{
    fault::Fault,
    offer::address::ServerAddress,
    result::{about::ServerAbout, secrets},
    stop,
    stream::Transport,
};

/// How long a server may take until it answers a Binding request.
const PATIENCE: Duration = Duration::from_secs(10);
const TRY_EVERY: Duration = Duration::from_millis(100);

/// Ports that are looked at for one that is free.
const MOST_PORTS: usize = 100;

/// One server.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) name: String,
    pub(super) address: SocketAddr,
    pub(super) pid: u32,
    /// Where it was said to be.
    pub(super) at: ServerAddress,
    /// Ends the process when it is dropped.
    _started: Option<Started>,
}

/// A process that ends when this is dropped.
#[derive(Debug)]
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Server {
    /// Starts `NAME=COMMAND` on a free port of `ip` and waits until it answers.
    pub(super) fn start(option: &str, ip: IpAddr, transport: Transport) -> Result<Server, Fault> {
        let (name, command) = split(option, "--server-cmd", "NAME=COMMAND")?;
        if !command.contains("{port}") {
            return Err(Fault::usage(format!("--server-cmd {name}: the command needs a {{port}}")));
        }
        let address = free_port(ip)?;
        let command = command.replace("{port}", &address.port().to_string());
        let command = command.replace("{ip}", &ip.to_string());
        // `exec`: the process that is measured and ended is the server, not a shell.
        let child = Command::new("sh")
            .args(["-c", &format!("exec {command}")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C is for us: the servers are ended when everything is measured and given back.
            .process_group(0)
            .spawn()
            .map_err(|error| trouble(name, format!("does not start: {error}")))?;
        let mut started = Started(child);
        wait_for(name, (address, transport), || {
            let status = exited(&mut started.0)?;
            Some(format!("{status}; run it by hand to see why: {}", secrets::command(&command)))
        })?;
        let pid = started.0.id();
        let at = ServerAddress::of(address);
        Ok(Server { name: name.to_owned(), address, pid, at, _started: Some(started) })
    }

    /// Takes `NAME=HOST[:PORT],PID`.
    pub(super) fn running(option: &str, transport: Transport) -> Result<Server, Fault> {
        let usage = "NAME=HOST[:PORT],PID";
        let (name, rest) = split(option, "--server", usage)?;
        let wrong = |why: String| Fault::usage(format!("--server {option}: {why}"));
        let parts = rest.split_once(',').and_then(|(at, pid)| Some((at, pid.trim().parse().ok()?)));
        let (at, pid) = parts.ok_or_else(|| wrong(format!("expected {usage}")))?;
        let at = ServerAddress::read(at).map_err(wrong)?;
        let address = at.over(transport);
        wait_for(name, (address, transport), || None)?;
        Ok(Server { name: name.to_owned(), address, pid, at, _started: None })
    }
}

impl Server {
    pub(super) fn about(&self) -> ServerAbout {
        ServerAbout::new(&self.name, self.address, Some(self.pid))
    }
}

fn split<'a>(text: &'a str, option: &str, usage: &str) -> Result<(&'a str, &'a str), Fault> {
    let parts = text.split_once('=').filter(|(name, rest)| !name.is_empty() && !rest.is_empty());
    parts.ok_or_else(|| Fault::usage(format!("{option} {text}: expected {usage}")))
}

fn trouble(name: &str, trouble: impl Into<String>) -> Fault {
    Fault::Server { name: name.to_owned(), trouble: trouble.into() }
}

/// A port nobody has here. A server in another network namespace has an address that is not ours:
/// then any free port of ours is as good a guess.
fn free_port(ip: IpAddr) -> Result<SocketAddr, Fault> {
    let any: IpAddr =
        if ip.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let mut tries = 0;
    loop {
        tries += 1;
        let socket = UdpSocket::bind((ip, 0)).or_else(|_| UdpSocket::bind((any, 0)));
        let local = socket.and_then(|socket| socket.local_addr());
        let local = local.map_err(|error| Fault::io("find a free port", error))?;
        // Of both protocols: a server listens on one port for all of its transports.
        if tries == MOST_PORTS || TcpListener::bind(local).is_ok() {
            return Ok(SocketAddr::new(ip, local.port()));
        }
    }
}

/// How a process ended, if it did.
fn exited(child: &mut Child) -> Option<String> {
    child.try_wait().ok().flatten().map(|status| status.to_string())
}

/// Asks until a Binding request is answered, or a connection taken.
fn wait_for(
    name: &str,
    (address, transport): (SocketAddr, Transport),
    mut exited: impl FnMut() -> Option<String>,
) -> Result<(), Fault> {
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        if stop::is_asked() {
            return Err(Fault::Stopped);
        }
        if let Some(how) = exited() {
            return Err(trouble(name, format!("ended before it answered: {how}")));
        }
        let answers = match transport {
            Transport::Udp => answers(address),
            Transport::Tcp | Transport::Tls => {
                TcpStream::connect_timeout(&address, TRY_EVERY).is_ok()
            }
        };
        if answers {
            return Ok(());
        }
        std::thread::sleep(TRY_EVERY);
    }
    Err(trouble(name, format!("no answer from {address} within {} s", PATIENCE.as_secs())))
}

fn answers(address: SocketAddr) -> bool {
    let mut request = [0; 20];
    let transaction = TransactionId(*b"are you up? ");
    let mut writer = MessageWriter::new(&mut request, Method::Binding, Class::Request, transaction);
    let written = writer.finish().is_ok();
    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let asked = UdpSocket::bind(any).and_then(|socket| {
        socket.set_read_timeout(Some(TRY_EVERY))?;
        socket.connect(address)?;
        socket.send(&request)?;
        let mut answer = [0; 1_500];
        let bytes = socket.recv(&mut answer)?;
        Ok(Message::parse(&answer[..bytes]).is_ok_and(|m| m.transaction() == transaction))
    });
    written && asked.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_server_is_said_in_one_line() {
        let ip = "127.0.0.1".parse().unwrap();
        for (option, expected) in [
            ("coturn", "expected NAME=COMMAND"),
            ("a=turnserver", "needs a {port}"),
            (
                "a=false {port}",
                "server a: ended before it answered: exit status: 1; run it by hand",
            ),
        ] {
            let line = Server::start(option, ip, Transport::Udp).unwrap_err().to_string();
            assert!(line.contains(expected), "{line}");
        }
        let line = Server::running("a=127.0.0.1", Transport::Tcp).unwrap_err().to_string();
        assert!(line.contains("expected NAME=HOST[:PORT],PID"), "{line}");
    }
}
