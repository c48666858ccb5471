"""The relay under test, what it holds, and the quiet call that shows how it carries."""

import json
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections import deque
from pathlib import Path

from bounds import Round

# An address of loopback that nothing else uses, and how /proc/net writes it.
HOST, HOST_WORD = "127.0.77.1", "014D007F"
LISTEN, METRICS = f"{HOST}:13778", f"{HOST}:13741"
PORTS = (14_000, 16_999)
# What clients leave behind is gone after so many seconds.
LIFETIME_S = 3
PATIENCE_S = 20
CALLS = "voice -n 40 --direction both --wait sleep"
USERS = ["calls", "guests", "ghosts", "attacker"]


class Relay:
    def __init__(self, uturn, loadgen):
        self.uturn, self.loadgen = uturn, loadgen
        self.folder = Path(tempfile.mkdtemp())
        self.users, self.usage = self.folder / "users", self.folder / "usage"
        self.control = self.folder / "control"
        self.expired = 0
        self.log = Log()

    def __enter__(self):
        self.write_users(0)
        command = [
            self.uturn, "--listen", LISTEN, "--relay-ip", HOST, "--realm", "example.org",
            "--relay-ports", f"{PORTS[0]}-{PORTS[1]}", "--users-file", self.users, "--workers", "2",
            "--allow-peers", "127.0.0.0/8", "--metrics", METRICS, "--user-quota", "0",
            "--max-lifetime", str(LIFETIME_S), "--usage-records", self.usage,
            "--control", self.control, "--log", "warn",
        ]  # fmt: skip
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        self.log.follow(self.process.stderr)
        self.wait_for("readiness", lambda: self.asks("/ready") is not None)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(PATIENCE_S)
        shutil.rmtree(self.folder)

    def write_users(self, more):
        """Everybody, and so many who never come."""
        lines = [f"{user}:pass" for user in USERS] + [f"reserve{n}:pass" for n in range(more)]
        new = self.folder / "users.new"
        new.write_text("\n".join(lines) + "\n")
        new.chmod(0o600)
        new.replace(self.users)

    def reload(self, users):
        """Starts a reload with other users and a new file of usage records."""
        self.write_users(users)
        self.count_expired()
        command = [self.uturn, "reload", "--control", self.control]
        nothing = subprocess.DEVNULL
        return subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=subprocess.PIPE)

    def count_expired(self):
        """Counts the records so far, which then go: nothing here grows with the hours."""
        old = self.folder / "usage.old"
        self.expired += old.read_bytes().count(b'"expired"') if old.exists() else 0
        self.usage.replace(old)

    def asks(self, path):
        try:
            with urllib.request.urlopen(f"http://{METRICS}{path}", timeout=5) as answer:
                return answer.read().decode()
        except OSError:
            return None

    def total(self, family, labels=""):
        """The sum of a family's samples, of those that have these words among their labels."""
        samples = re.findall(rf"^{family}(\{{[^}}]*\}})? (\S+)$", self.asks("/metrics") or "", re.M)
        return sum(float(value) for found, value in samples if labels in found)

    def wait_for(self, what, is_so):
        deadline = time.monotonic() + PATIENCE_S
        while not is_so():
            if self.process.poll() is not None or time.monotonic() > deadline:
                words = [f"FAILED  {what} was due", *self.log.last, "0 passed, 1 failed"]
                raise SystemExit("\n".join(words))
            time.sleep(0.1)

    def wait_until_empty(self):
        """Until the last client's allocation has expired and its port is free."""
        self.wait_for("no allocation", lambda: self.total("uturn_allocations") == 0)
        self.wait_for("no relay port in use", lambda: self.total("uturn_relay_ports_in_use") == 0)

    def call(self, words, seconds, *more):
        """Starts a load, which ends by itself."""
        command = [
            self.loadgen, "run", *words.split(), "--server", LISTEN,
            "--duration", str(seconds), "--warmup", "0", "--max-loss", "100", "-q", *more,
        ]  # fmt: skip
        nothing = subprocess.DEVNULL
        return subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=subprocess.PIPE)

    def fill_buffers(self):
        """Makes every receive buffer resident that a flood ever can."""
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for stopped in [True, False]:
            self.process.send_signal(signal.SIGSTOP if stopped else signal.SIGCONT)
            for _ in range(4_000 if stopped else 20_000):
                sender.sendto(bytes(60_000), address())
        sender.close()

    def measure(self, seconds):
        result = self.folder / "result.json"
        words = f"{CALLS} --user calls:pass"
        pid = str(self.process.pid)
        call = self.call(words, seconds, "--pid", pid, "--json", str(result))
        if problem := outcome(call, seconds):
            raise SystemExit(f"FAILED  {problem}\n0 passed, 1 failed")
        figures = json.loads(result.read_text())
        result.unlink()
        self.wait_until_empty()
        return Round(
            resident_bytes=self.resident_bytes(),
            descriptors=len(list(Path(f"/proc/{pid}/fd").iterdir())),
            sockets=relay_sockets(),
            slab_bytes=slab_bytes(),
            cpu_ns_per_packet=figures["server"]["cpu_ns_per_packet"],
            p99_us=max(way["latency"]["p99_us"] for way in figures["ways"]),
        )

    def resident_bytes(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024


def outcome(load, seconds=0):
    """What a load that had so many seconds to run says went wrong, or None."""
    _, words = load.communicate(timeout=seconds + PATIENCE_S)
    if load.returncode == 0:
        return None
    return f"{' '.join(map(str, load.args[1:4]))}: {words.decode(errors='replace').strip()[-300:]}"


class Log:
    """Keeps the last that the relay says, and whether it panicked."""

    def __init__(self):
        self.panicked, self.last = False, deque(maxlen=20)

    def follow(self, pipe):
        threading.Thread(target=self.read, args=(pipe,), daemon=True).start()

    def read(self, pipe):
        for line in pipe:
            line = line.decode(errors="replace").rstrip()
            self.panicked |= "panicked at" in line
            self.last.append(line)


def relay_sockets():
    """Sockets on the relay ports and connections of clients: io_uring's own ones are no descriptors."""
    local = rf"^ *\d+: {HOST_WORD}:([0-9A-F]{{4}}) \S+ "
    ports = re.findall(local, Path("/proc/net/udp").read_text(), re.M)
    relays = sum(PORTS[0] <= int(port, 16) <= PORTS[1] for port in ports)
    established = re.findall(local + "01 ", Path("/proc/net/tcp").read_text(), re.M)
    return relays + sum(int(port, 16) == address()[1] for port in established)


def slab_bytes():
    """What the kernel cannot give back of its slabs; of the whole machine."""
    return int(re.search(r"SUnreclaim:\s+(\d+) kB", Path("/proc/meminfo").read_text())[1]) * 1024


def address():
    host, port = LISTEN.split(":")
    return host, int(port)
