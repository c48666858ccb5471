"""aioice from PyPI, the ICE of aiortc: agents reach the relay over TCP, TLS and UDP (`agents`)."""

import functools
import os
import subprocess
import tempfile
from pathlib import Path

from rig import PASSWORD, PORT, USER, Relay, run

VERSION = "0.13.0"
FOLDER = tempfile.TemporaryDirectory(prefix="uturn-aioice-")


@functools.cache
def installed():
    """A Python that has aioice, or why there is none."""
    python = Path(FOLDER.name) / "bin/python"
    try:
        run("/usr/bin/python3", "-m", "venv", FOLDER.name)
        run(python, "-m", "pip", "install", "--quiet", "--retries", 1, f"aioice=={VERSION}")
    except (AssertionError, subprocess.SubprocessError) as error:
        return None, f"aioice: {str(error).strip().splitlines()[-1]}"
    return python, None


def lacks():
    return installed()[1]


def talk(relay, one, other, status=0, trusted=True):
    script = Path(__file__).with_name("agents.py")
    environment = dict(os.environ)
    environment.pop("SSL_CERT_FILE", None)
    if trusted:
        environment["SSL_CERT_FILE"] = str(relay.certificate.authority)
    login = [relay.host, PORT, USER, PASSWORD]
    return run(installed()[0], script, *login, one, other, status=status, env=environment)


def ways(relay, one, other):
    talk(relay, one, other)
    for way in (one, other):
        closed = relay.wait_for_log("allocation closed", f'transport="{way}"')
        assert all('reason="deleted"' in line for line in closed), closed


def untrusted(relay):
    done = talk(relay, "tls", "tls", status=1, trusted=False)
    assert "candidates of set()" in done.errors, done.errors[-400:]


def check(tally, uturn, driver):
    with Relay(uturn, driver) as relay:
        for one, other in [("tcp", "tcp"), ("tls", "tls"), ("tls", "udp"), ("tcp", "tls")]:
            tally.check(f"{driver}: aioice: {one} to {other}", ways, relay, one, other)
        tally.check(f"{driver}: aioice: an untrusted certificate", untrusted, relay)
        tally.check(f"{driver}: aioice: the relay ends well", relay.ends_well)
