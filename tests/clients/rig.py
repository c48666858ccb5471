"""What every check here stands on: a relay of its own, certificates, and a count of what passed."""

import contextlib
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path

REALM, USER, PASSWORD = "example.org", "alice", "wonderland"
# Whom the relay's certificate names, and whom a web server's does beside.
TURN_NAME, WEB_NAME = "turn.example.org", "www.example.org"
# From here HAProxy speaks for its clients, and from there it may not.
BALANCER, STRANGER = "127.0.79.1", "127.0.79.2"
PORT, RELAY_PORTS = 13478, "20000-20999"
# How long a thing may take on a busy machine.
PATIENCE_S = 60


class Tally:
    """What passed and what did not, a line each, from several threads."""

    def __init__(self):
        self.passed = self.failed = 0
        self.lock = threading.Lock()

    def check(self, name, function, *arguments):
        """Calls a function, which raises what is wrong, and counts."""
        if self.attempt(name, function, *arguments):
            with self.lock:
                self.passed += 1
                print(f"ok      {name}", flush=True)

    def attempt(self, name, function, *arguments):
        """Calls a function and counts only a failure; says whether there was none."""
        try:
            function(*arguments)
        except Exception as error:
            with self.lock:
                self.failed += 1
                print(f"FAILED  {name}\n        {type(error).__name__}: {error}", flush=True)
            return False
        return True

    def verdict(self):
        print(f"{self.passed} passed, {self.failed} failed")
        return 0 if self.failed == 0 else 1


class Missing(Exception):
    """Something did not come in time."""


def missing(*programs):
    """Those of some programs that this machine lacks, as words; empty: none."""
    return ", ".join(program for program in programs if shutil.which(program) is None)


def wait_for(what, is_so):
    """Waits until a function says something true, and returns that."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        if found := is_so():
            return found
        if time.monotonic() > deadline:
            raise Missing(f"{what} was due")
        time.sleep(0.02)


def run(*command, status=0, **options):
    """What a program writes; `status` is what it has to end with."""
    done = subprocess.run(
        [str(word) for word in command], stdin=options.pop("stdin", subprocess.DEVNULL),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE_S, **options,
    )  # fmt: skip
    errors = done.stderr.decode(errors="replace")
    assert done.returncode == status, f"{command[0]} ended with {done.returncode}: {errors[-400:]}"
    done.errors = errors
    return done


@contextlib.contextmanager
def started(*command, **options):
    """A program that runs meanwhile."""
    nothing = subprocess.DEVNULL
    options = {"stdin": nothing, "stdout": nothing, "stderr": nothing, **options}
    process = subprocess.Popen([str(word) for word in command], **options)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Certificate:
    """A certificate of an authority that signs nothing else."""

    def __init__(self, folder, name, *names):
        self.authority, self.file, self.key = (
            folder / f"{name}.{part}" for part in ("authority", "certificate", "key")
        )
        # What HAProxy wants in one file.
        self.both = folder / f"{name}.pem"
        request, extensions = folder / f"{name}.request", folder / f"{name}.extensions"
        authority_key = folder / f"{name}.authority.key"
        extensions.write_text(f"subjectAltName={','.join(names)}\n")
        new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        run("openssl", "req", "-x509", *new, "-days", 2, "-subj", f"/CN=authority of {name}",
            "-keyout", authority_key, "-out", self.authority)  # fmt: skip
        run("openssl", "req", *new, "-subj", f"/CN={name}", "-keyout", self.key, "-out", request)
        run("openssl", "x509", "-req", "-in", request, "-days", 2, "-extfile", extensions,
            "-CA", self.authority, "-CAkey", authority_key, "-CAcreateserial",
            "-out", self.file)  # fmt: skip
        self.both.write_text(self.file.read_text() + self.key.read_text())


class Relay:
    """uturn on an address of loopback that nothing else uses, on every port for TLS as well."""

    count = 0
    lock = threading.Lock()

    def __init__(self, uturn, driver, *arguments):
        with Relay.lock:
            Relay.count += 1
            self.number = Relay.count
        self.host = f"127.0.78.{self.number}"
        self.at = f"{self.host}:{PORT}"
        self.folder = Path(tempfile.mkdtemp(prefix="uturn-clients-"))
        self.folder.chmod(0o755)
        self.certificate = Certificate(self.folder, "turn", f"DNS:{TURN_NAME}", f"IP:{self.host}")
        self.log = self.folder / "relay.log"
        self.command = [
            uturn, "--listen", self.at, "--relay-ip", self.host, "--relay-ports", RELAY_PORTS,
            "--realm", REALM, "--user", f"{USER}:{PASSWORD}", "--allow-peers", "127.0.0.0/8",
            "--tls-certificate", self.certificate.file, "--tls-key", self.certificate.key,
            "--proxy-from", f"{BALANCER}/32", "--io", driver, "--workers", "2",
            "--control", "off", *arguments,
        ]  # fmt: skip

    def __enter__(self):
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [str(word) for word in self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            self.wait_for_log(" started ")
        except BaseException:
            self.process.kill()
            raise
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder)

    def logged(self, *words):
        """The lines of the log so far that contain all of this."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [line for line in lines if all(word in line for word in words)]

    def wait_for_log(self, *words):
        def found():
            ended = self.process.poll()
            assert ended is None, f"the relay ended with {ended}: {self.log.read_text()[-600:]}"
            return self.logged(*words)

        return wait_for(f"{words} in the relay's log", found)

    def ends_well(self):
        """Stops it, as a service manager does."""
        self.process.terminate()
        status = self.process.wait(PATIENCE_S)
        text = self.log.read_text(errors="replace")
        assert status == 0 and "panicked at" not in text, f"status {status}: {text[-600:]}"
