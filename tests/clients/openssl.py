"""`openssl s_client`: TLS of OpenSSL, in pieces as small as they come.

Every byte of the application is a record of its own; or every byte of the stream is a segment of
its own, the handshake's too. Also: resumption, key updates, what ALPN is answered, and how HTTP
ends.
"""

import contextlib
import os
import select
import socket
import subprocess
import threading
import time

from rig import PATIENCE_S, PORT, TURN_NAME, Relay, missing, run, wait_for
from turn import BINDING, Client, message

VERSIONS = {"1.2": "-tls1_2", "1.3": "-tls1_3"}
BYTE_EVERY_S = 0.001
# There is only so much time for a handshake: what takes longer, on a busy machine, is not slowed.
SLOW_FOR_S = 2


def pauses():
    """Waits a little at each step, but not for longer than it may in all."""
    end = time.monotonic() + SLOW_FOR_S
    while True:
        time.sleep(BYTE_EVERY_S if time.monotonic() < end else 0)
        yield


def read_of(process):
    """The next bytes that a program writes, none at its end."""
    readable, _, _ = select.select([process.stdout], [], [], PATIENCE_S)
    assert readable, "s_client shows nothing"
    return os.read(process.stdout.fileno(), 65536)


class Session:
    """A running s_client as a stream; what it says itself is in `words`."""

    def __init__(self, relay, *arguments, port=PORT, each_byte=False):
        self.each_byte = each_byte
        self.words_file = relay.folder / f"s_client.{id(self)}"
        command = [
            "openssl", "s_client", "-connect", f"{relay.host}:{port}", "-servername", TURN_NAME,
            "-CAfile", relay.certificate.authority, "-verify_return_error",
            "-verify_hostname", TURN_NAME, "-brief", "-no_ign_eof", *arguments,
        ]  # fmt: skip
        pipe = subprocess.PIPE
        self.words_out = open(self.words_file, "wb")
        self.process = subprocess.Popen(
            [str(word) for word in command],
            stdin=pipe,
            stdout=pipe,
            stderr=self.words_out,
            bufsize=0,
        )
        # It reads commands and bytes alike: what comes before it is connected would come in one.
        self.wait_for_words("CONNECTION ESTABLISHED")

    def words(self):
        return self.words_file.read_text(errors="replace")

    def wait_for_words(self, words):
        def found():
            text, status = self.words(), self.process.poll()
            assert words in text or status is None, f"s_client ended with {status}: {text}"
            return words in text

        wait_for(f"'{words}' of s_client", found)

    def write(self, some):
        pieces = [bytes([byte]) for byte in some] if self.each_byte else [some]
        pause = pauses()
        for piece in pieces:
            self.process.stdin.write(piece)
            next(pause)

    def read(self):
        return read_of(self.process)

    def leave(self):
        """Ends the session in its own way, with a close_notify; returns what it said."""
        self.process.stdin.close()
        status = self.process.wait(PATIENCE_S)
        assert status == 0, f"s_client ended with {status}: {self.words()}"
        return self.words()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.words_out.close()


@contextlib.contextmanager
def dripping(relay):
    """A port that passes each byte to the relay in a segment of its own."""
    with socket.create_server((relay.host, 0)) as listener:

        def pass_on(source, target, at_once):
            target.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pause = pauses()
            with contextlib.suppress(OSError):
                while piece := source.recv(at_once):
                    target.sendall(piece)
                    next(pause)
                target.shutdown(socket.SHUT_WR)

        def serve():
            with contextlib.suppress(OSError):
                client, _ = listener.accept()
                server = socket.create_connection((relay.host, PORT))
                back = threading.Thread(target=pass_on, args=(server, client, 65536))
                back.start()
                pass_on(client, server, 1)
                back.join()
                client.close()
                server.close()

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]


def each_byte_is_a_record(relay, flag):
    with Session(relay, flag, "-nocommands", "-alpn", "stun.turn", each_byte=True) as session:
        client = Client(session)
        host, port = client.mapped()
        assert host.startswith("127.") and port > 0, f"{host}:{port}"
        client.relays(relay.host)
        words = session.leave()
        assert f"Protocol version: TLSv{flag[4:].replace('_', '.')}" in words, words
        assert "Verification: OK" in words, words


