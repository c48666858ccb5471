"""curl through the port that a web server shares: plain HTTP, h2 and http/1.1 by ALPN, and by name.

The web server is HAProxy, which takes the PROXY header and opens TLS with a certificate of its own,
with `origin` behind it. curl sees who serves it by the certificate that it accepts, and the origin
who asks.
"""

import hashlib
import json
import socket
from concurrent.futures import ThreadPoolExecutor

import haproxy
import origin
from rig import BALANCER, PORT, TURN_NAME, WEB_NAME, Certificate, Relay, missing, run
from turn import Client, Socket

WEB_PORT, BALANCED_PORT = 13490, 13491
BIG, SLOW = 100 << 20, 4 << 20
SLOW_RATE = "2M"


def configuration(relay, certificate, to_origin):
    """One port, and one path, for TLS and plain HTTP alike; both with a PROXY header in front."""
    inside = relay.folder / "inside"
    return f"""
global
    stats socket {relay.folder}/stats
defaults
    timeout connect 10s
    timeout client 60s
    timeout server 60s
frontend shared
    mode tcp
    bind {relay.host}:{WEB_PORT} accept-proxy
    bind unix@{relay.folder}/web mode 666 accept-proxy
    tcp-request inspect-delay 10s
    tcp-request content accept if {{ req.ssl_hello_type 1 }}
    tcp-request content accept if {{ req.len ge 3 }} !{{ req.payload(0,1) -m bin 16 }}
    use_backend tls if {{ req.ssl_hello_type 1 }}
    default_backend plain
listen balancer
    mode tcp
    bind {relay.host}:{BALANCED_PORT}
    server relay {relay.at} send-proxy-v2 source {BALANCER}
backend tls
    mode tcp
    server inside unix@{inside}.tls send-proxy-v2
backend plain
    mode tcp
    server inside unix@{inside}.plain send-proxy-v2
frontend web
    mode http
    bind unix@{inside}.tls accept-proxy ssl crt {certificate.both} alpn h2,http/1.1
    bind unix@{inside}.plain accept-proxy
    http-request set-header x-client %[src]:%[src_port]
    http-request set-header x-protocol %[ssl_fc_protocol],%[ssl_fc_alpn],%[req.ver]
    default_backend origin
backend origin
    mode http
    server origin {relay.host}:{to_origin}
"""


class Curl:
    """curl, which finds both names at the relay and trusts one of two authorities."""

    def __init__(self, relay, web=None, port=PORT):
        self.relay, self.address = relay, f"{relay.host}:{port}"
        self.authority = {TURN_NAME: relay.certificate.authority}
        if web:
            self.authority["web"] = web.authority

    def __call__(self, url, *arguments, trusts="web", status=0, **options):
        """What a request shows: the body, and the numbers that curl writes behind it."""
        show = (
            '\n{"version": "%{http_version}", "code": "%{http_code}", '
            '"own": "%{local_ip}:%{local_port}"}'
        )
        connect = [word for name in (TURN_NAME, WEB_NAME)
                   for word in ("--connect-to", f"{name}:{PORT}:{self.address}")]  # fmt: skip
        trust = ["--cacert", self.authority[trusts]] if url.startswith("https") else []
        done = run("curl", "-sS", "--noproxy", "*", "-w", show, *connect, *trust, *arguments,
                   url, status=status, **options)  # fmt: skip
        body, _, numbers = done.stdout.rpartition(b"\n")
        return body, json.loads(numbers), done.errors


def url(scheme, name=TURN_NAME, path="/"):
    return f"{scheme}://{name}:{PORT}{path}"


def backend_is_told(curl, protocol, version, address, *arguments):
    """Who the client is, and how it came."""
    body, numbers, _ = curl(address, *arguments)
    headers = json.loads(body)
    assert numbers["code"] == "200" and numbers["version"] == version, numbers
    assert headers["x-client"] == numbers["own"], f"{headers['x-client']} is not {numbers['own']}"
    assert headers["x-protocol"].startswith(protocol), headers["x-protocol"]


def backend_is_told_by_a_balancer(curl, certificate):
    """Of two PROXY headers the second says what the first did."""
    balanced = Curl(curl.relay, certificate, BALANCED_PORT)
    backend_is_told(balanced, "TLSv1.3,h2,2", "2", url("https"))


def turn_answers(curl):
    """A client that offers no HTTP and asks for the relay's name is the relay's."""
    body, numbers, _ = curl(url("https"), "--no-alpn", trusts=TURN_NAME)
    assert (body, numbers["code"]) == (b"", "400"), f"{numbers}: {body[:100]}"


def downloads(curl, scheme, size, *arguments):
    body, numbers, _ = curl(url(scheme, path=f"/bytes/{size}"), *arguments)
    assert len(body) == size, f"{len(body)} bytes: {numbers}"
    assert hashlib.sha256(body).hexdigest() == origin.digest_of(size), "other bytes"


