//! The real binary, started on ports of its own and stopped like a service manager stops it.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::machine::{Ports, slowed};
use super::stun::{Builder, method};

pub const REALM: &str = "example.org";
pub const USER: &str = "alice";
pub const PASSWORD: &str = "wonderland";

/// Lines of a relay's output that a failure shows.
const LAST_LINES: usize = 30;

/// Longest time a relay may take to serve, and to stop.
pub fn patience() -> Duration {
    slowed(Duration::from_secs(10))
}

pub const LOOPBACK4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
pub const LOOPBACK6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// How a relay is to be started.
pub struct Setup {
    ports: Ports,
    listen: Vec<IpAddr>,
    relay: Vec<IpAddr>,
    relay_ports: Option<(u16, u16)>,
    opens_loopback: bool,
    arguments: Vec<String>,
    /// The program that becomes the relay, and its own arguments; empty: none.
    through: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Setup {
    /// On loopback in both families, one worker, one user, and loopback peers allowed: the
    /// built-in policy, which is tested by itself, would deny every peer a test can have.
    pub fn new() -> Self {
        Self::of_nobody().with(&["--user", &format!("{USER}:{PASSWORD}")])
    }

    /// As [`Setup::new`], and who is let in is still to be said.
    pub fn of_nobody() -> Self {
        Self {
            ports: Ports::claim(),
            listen: vec![LOOPBACK4, LOOPBACK6],
            relay: vec![LOOPBACK4, LOOPBACK6],
            relay_ports: None,
            opens_loopback: true,
            arguments: Vec::new(),
            through: Vec::new(),
            environment: Vec::new(),
        }
        .with(&["--realm", REALM])
    }

    pub fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(ToString::to_string));
        self
    }

    /// Starts it through another program, which ends by becoming it: its process id stays.
    pub fn through(mut self, program: &[&str]) -> Self {
        self.through = program.iter().map(ToString::to_string).collect();
        self
    }

    /// Sets a variable of its environment.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn listen(mut self, addresses: &[IpAddr]) -> Self {
        self.listen = addresses.to_vec();
        self
    }

    pub fn relay_ips(mut self, addresses: &[IpAddr]) -> Self {
        self.relay = addresses.to_vec();
        self
    }

    /// Leaves only so many relay ports, the first of them even.
    pub fn relay_port_count(self, count: u16) -> Self {
        let (low, _) = self.ports.relay_range();
        self.relay_ports(low, low + count - 1)
    }

    /// Takes these relay ports, which other tests may use, too.
    pub fn relay_ports(mut self, low: u16, high: u16) -> Self {
        self.relay_ports = Some((low, high));
        self
    }

    /// Leaves the built-in peer policy as it is.
    pub fn secure(mut self) -> Self {
        self.opens_loopback = false;
        self
    }

    /// Starts it, and waits until it serves.
    pub fn start(self) -> Relay {
        let relay = self.spawn();
        relay.addresses.iter().for_each(|address| relay.process.wait_until_it_serves(*address));
        relay
    }

    /// Starts it, on the driver that `UTURN_TEST_IO` names unless the setup names one.
    pub fn spawn(mut self) -> Relay {
        if !self.arguments.iter().any(|argument| argument == "--workers") {
            self = self.with(&["--workers", "1"]);
        }
        // The machine's default place is one, and the tests are many.
        let has_place = self.environment.iter().any(|(name, _)| name == "XDG_RUNTIME_DIR");
        if !has_place && !self.arguments.iter().any(|argument| argument == "--control") {
            self = self.with(&["--control", "off"]);
        }
        if let Ok(io) = std::env::var("UTURN_TEST_IO")
            && !self.arguments.iter().any(|argument| argument == "--io")
        {
            self = self.with(&["--io", &io]);
        }
        if self.opens_loopback {
            self = self.with(&["--allow-peers", "127.0.0.0/8", "--allow-peers", "::1/128"]);
        }
        let port = self.ports.listening();
        let addresses: Vec<_> = self.listen.iter().map(|ip| SocketAddr::new(*ip, port)).collect();
        let (low, high) = self.relay_ports.unwrap_or(self.ports.relay_range());
        let mut command = command_through(&self.through);
        command.envs(self.environment);
        for address in &addresses {
            command.args(["--listen", &address.to_string()]);
        }
        for ip in &self.relay {
            command.args(["--relay-ip", &ip.to_string()]);
        }
        command.args(["--relay-ports", &format!("{low}-{high}")]).args(&self.arguments);
        Relay {
            process: Process::spawn(command),
            addresses,
            relay_range: (low, high),
            ports: self.ports,
        }
    }
}

/// The program under test: the one cargo built, or another that takes the same options.
pub fn command() -> Command {
    command_through(&[])
}