def each_byte_is_a_segment(relay, flag):
    with dripping(relay) as port, Session(relay, flag, "-nocommands", port=port) as session:
        Client(session).relays(relay.host)
        session.leave()


def session_of(relay, *arguments):
    """What s_client prints of a session in which it asks for a Binding."""
    command = ["-connect", relay.at, "-servername", TURN_NAME, "-nocommands", "-no_ign_eof"]
    process = subprocess.Popen(
        ["openssl", "s_client", *command, *map(str, arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    with process:
        request = message(BINDING)
        process.stdin.write(request)
        process.stdin.flush()
        text = b""
        while request[8:20] not in text:
            more = read_of(process)
            assert more, f"no answer: {text[-400:]}"
            text += more
        rest, _ = process.communicate(timeout=PATIENCE_S)
    return (text + rest).decode(errors="replace")


def alpn_is_chosen(relay):
    offers = {
        "stun.turn": "stun.turn",
        "stun.nat-discovery": "stun.nat-discovery",
        "http/1.1,stun.nat-discovery,stun.turn": "stun.turn",
    }
    for offered, chosen in offers.items():
        text = session_of(relay, "-alpn", offered)
        assert f"ALPN protocol: {chosen}\n" in text, f"{offered}: {text[-900:]}"
    assert "No ALPN negotiated" in session_of(relay)


def is_resumed(relay, flag):
    kept = relay.folder / f"session{flag}"
    assert "New, TLS" in session_of(relay, flag, "-sess_out", kept)
    text = session_of(relay, flag, "-sess_in", kept)
    assert "Reused, TLS" in text, text[:400]


def keys_change_under_way(relay):
    with Session(relay, "-tls1_3") as session:
        client = Client(session)
        for command in [b"K\n", b"k\n", b"K\n"]:
            client.mapped()
            before = session.words().count("KEYUPDATE")
            session.write(command)
            wait_for("the key update", lambda: session.words().count("KEYUPDATE") > before)
        client.relays(relay.host)


def web_protocols_are_refused(relay):
    done = run("openssl", "s_client", "-connect", relay.at, "-alpn", "h2,http/1.1", status=1)
    assert "alert no application protocol" in done.errors, done.errors


def http_is_answered_and_the_end_is_said(relay):
    process = subprocess.run(
        ["openssl", "s_client", "-connect", relay.at, "-state", "-quiet"],
        input=b"GET / HTTP/1.1\r\n\r\n",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=PATIENCE_S,
    )
    assert process.stdout.startswith(b"HTTP/1.1 400 "), process.stdout
    errors = process.stderr.decode()
    assert "SSL3 alert read:warning:close notify" in errors, errors


def its_end_ends_the_allocation(relay):
    closed = len(relay.logged("allocation closed"))
    with Session(relay) as session:
        Client(session).allocate()
        session.leave()
        wait_for(
            "the end of the allocation", lambda: len(relay.logged("allocation closed")) > closed
        )


def lacks():
    return missing("openssl")


def check(tally, uturn, driver):
    with Relay(uturn, driver) as relay:

        def expect(name, function, *arguments):
            tally.check(f"{driver}: openssl s_client: {name}", function, relay, *arguments)

        for version, flag in VERSIONS.items():
            expect(f"TLS {version}, each byte a record", each_byte_is_a_record, flag)
            expect(f"TLS {version}, each byte a segment", each_byte_is_a_segment, flag)
            expect(f"TLS {version} is resumed", is_resumed, flag)
        expect("ALPN", alpn_is_chosen)
        expect("keys change under way", keys_change_under_way)
        expect("HTTP's ALPN without a web backend", web_protocols_are_refused)
        expect("HTTP in TLS gets 400 and a close_notify", http_is_answered_and_the_end_is_said)
        expect("its close_notify ends the allocation", its_end_ends_the_allocation)
        tally.check(f"{driver}: openssl s_client: the relay ends well", relay.ends_well)
