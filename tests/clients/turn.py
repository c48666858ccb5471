"""What the checks say themselves: the bytes of TURN (RFC 8656) over a stream, as a client has them.

A stream is anything with `write(bytes)` and `read()`, which returns some bytes, none at the end.
"""

import hashlib
import hmac
import os
import socket
import struct

from rig import PASSWORD, PATIENCE_S, REALM, USER

COOKIE = 0x2112A442
BINDING, ALLOCATE, REFRESH, CHANNEL_BIND = 0x001, 0x003, 0x004, 0x009
SUCCESS, FAILURE = 0x100, 0x110
USERNAME, INTEGRITY, ERROR, CHANNEL_NUMBER, LIFETIME = 0x0006, 0x0008, 0x0009, 0x000C, 0x000D
PEER, REALM_WORD, NONCE, RELAYED, TRANSPORT, MAPPED = 0x0012, 0x0014, 0x0015, 0x0016, 0x0019, 0x0020
CHANNEL = 0x4000
KEY = hashlib.md5(f"{USER}:{REALM}:{PASSWORD}".encode()).digest()


def attribute(kind, value):
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


def message(method, attributes=b"", key=None):
    """A request, signed where there is a key; what comes before the integrity counts it."""
    length = len(attributes) + (24 if key else 0)
    head = struct.pack("!HHI", method, length, COOKIE) + os.urandom(12)
    if key:
        signature = hmac.digest(key, head + attributes, "sha1")
        attributes += attribute(INTEGRITY, signature)
    return head + attributes


def xored(host, port):
    """The value of an attribute for an IPv4 address."""
    ip = struct.unpack("!I", socket.inet_aton(host))[0]
    return struct.pack("!BBHI", 0, 1, port ^ COOKIE >> 16, ip ^ COOKIE)


class Answer:
    def __init__(self, raw):
        self.kind, _, _, self.transaction = struct.unpack("!HHI12s", raw[:20])
        self.attributes, at = {}, 20
        while at < len(raw):
            kind, length = struct.unpack("!HH", raw[at : at + 4])
            self.attributes.setdefault(kind, raw[at + 4 : at + 4 + length])
            at += 4 + length + -length % 4

    def error(self):
        value = self.attributes.get(ERROR)
        return value and value[2] * 100 + value[3]

    def address(self, kind):
        """What an XOR address says, as (host, port)."""
        _, family, port = struct.unpack("!BBH", self.attributes[kind][:4])
        mask = struct.pack("!I", COOKIE) + self.transaction
        ip = bytes(a ^ b for a, b in zip(self.attributes[kind][4:], mask))
        family = {1: socket.AF_INET, 2: socket.AF_INET6}[family]
        return socket.inet_ntop(family, ip), port ^ COOKIE >> 16


class Client:
    """A user of the relay at the other end of a stream."""

    def __init__(self, stream):
        self.stream, self.kept, self.login = stream, b"", None

    def frame(self):
        """The next frame, whole: a STUN message or ChannelData without its padding."""
        while True:
            if len(self.kept) >= 4:
                kind, length = struct.unpack("!HH", self.kept[:4])
                end = 4 + length if kind >= CHANNEL else 20 + length
                padded = end + -end % 4
                if len(self.kept) >= padded:
                    frame, self.kept = self.kept[:end], self.kept[padded:]
                    return frame
            more = self.stream.read()
            assert more, f"the stream ended behind {self.kept.hex() or 'nothing'}"
            self.kept += more

    def ask(self, method, attributes=b""):
        """The answer to a request, with the login once there is one."""
        if self.login:
            attributes += self.login
        self.stream.write(message(method, attributes, KEY if self.login else None))
        return Answer(self.frame())

    def succeed(self, method, attributes=b""):
        answer = self.ask(method, attributes)
        assert answer.kind == method | SUCCESS, f"{method:#x}: {answer.error()}"
        return answer

    def mapped(self):
        """Who the relay says this is."""
        return self.succeed(BINDING).address(MAPPED)

    def allocate(self):
        """The relayed address of a new allocation."""
        wanted = attribute(TRANSPORT, bytes([17, 0, 0, 0]))
        challenge = self.ask(ALLOCATE, wanted)
        assert challenge.error() == 401, f"{challenge.kind:#x}, {challenge.error()}"
        realm, nonce = challenge.attributes[REALM_WORD], challenge.attributes[NONCE]
        self.login = b"".join(
            attribute(kind, value)
            for kind, value in [(USERNAME, USER.encode()), (REALM_WORD, realm), (NONCE, nonce)]
        )
        return self.succeed(ALLOCATE, wanted).address(RELAYED)

    def relays(self, host, payload=b"there and back again"):
        """Allocates, and has a peer on this address send something back."""
        relayed = self.allocate()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.settimeout(PATIENCE_S)
            peer.bind((host, 0))
            number = attribute(CHANNEL_NUMBER, struct.pack("!HH", CHANNEL, 0))
            self.succeed(CHANNEL_BIND, number + attribute(PEER, xored(*peer.getsockname())))
            framed = struct.pack("!HH", CHANNEL, len(payload)) + payload
            self.stream.write(framed + bytes(-len(framed) % 4))
            got, source = peer.recvfrom(65536)
            assert (got, source) == (payload, relayed), f"the peer got {got} from {source}"
            peer.sendto(payload[::-1], relayed)
            back = self.frame()
            assert back[4:] == payload[::-1], f"the client got {back}"
        self.succeed(REFRESH, attribute(LIFETIME, bytes(4)))


class Socket:
    """A stream over a socket of our own, TLS where there is a context."""

    def __init__(self, address, context=None, name=None):
        self.socket = socket.create_connection(address, timeout=PATIENCE_S)
        self.own = self.socket.getsockname()[:2]
        if context:
            self.socket = context.wrap_socket(self.socket, server_hostname=name)

    def write(self, some):
        self.socket.sendall(some)

    def read(self):
        try:
            return self.socket.recv(65536)
        except ConnectionResetError:
            return b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
