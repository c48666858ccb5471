//! The status page in a real browser: numbers that move, in light and dark, on a phone, without a
//! word to anybody but the server.
//!
//! With `UTURN_PICTURES=FOLDER` the pictures that it takes are left there.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::client::{Client, Peer};
use crate::devtools::{Look, Page};
use crate::http::showing;
use crate::machine;
use crate::relay::{Relay, Setup, USER};

const LOOKS: [(&str, Look); 4] = [
    ("light", Look { width: 1200, height: 900, scheme: "light" }),
    ("dark", Look { width: 1200, height: 900, scheme: "dark" }),
    ("phone", Look { width: 390, height: 844, scheme: "light" }),
    ("phone-dark", Look { width: 390, height: 844, scheme: "dark" }),
];

/// Payload both ways, and one datagram of each four that nobody wants, until it is told to end.
fn call(relay: &Relay, ended: &AtomicBool) {
    let (mut client, peer) = (Client::new(relay.v4()), Peer::new());
    let relayed = client.allocate();
    client.bind(0x4000, peer.address());
    while !ended.load(Ordering::Relaxed) {
        client.send_channel(0x4000, &[0; 800]);
        peer.receive();
        peer.send(relayed, &[0; 800]);
        client.channel_data();
        client.send(b"\x40\x99\x00\x00");
    }
}

struct AtEnd<'a>(&'a AtomicBool);

impl Drop for AtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn the_status_page_shows_a_call_and_asks_nobody_else() {
    let (relay, metrics) = showing(Setup::new().with(&["--workers", "2"]));
    let url = format!("http://{metrics}/");
    let Some(mut page) = Page::open(&url) else {
        return machine::skip("the status page", "chromium");
    };
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let call = scope.spawn(|| call(&relay, &ended));
        // A check that fails must end the call, or the test would wait for it for ever.
        let _end = AtEnd(&ended);
        page.wait_until("document.getElementById('state')?.textContent === 'ready'");
        page.wait_until("parseFloat(document.getElementById('packets').textContent) > 0");
        page.wait_until("document.querySelector('#packets-chart polyline') !== null");
        page.wait_until("document.getElementById('drops').innerText.includes('no channel')");
        page.wait_until("/[µm]s/.test(document.getElementById('held').textContent)");
        for (name, look) in &LOOKS {
            looks_right(&mut page, name, look);
        }
        ended.store(true, Ordering::Relaxed);
        call.join().expect("no packet is lost");
    });
    let text = page.evaluate("document.body.innerText").to_string();
    assert!(!text.contains(USER), "no user: {text}");
    assert_eq!(page.complaints(), [""; 0]);
    let asked = page.requests();
    let is_ours = |asked: &String| asked.starts_with(&url) || asked.starts_with("data:");
    assert!(asked.len() > 3 && asked.iter().all(is_ours), "{asked:?}");
}

fn looks_right(page: &mut Page, name: &str, look: &Look) {
    page.look(look);
    // Nothing stands out on the right, on a phone neither.
    let wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]");
    assert!(wide[0].as_u64() <= wide[1].as_u64(), "{name}: wider than its window: {wide}");
    let over = page.evaluate(
        "[...document.querySelectorAll('.tile p, .tile small')].filter((it) => it.scrollWidth > it.clientWidth).map((it) => it.innerText)",
    );
    assert_eq!(over, serde_json::json!([]), "{name}: wider than its tile");
    let ground = page.evaluate("getComputedStyle(document.body).backgroundColor").to_string();
    let digits = ground.split(|c: char| !c.is_ascii_digit()).filter(|word| !word.is_empty());
    let light: u32 = digits.map(|word| word.parse::<u32>().expect("a colour")).sum();
    assert_eq!(light > 3 * 128, look.scheme == "light", "{name}: {ground}");
    // The charts follow the window at the next answer.
    std::thread::sleep(std::time::Duration::from_millis(2500));
    if let Ok(folder) = std::env::var("UTURN_PICTURES") {
        let path = format!("{folder}/status-{name}.png");
        std::fs::write(path, page.picture()).expect("the picture can be written");
    }
}

#[test]
fn the_status_page_says_when_a_server_drains_and_when_it_is_gone() {
    let (relay, metrics) = showing(Setup::new().with(&["--workers", "2"]));
    let mut client = Client::new(relay.v4());
    client.allocate();
    let Some(mut page) = Page::open(&format!("http://{metrics}/")) else {
        return machine::skip("the status page of a drain", "chromium");
    };
    page.wait_until("document.getElementById('state')?.textContent === 'ready'");
    relay.process.signal(libc::SIGUSR1);
    page.wait_until("document.getElementById('state').textContent === 'draining'");
    page.wait_until("document.getElementById('obstacle').innerText.includes('draining')");
    drop((client, relay));
    page.wait_until("document.getElementById('state').textContent === 'no answer'");
}
