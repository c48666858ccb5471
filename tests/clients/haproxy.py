"""HAProxy in front of the relay: who its clients are is told by PROXY headers of both versions.

In TCP mode, with plain TURN and with TLS that it does not open, and as the one who opens TLS. Its
clients are a few lines of our own, which know their address, and turnutils_uclient. Whoever is not
in `proxy-from` may tell nothing.
"""

import contextlib
import re
import socket
import ssl

from rig import BALANCER, PASSWORD, PATIENCE_S, PORT, STRANGER, TURN_NAME, USER, Relay, run, started
from rig import missing, wait_for
from turn import BINDING, Client, Socket, message

PEER_PORT = 13480

# Ports of the frontends, and what stands behind `server` in each: how it speaks to the relay.
FRONTENDS = {
    13481: f"send-proxy source {BALANCER}",
    13482: f"send-proxy-v2 source {BALANCER}",
    13483: f"send-proxy-v2 proxy-v2-options crc32c,unique-id,authority source {BALANCER}",
    13484: f"send-proxy-v2 check port {PORT} check-send-proxy inter 100ms source {BALANCER}",
    13485: f"send-proxy-v2-ssl-cn source {BALANCER}",
    13486: f"send-proxy source {STRANGER}",
    13487: f"send-proxy-v2 source {STRANGER}",
    13488: f"source {BALANCER}",
}
V1, V2, EXTRAS, CHECKED, OPENS_TLS, STRANGE_V1, STRANGE_V2, SILENT = FRONTENDS


# A Binding request, and how the answer to it begins.
PROBE = f"""option tcp-check
    tcp-check send-binary {message(BINDING).hex()}
    tcp-check expect binary 0101"""


def configuration(relay):
    """One `listen` section a port, over IPv4 and IPv6."""
    text = f"""
global
    stats socket {relay.folder}/stats
defaults
    mode tcp
    timeout connect 10s
    timeout client 1h
    timeout server 1h
"""
    for port, server in FRONTENDS.items():
        tls = f"ssl crt {relay.certificate.both}" if port == OPENS_TLS else ""
        probe = PROBE if port == CHECKED else ""
        text += f"""
listen turn-{port}
    unique-id-format %{{+X}}o\\ %ci:%cp
    {probe}
    bind {relay.host}:{port} {tls}
    bind [::1]:{port + 20 * relay.number} {tls}
    server relay {relay.at} {server}
"""
    return text


@contextlib.contextmanager
def running(folder, text):
    """HAProxy with this configuration, once its control socket answers."""
    file, log = folder / "haproxy.cfg", folder / "haproxy.log"
    file.write_text(text)
    with (
        open(log, "wb") as out,
        started("haproxy", "-db", "-f", file, stdout=out, stderr=out) as process,
    ):

        def serves():
            assert process.poll() is None, log.read_text()
            return (folder / "stats").exists()

        wait_for("HAProxy", serves)
        yield process


def context(relay):
    return ssl.create_default_context(cafile=relay.certificate.authority)


def client_is_seen(relay, port, tls=None):
    for address in [(relay.host, port), ("::1", port + 20 * relay.number)]:
        with Socket(address, tls and tls(relay), TURN_NAME) as stream:
            client = Client(stream)
            assert client.mapped() == stream.own, f"{client.mapped()} is none of {stream.own}"
            client.relays(relay.host)
            host = f"[{stream.own[0]}]" if ":" in stream.own[0] else stream.own[0]
            relay.wait_for_log(f"client={host}:{stream.own[1]}")


def nothing_is_told(relay, port):
    with Socket((relay.host, port)) as stream:
        stream.write(message(BINDING))
        answer = stream.read()
        assert answer == b"", f"an answer: {answer.hex()}"


def health_is_seen(relay):
    """HAProxy has had an answer to its probe, which is a check of layer 7."""

    def is_up():
        with socket.socket(socket.AF_UNIX) as stats:
            stats.settimeout(PATIENCE_S)
            stats.connect(str(relay.folder / "stats"))
            stats.sendall(b"show stat typed\n")
            text = b"".join(iter(lambda: stats.recv(65536), b"")).decode()
        return f"turn-{CHECKED}" in text and ":str:L7OK" in text

    wait_for("a server that HAProxy has found to be up", is_up)


def uclient_talks(relay, least, *arguments):
    """It ends well, and so many messages of 20 came back."""
    with started("turnutils_peer", "-p", PEER_PORT, "-L", relay.host):
        done = run(
            "turnutils_uclient", "-u", USER, "-w", PASSWORD, "-c", "-n", 20, "-m", 1, "-z", 20,
            "-e", relay.host, "-r", PEER_PORT, *arguments, relay.host,
        )  # fmt: skip
    text = done.stdout.decode(errors="replace")
    received = re.findall(r"tot_recv_msgs=(\d+)", text)
    assert received and int(received[-1]) >= least, text[-600:]


def lacks():
    return missing("haproxy", "turnutils_uclient", "turnutils_peer")


def check(tally, uturn, driver):
    # Debian's turnutils_uclient binds any channel of RFC 5766.
    arguments = ["--channel-numbers", "rfc5766"]
    with Relay(uturn, driver, *arguments) as relay, running(relay.folder, configuration(relay)):

        def expect(name, function, *arguments):
            tally.check(f"{driver}: HAProxy: {name}", function, relay, *arguments)

        expect("v1, plain", client_is_seen, V1)
        expect("v1, TLS passes through", client_is_seen, V1, context)
        expect("v2, plain", client_is_seen, V2)
        expect("v2, TLS passes through", client_is_seen, V2, context)
        expect("v2 with a checksum and more", client_is_seen, EXTRAS)
        expect("v2, TLS ends at HAProxy", client_is_seen, OPENS_TLS, context)
        expect("v1 from a stranger", nothing_is_told, STRANGE_V1)
        expect("v2 from a stranger", nothing_is_told, STRANGE_V2)
        expect("no header from a balancer", nothing_is_told, SILENT)
        expect("checks find the server up", health_is_seen)
        expect("v1 and turnutils_uclient", uclient_talks, 20, "-t", "-p", V1)
        # Of a TLS record it reads the first message alone.
        expect("v2 and turnutils_uclient on TLS", uclient_talks, 10, "-t", "-S", "-p", V2)
        tally.check(f"{driver}: HAProxy: the relay ends well", relay.ends_well)
