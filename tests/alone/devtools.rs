//! A headless Chromium and what can be asked of it: the DevTools protocol over a pair of pipes, one
//! JSON message after the other with a zero byte behind each.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nix::unistd::pipe;
use serde_json::{Value, json};

use crate::browser::FLAGS;
use crate::machine::Folder;

/// Starting a browser on a busy machine, and drawing a page.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How a page is looked at.
pub struct Look {
    pub width: u32,
    pub height: u32,
    /// `light` or `dark`.
    pub scheme: &'static str,
}

/// One page of a browser of its own.
pub struct Page {
    child: Child,
    _profile: Folder,
    commands: File,
    answers: BufReader<File>,
    session: String,
    last: u64,
    events: Vec<Value>,
}

impl Page {
    /// Opens a page; `None` when there is no browser.
    pub fn open(url: &str) -> Option<Self> {
        let profile = Folder::new();
        let (commands, answers) = (pipe().expect("a pipe"), pipe().expect("a pipe"));
        // A shell moves the ends to where the browser looks for them: 3 to read, 4 to write.
        let (read, write) = (commands.0.as_raw_fd(), answers.1.as_raw_fd());
        let run = format!("exec chromium \"$@\" 3</proc/self/fd/{read} 4>/proc/self/fd/{write}");
        let run = format!("command -v chromium >/dev/null || exit 1; {run}");
        let mut command = Command::new("sh");
        command.args(["-c", &run, "sh", "--remote-debugging-pipe"]).args(FLAGS);
        command.arg(format!("--user-data-dir={}", profile.path("profile"))).arg("about:blank");
        command.env("HOME", profile.path("")).env("TMPDIR", profile.path(""));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.process_group(0).spawn().expect("a shell runs");
        drop((commands.0, answers.1));
        let mut page = Self {
            child,
            _profile: profile,
            commands: File::from(commands.1),
            answers: BufReader::new(File::from(answers.0)),
            session: String::new(),
            last: 0,
            events: Vec::new(),
        };
        let target = page.call("Target.createTarget", json!({ "url": "about:blank" }))?;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = page.call("Target.attachToTarget", attach)?;
        page.session = attached["sessionId"].as_str().expect("a session").to_owned();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.call(&format!("{domain}.enable"), json!({}))?;
        }
        page.call("Page.navigate", json!({ "url": url }))?;
        Some(page)
    }

    /// Asks the browser; `None` when it is gone.
    fn call(&mut self, method: &str, params: Value) -> Option<Value> {
        self.last += 1;
        let mut message = json!({ "id": self.last, "method": method });
        message["params"] = params;
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        self.commands.write_all(format!("{message}\0").as_bytes()).ok()?;
        loop {
            let mut bytes = Vec::new();
            self.answers.read_until(0, &mut bytes).ok()?;
            let answer: Value = serde_json::from_slice(bytes.strip_suffix(&[0])?).ok()?;
            if answer["id"] == json!(self.last) {
                assert_eq!(answer["error"], Value::Null, "{method}");
                return Some(answer["result"].clone());
            }
            self.events.push(answer);
        }
    }

    /// The value of an expression on the page.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "returnByValue": true });
        let result = self.call("Runtime.evaluate", params).expect("the browser lives");
        assert_eq!(result["exceptionDetails"], Value::Null, "{expression}");
        result["result"]["value"].clone()
    }

    /// Waits until an expression on the page is true.
    pub fn wait_until(&mut self, expression: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.evaluate(expression) != json!(true) {
            let text = self.evaluate("document.body?.innerText");
            assert!(Instant::now() < deadline, "never: {expression}\n{text}");
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Gives the page another window and another scheme of colours.
    pub fn look(&mut self, look: &Look) {
        let Look { width, height, scheme } = look;
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1,
                           "mobile": *width < 600 });
        self.call("Emulation.setDeviceMetricsOverride", size).expect("the browser lives");
        let scheme = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        let media = json!({ "features": scheme });
        self.call("Emulation.setEmulatedMedia", media).expect("the browser lives");
    }

    /// The whole page as a PNG.
    pub fn picture(&mut self) -> Vec<u8> {
        let whole = json!({ "captureBeyondViewport": true });
        let shot = self.call("Page.captureScreenshot", whole).expect("the browser lives");
        STANDARD.decode(shot["data"].as_str().expect("a picture")).expect("base64")
    }

    /// What went wrong on the page so far: exceptions, console errors, and what the policy stopped.
    pub fn complaints(&self) -> Vec<String> {
        let kinds = ["Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"];
        let events = self.events.iter();
        let told = events.filter(|event| kinds.iter().any(|kind| event["method"] == json!(kind)));
        told.map(|event| event["params"].to_string()).collect()
    }

    /// Every address that the page asked for.
    pub fn requests(&self) -> Vec<String> {
        let sent = |event: &&Value| event["method"] == json!("Network.requestWillBeSent");
        let url = |event: &Value| event["params"]["request"]["url"].as_str().map(str::to_owned);
        self.events.iter().filter(sent).filter_map(url).collect()
    }
}

impl Drop for Page {
    /// Ends the whole process group, which is the browser's alone.
    fn drop(&mut self) {
        let kill = format!("kill -9 -{}", self.child.id());
        Command::new("sh").args(["-c", &kill]).status().expect("a shell runs");
        self.child.wait().expect("it is our child");
    }
}