def uploads(curl, scheme, size, *arguments):
    file = curl.relay.folder / f"upload-{scheme}-{size}"
    file.write_bytes(b"".join(origin.pieces(size)))
    body, numbers, _ = curl(url(scheme), "-T", file, *arguments)
    assert body.decode() == origin.digest_of(size), f"{numbers}: {body[:100]}"


def answers_come_after_a_half_close(curl):
    size = 20 << 20
    with Socket((curl.relay.host, PORT)) as stream:
        stream.write(f"GET /bytes/{size} HTTP/1.0\r\n\r\n".encode())
        stream.socket.shutdown(socket.SHUT_WR)
        got = b"".join(iter(stream.read, b""))
    assert len(got.partition(b"\r\n\r\n")[2]) == size, f"{len(got)} bytes"


def turn_stays(curl):
    relay = curl.relay
    with Socket((relay.host, PORT)) as stream:
        Client(stream).relays(relay.host)
    with Socket((relay.host, PORT), haproxy.context(relay), TURN_NAME) as stream:
        Client(stream).relays(relay.host)


def check_shared(tally, uturn, driver, kind):
    """With a web server on a TCP port or on a unix socket."""
    place = "unix:{}/web" if kind == "unix" else "{}:" + str(WEB_PORT)
    relay = Relay(uturn, driver)
    place = place.format(relay.folder if kind == "unix" else relay.host)
    relay.command += ["--web-backend", place, "--web-names", WEB_NAME, "--web-proxy", "on"]
    certificate = Certificate(relay.folder, "web", f"DNS:{TURN_NAME}", f"DNS:{WEB_NAME}")
    with relay, origin.serving(relay.host) as port:
        with haproxy.running(relay.folder, configuration(relay, certificate, port)):
            curl = Curl(relay, certificate)

            def expect(name, function, *arguments):
                tally.check(
                    f"{driver}: curl, backend on {kind}: {name}", function, curl, *arguments
                )

            expect("plain", backend_is_told, ",,1.1", "1.1", url("http"))
            h2 = "--http2-prior-knowledge"
            expect("h2 without TLS", backend_is_told, ",,2.0", "2", url("http"), h2)
            expect("h2 by ALPN", backend_is_told, "TLSv1.3,h2,2", "2", url("https"))
            old = ["--http1.1", "--tls-max", "1.2"]
            expect(
                "http/1.1 by ALPN", backend_is_told, "TLSv1.2,http/1.1,", "1.1", url("https"), *old
            )
            named = url("https", WEB_NAME)
            expect("by name", backend_is_told, "TLSv1.3,,1.1", "1.1", named, "--no-alpn")
            expect("behind a balancer", backend_is_told_by_a_balancer, certificate)
            expect("neither is TURN's", turn_answers)
            expect("100 MiB down", downloads, "https" if kind == "unix" else "http", BIG)
            expect("slowly up and down at once", slowly_at_once)
            expect("half-close", answers_come_after_a_half_close)
            expect("TURN beside it", turn_stays)
            tally.check(f"{driver}: curl, backend on {kind}: the relay ends well", relay.ends_well)


def slowly_at_once(curl):
    """Two uploads and two downloads, over TLS and plain, each at 2 MB/s."""
    limit = ["--limit-rate", SLOW_RATE]
    with ThreadPoolExecutor() as pool:
        ways = [(way, scheme) for way in (uploads, downloads) for scheme in ("http", "https")]
        for done in [pool.submit(way, curl, scheme, SLOW, *limit) for way, scheme in ways]:
            done.result()


def refused_plain(curl):
    body, numbers, _ = curl(url("http"))
    assert (body, numbers["code"]) == (b"", "400"), f"{numbers}: {body[:100]}"


def refused_by_alpn(curl):
    """An alert of TLS, not a connection that breaks: 35 is curl's failed handshake."""
    _, _, errors = curl(url("https"), trusts=TURN_NAME, status=35)
    assert "no application protocol" in errors, errors


def check_alone(tally, uturn, driver):
    with Relay(uturn, driver) as relay:

        def expect(name, function, *arguments):
            tally.check(f"{driver}: curl, no backend: {name}", function, *arguments)

        expect("plain gets 400", refused_plain, Curl(relay))
        expect("TLS gets an alert", refused_by_alpn, Curl(relay))
        expect("TLS without ALPN gets 400", turn_answers, Curl(relay))
        expect("the relay ends well", relay.ends_well)


def lacks():
    return missing("curl", "haproxy")


def check(tally, uturn, driver):
    check_alone(tally, uturn, driver)
    for kind in ("tcp", "unix"):
        check_shared(tally, uturn, driver, kind)
