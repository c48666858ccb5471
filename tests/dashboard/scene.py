"""A relay under load and a Prometheus that scrapes it every second, both gone at the end."""

import json
import re
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

RELAY, METRICS, PROMETHEUS = ("127.0.0.1:13578", "127.0.0.1:13641", "127.0.0.1:13690")
RELAY_PORTS = "12000-12999"
PATIENCE_S = 20

# What users do: from when to when, as shares of the whole time, and what loadgen is told. Each user
# may hold a hundred allocations.
LOADS = [
    (0.00, 1.0, "run voice -n 60 --direction both --user calls:pass"),
    (0.05, 1.0, "run churn --rate 15 --user guests:pass"),
    (0.10, 1.0, "run video -n 6 --direction both --trains --user films:pass"),
    (0.15, 1.0, "run voice -n 20 --direction both --user films:pass --transport tcp"),
    (0.20, 0.6, "run voice -n 30 --direction both --user calls:pass"),
    (0.25, 1.0, "run voice -n 20 --c2c --user pairs:pass"),
    (0.45, 1.0, "run video -n 4 --direction both --user films:pass"),
    # One more than there is room for, and one with a wrong password.
    (0.50, 0.7, "run voice -n 101 --user crowd:pass"),
    (0.60, 0.7, "run voice -n 1 --user calls:guess"),
    (0.85, 0.9, "run voice -n 101 --user crowd:pass"),
]
# Datagrams a second that are nothing the relay knows.
JUNK_PPS = 20

CONFIGURATION = f"""
global: {{ scrape_interval: 1s, scrape_timeout: 1s }}
scrape_configs:
  - job_name: uturn
    static_configs: [{{ targets: ["{METRICS}"], labels: {{ instance: relay1 }} }}]
"""


class Scene:
    def __init__(self, uturn, loadgen, seconds):
        self.uturn, self.loadgen, self.seconds = uturn, loadgen, seconds
        self.folder = Path(tempfile.mkdtemp())
        self.processes = []
        self.begun = self.ended = None

    def __enter__(self):
        try:
            self.start_relay()
            self.start_prometheus()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            process.wait()
        shutil.rmtree(self.folder)

    def start(self, name, *command):
        log = open(self.folder / name, "wb")
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def start_relay(self):
        users = ["calls", "films", "guests", "pairs", "crowd"]
        relay = self.start(
            "relay", self.uturn, "--listen", RELAY, "--relay-ip", "127.0.0.1",
            "--relay-ports", RELAY_PORTS, "--realm", "example.org", "--user-quota", "100",
            *[word for user in users for word in ("--user", f"{user}:pass")],
            "--workers", "2", "--allow-peers", "127.0.0.0/8", "--metrics", METRICS,
        )  # fmt: skip
        self.wait_for("relay", relay, f"http://{METRICS}/ready")

    def start_prometheus(self):
        configuration = self.folder / "prometheus.yml"
        configuration.write_text(CONFIGURATION)
        prometheus = self.start(
            "prometheus", "prometheus", f"--config.file={configuration}",
            f"--storage.tsdb.path={self.folder / 'series'}", f"--web.listen-address={PROMETHEUS}",
        )  # fmt: skip
        self.wait_for("prometheus", prometheus, f"http://{PROMETHEUS}/-/ready")

    def wait_for(self, name, process, address):
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and process.poll() is None:
            try:
                urllib.request.urlopen(address, timeout=1).close()
                return
            except OSError:
                time.sleep(0.1)
        raise SystemExit(f"{name} does not start:\n{(self.folder / name).read_text()}")

    def play(self):
        """Lets everybody come and go; returns while those who stay are still there."""
        self.begun = time.time()
        waiting = sorted(LOADS)
        junk = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        address, port = RELAY.split(":")
        while (now := time.time() - self.begun) < self.seconds:
            while waiting and waiting[0][0] * self.seconds <= now:
                start, end, words = waiting.pop(0)
                # Whoever stays to the end stays for the questions, too.
                stays = PATIENCE_S if end == 1.0 else 0
                duration = f"{(end - start) * self.seconds + stays:.1f}"
                self.start(
                    f"load-{len(self.processes)}", self.loadgen, *words.split(), "--server", RELAY,
                    "--peer-ip", "127.0.0.1", "--duration", duration, "--warmup", "0", "-q",
                )  # fmt: skip
            junk.sendto(b"\xff", (address, int(port)))
            time.sleep(1 / JUNK_PPS)
        self.ended = time.time()

    def ask(self, kind, **words):
        """What Prometheus answers; OSError with its own words where it refuses."""
        address = f"http://{PROMETHEUS}/api/v1/{kind}?{urllib.parse.urlencode(words)}"
        try:
            with urllib.request.urlopen(address, timeout=PATIENCE_S) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise OSError(json.load(error)["error"]) from error

    def families(self):
        """What the relay tells, but for the counters of its drivers, which are many."""
        with urllib.request.urlopen(f"http://{METRICS}/metrics", timeout=PATIENCE_S) as answer:
            text = answer.read().decode()
        return [name for name in re.findall(r"^# TYPE (uturn_\w+)", text, re.M)
                if not name.startswith("uturn_io_")]  # fmt: skip
