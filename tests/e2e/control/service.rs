//! What a service manager is told (sd_notify(3)), by a socket that plays its part.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::machine::Folder;
use crate::relay::{PASSWORD, Relay, Setup, USER};

/// A service manager that only listens.
struct Manager {
    socket: UnixDatagram,
    path: String,
    folder: Folder,
}

impl Manager {
    fn new() -> Self {
        let folder = Folder::new();
        let path = folder.path("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        Self { socket, path, folder }
    }

    fn start(&self, setup: Setup) -> Relay {
        setup.environment("NOTIFY_SOCKET", &self.path).start()
    }

    fn next(&self) -> Vec<String> {
        let mut buffer = [0; 4096];
        let bytes = self.socket.recv(&mut buffer).expect("something is told");
        let text = String::from_utf8(buffer[..bytes].to_vec()).expect("UTF-8");
        text.lines().map(str::to_owned).collect()
    }

    /// The next message with a line that begins so; what comes before it is passed over.
    fn wait_for(&self, beginning: &str) -> Vec<String> {
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            let message = self.next();
            if message.iter().any(|line| line.starts_with(beginning)) {
                return message;
            }
        }
        panic!("{beginning} was not told");
    }
}

#[test]
fn it_is_told_of_start_reload_and_stop() {
    let manager = Manager::new();
    let file = manager.folder.write("uturn.toml", &format!("user = ['{USER}:{PASSWORD}']\n"));
    let mut relay = manager.start(Setup::of_nobody().with(&["--config", &file]));
    manager.wait_for("READY=1");
    for text in [format!("user = ['bob:{PASSWORD}']\n"), "colour = 1\n".to_owned()] {
        manager.folder.write("uturn.toml", &text);
        relay.process.signal(libc::SIGHUP);
        let reloading = manager.wait_for("RELOADING=1");
        let usec = reloading.iter().find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
        assert!(usec.and_then(|usec| usec.parse::<u64>().ok()).is_some_and(|usec| usec > 0));
        manager.wait_for("READY=1");
    }
    relay.process.signal(libc::SIGTERM);
    manager.wait_for("STOPPING=1");
    assert!(relay.process.wait().success());
}

#[test]
fn the_watchdog_is_fed_and_the_status_told() {
    let manager = Manager::new();
    let setup = Setup::new().with(&["--workers", "2"]).environment("WATCHDOG_USEC", "300000");
    let relay = manager.start(setup);
    let mut client = Client::new(relay.v4());
    client.allocate();
    let began = Instant::now();
    let mut statuses = Vec::new();
    for _ in 0..5 {
        let message = manager.wait_for("WATCHDOG=1");
        let status = message.iter().find_map(|line| line.strip_prefix("STATUS="));
        statuses.push(status.expect("a status beside it").to_owned());
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let last = statuses.last().expect("there are five");
    assert_eq!(last, "1 allocations, 0 packets/s");
}
