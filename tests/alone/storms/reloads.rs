//! Reloads, one after the other, beside calls and beside handshakes.

use std::sync::atomic::{AtomicBool, Ordering};

use super::calls::{Pair, calls, lost};
use super::holds;
use crate::client::Call;
use crate::fairness::talk;
use crate::machine::{Folder, Ports};
use crate::relay::{PASSWORD, Relay, Setup, USER};

/// Fewer would prove nothing.
const LEAST: usize = 5;

struct Reloaded {
    folder: Folder,
    relay: Relay,
    pairs: [Pair; 2],
    tls: u16,
    _claim: Ports,
}

impl Reloaded {
    fn start(driver: &str) -> Self {
        let (folder, claim) = (Folder::new(), Ports::claim());
        let pairs = ["one", "other"].map(|name| Pair::new(&folder, name));
        let tls = claim.spare();
        let path = folder.write("uturn.toml", &file(&pairs, tls, 0));
        let relay = Setup::of_nobody().with(&["--io", driver, "--config", &path]).start();
        Self { folder, relay, pairs, tls, _claim: claim }
    }

    /// Has it read other rules until it is over; says how often.
    fn change(&self, over: &AtomicBool) -> usize {
        let mut round = 0;
        while !over.load(Ordering::Relaxed) {
            round += 1;
            self.folder.write("uturn.toml", &file(&self.pairs, self.tls, round));
            self.relay.process.signal(libc::SIGHUP);
            self.relay.process.wait_until_it_logs("configuration read again", round);
        }
        round
    }

    /// Comes over TLS until it is over, and must be let in each time by one certificate or the
    /// other; says how often.
    fn come(&self, over: &AtomicBool) -> usize {
        let mut times = 0;
        while !over.load(Ordering::Relaxed) {
            // Between the two it may change.
            let came = (0..3).flat_map(|_| &self.pairs).find_map(|pair| {
                let client = pair.client(self.relay.v4());
                client
                    .inspect_err(|error| {
                        let text = error.to_string();
                        assert!(text.contains("certificate"), "a handshake failed: {text}");
                    })
                    .ok()
            });
            came.expect("one of both is shown").allocate();
            times += 1;
        }
        times
    }
}

/// Rules that differ from round to round, in all that can about streams.
fn file(pairs: &[Pair; 2], tls: u16, round: usize) -> String {
    let Pair { certificate, key, .. } = &pairs[round % 2];
    let is_odd = round % 2 == 1;
    let proxies = if is_odd { "proxy-from = ['192.0.2.0/24']\n" } else { "" };
    format!(
        "user = ['{USER}:{PASSWORD}', 'user{round}:{PASSWORD}']\n\
         tls-certificate = ['{certificate}']\ntls-key = ['{key}']\n\
         listen-tls = ['127.0.0.1:{tls}']\n{proxies}tcp-relay = {is_odd}\n\
         stream-delay = {}\nconnects-per-source = 0\n",
        200 + round % 50
    )
}

fn comes_through(driver: &str) -> bool {
    let reloaded = Reloaded::start(driver);
    let mut calls = calls(&reloaded.relay, 3);
    let on_tls = (0..3).map(|_| reloaded.pairs[0].client(reloaded.relay.v4()));
    calls.extend(on_tls.map(|client| Call::of(client.expect("TLS is served"))));
    let over = AtomicBool::new(false);
    let (reloads, came) = std::thread::scope(|scope| {
        let changing = scope.spawn(|| reloaded.change(&over));
        let coming = scope.spawn(|| reloaded.come(&over));
        talk(&calls);
        over.store(true, Ordering::Relaxed);
        (changing.join().expect("each is taken"), coming.join().expect("none fails"))
    });
    let lost = lost(&mut calls);
    eprintln!("{driver}: {reloads} reloads, {came} handshakes meanwhile, lost {lost:?}");
    assert!(reloads >= LEAST && came >= LEAST, "{reloads} reloads, {came} handshakes");
    calls.iter_mut().for_each(Call::talk);
    lost == [0, 0]
}

#[test]
fn reloads_without_end_cost_no_connection_and_no_frame() {
    holds("reloads", comes_through);
}