/// The same as the last argument of another program, unless that has no name.
fn command_through(program: &[String]) -> Command {
    let built = env!("CARGO_BIN_EXE_uturn");
    let relay = std::env::var_os("UTURN_BINARY").unwrap_or_else(|| built.into());
    let mut words = program.iter().map(OsString::from).chain([relay]);
    let mut command = Command::new(words.next().expect("the relay at least"));
    command.args(words);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A relay that serves. Dropping it stops it with SIGTERM and holds it to a clean end.
pub struct Relay {
    pub process: Process,
    /// One address per listening IP, in the order of the setup.
    pub addresses: Vec<SocketAddr>,
    pub relay_range: (u16, u16),
    pub ports: Ports,
}

impl Relay {
    pub fn start() -> Self {
        Setup::new().start()
    }

    pub fn v4(&self) -> SocketAddr {
        *self.addresses.iter().find(|it| it.is_ipv4()).expect("it listens on IPv4")
    }

    pub fn v6(&self) -> SocketAddr {
        *self.addresses.iter().find(|it| it.is_ipv6()).expect("it listens on IPv6")
    }
}

fn answers_binding(address: SocketAddr) -> bool {
    let any: IpAddr = if address.is_ipv4() { LOOPBACK4 } else { LOOPBACK6 };
    let any = if address.ip().is_loopback() { any } else { address.ip() };
    let socket = UdpSocket::bind((any, 0)).expect("a free port");
    socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
    socket.connect(address).expect("a route");
    let sent = socket.send(&Builder::request(method::BINDING).bytes());
    sent.is_ok() && socket.recv(&mut [0; 512]).is_ok()
}

/// A child process whose output is kept.
pub struct Process {
    child: Mutex<Child>,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
    pub pid: u32,
}

impl Process {
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the program starts");
        let (stdout, stderr) = (Arc::default(), Arc::default());
        let readers = vec![
            keep(child.stdout.take().expect("stdout is a pipe"), &stdout),
            keep(child.stderr.take().expect("stderr is a pipe"), &stderr),
        ];
        let pid = child.id();
        Self { child: Mutex::new(child), stdout, stderr, readers, pid }
    }

    /// Asks until it is answered.
    pub fn wait_until_it_serves(&self, address: SocketAddr) {
        let deadline = Instant::now() + patience();
        while !answers_binding(address) {
            let late = Instant::now() > deadline || self.has_ended();
            assert!(!late, "{address} never served:\n{}", self.last_lines());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for words on stdout; they may come a moment after the first answer.
    pub fn wait_until_it_says(&self, words: &str) -> String {
        let deadline = Instant::now() + patience();
        while !self.stdout().contains(words) {
            assert!(Instant::now() < deadline, "'{words}' was never said:\n{}", self.last_lines());
            std::thread::sleep(Duration::from_millis(5));
        }
        self.output()
    }

    /// Waits until words stand in so many lines of the log.
    pub fn wait_until_it_logs(&self, words: &str, times: usize) -> String {
        let deadline = Instant::now() + patience();
        loop {
            let log = self.stderr();
            if log.lines().filter(|line| line.contains(words)).count() >= times {
                return log;
            }
            assert!(
                Instant::now() < deadline,
                "'{words}' not {times} times: {}",
                self.last_lines()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn stdout(&self) -> String {
        self.stdout.lock().expect("its reader lives").clone()
    }

    pub fn stderr(&self) -> String {
        self.stderr.lock().expect("its reader lives").clone()
    }

    pub fn output(&self) -> String {
        self.stdout() + &self.stderr()
    }

    /// The last of what it said, for whoever reads of a failure.
    pub fn last_lines(&self) -> String {
        let output = self.output();
        let lines: Vec<_> = output.lines().collect();
        let left_out = lines.len().saturating_sub(LAST_LINES);
        let head = if left_out > 0 { format!("({left_out} lines more)\n") } else { String::new() };
        head + &lines[left_out..].join("\n")
    }

    pub fn has_ended(&self) -> bool {
        self.status().is_some()
    }

    pub fn signal(&self, signal: libc::c_int) {
        assert!(!self.has_ended(), "it ended by itself:\n{}", self.last_lines());
        let kill = format!("kill -{signal} {}", self.pid);
        let status = Command::new("sh").args(["-c", &kill]).status();
        assert!(status.expect("a shell runs").success(), "signal {signal}");
    }

    /// Waits for the end and for the last of the output.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + patience();
        let status = loop {
            if let Some(status) = self.status() {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end:\n{}", self.last_lines());
            std::thread::sleep(Duration::from_millis(5));
        };
        for reader in self.readers.drain(..) {
            reader.join().expect("the reader does not panic");
        }
        status
    }

    fn status(&self) -> Option<ExitStatus> {
        self.child.lock().expect("not poisoned").try_wait().expect("it is our child")
    }
}

impl Drop for Process {
    /// Stops it; if the test has not failed already, anything but a quiet, clean end fails it now.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the relay said\n{}", self.last_lines());
        } else if !self.has_ended() {
            self.signal(libc::SIGTERM);
            let status = self.wait();
            assert!(status.success(), "{status} after SIGTERM:\n{}", self.last_lines());
        }
        let mut child = self.child.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        child.kill().and_then(|()| child.wait()).expect("our child can be killed");
        drop(child);
        let panicked = self.stderr().contains("panicked at");
        assert!(std::thread::panicking() || !panicked, "it panicked:\n{}", self.output());
    }
}

fn keep(source: impl Read + Send + 'static, text: &Arc<Mutex<String>>) -> JoinHandle<()> {
    let text = Arc::clone(text);
    std::thread::spawn(move || {
        for line in BufReader::new(source).lines().map_while(Result::ok) {
            let mut text = text.lock().expect("not poisoned");
            text.push_str(&line);
            text.push('\n');
        }
    })
}
