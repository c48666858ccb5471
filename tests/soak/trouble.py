"""What happens to the relay in a round: calls, churn, clients that vanish, reloads, hostile input."""

import random
import socket
import time
from collections import deque

from relay import CALLS, address, outcome

# Datagrams a second of hostile input, from so many sockets.
HOSTILE_PPS, HOSTILE_SOCKETS = 1_000, 8
# Clients that allocate and are never heard of again, a round.
GHOSTS = 300
CHURN_PER_S = 400
# What each reload finds in the users file besides those who come: the same in every round.
USERS = [20_000, 5_000, 10_000]
LOADS = [
    f"{CALLS} --user calls:pass",
    "video -n 4 --trains --c2c --wait sleep --user calls:pass",
    f"churn --rate {CHURN_PER_S} --user guests:pass",
    "voice -n 20 --transport tcp --wait sleep --user calls:pass",
    "handshakes --transport tcp --rate 50 --user guests:pass",
]
TICK_S = 0.02
# Connections that say something hostile, each tick, and how many of them stay at a time.
CONNECTIONS, CONNECTIONS_HELD = 2, 60

# Where strangers connect from: what one address may have of connections, calls must not share with them.
STRANGER = ("127.0.66.1", 0)

COOKIE = b"\x21\x12\xa4\x42"


class Trouble:
    # Each of `faults` is one.
    TESTS = 5

    def __init__(self, relay, seed):
        self.relay, self.random = relay, random.Random(seed)
        self.rounds = self.sent = 0
        self.problems = []

    def play(self, seconds):
        self.rounds += 1
        begun = time.monotonic()
        ghosts = self.relay.call(f"voice -n {GHOSTS} --user ghosts:pass --wait sleep", 2 * seconds)
        loads = [self.relay.call(words, seconds) for words in LOADS]
        sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(HOSTILE_SOCKETS)]
        reloads, connections = [], deque(maxlen=CONNECTIONS_HELD)
        while (now := time.monotonic() - begun) < seconds:
            if len(reloads) < len(USERS) and now > seconds * (len(reloads) + 0.5) / len(USERS):
                reloads.append(self.relay.reload(USERS[len(reloads)]))
            if ghosts and now > seconds / 2:
                ghosts.kill()
                ghosts.communicate()
                ghosts = None
            self.bombard(sockets)
            connections.extend(self.connect() for _ in range(CONNECTIONS))
            time.sleep(TICK_S)
        self.problems += filter(None, (outcome(load, seconds) for load in loads))
        self.problems += filter(None, map(outcome, reloads))
        for each in [*sockets, *connections]:
            each.close()

    def bombard(self, sockets):
        for _ in range(int(HOSTILE_PPS * TICK_S)):
            self.random.choice(sockets).sendto(self.datagram(), address())
            self.sent += 1

    def connect(self):
        """A connection with something hostile on it; the relay may end it at any moment."""
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            connection.settimeout(1)
            connection.bind(STRANGER)
            connection.connect(address())
            connection.sendall(self.datagram())
        except OSError:
            pass
        return connection

    def datagram(self):
        """Anything: noise, a frame of some channel, a message that lies about itself."""
        pick, noise = self.random.random(), self.random.randbytes(self.random.randrange(200))
        if pick < 0.2:
            return noise
        if pick < 0.4:
            number = self.random.randrange(0x3FF0, 0x5010).to_bytes(2, "big")
            return number + self.random.randrange(300).to_bytes(2, "big") + noise
        kind = self.random.choice([0x0001, 0x0003, 0x0004, 0x0008, 0x0009, 0x0016, 0x0101, 0x0113])
        body = b"".join(self.attribute() for _ in range(self.random.randrange(8)))
        length = len(body) if pick < 0.9 else self.random.randrange(0x10000)
        transaction = self.random.randbytes(12)
        return kind.to_bytes(2, "big") + length.to_bytes(2, "big") + COOKIE + transaction + body

    def attribute(self):
        kinds = [0x0006, 0x0008, 0x000C, 0x000D, 0x0012, 0x0013, 0x0014, 0x0015, 0x0017, 0x0018,
                 0x0019, 0x001A, 0x0022, 0x001C, 0x8028, 0x7FFF, 0xFFFF]  # fmt: skip
        value = self.random.randbytes(self.random.choice([0, 4, 8, 8, 20, 32, 61]))
        length = len(value) if self.random.random() < 0.95 else self.random.randrange(0x10000)
        padding = bytes(-len(value) % 4)
        return self.random.choice(kinds).to_bytes(2, "big") + length.to_bytes(2, "big") + value + padding

    def faults(self):
        """A line for each kind of trouble that was none, and for what must not come of it."""
        total = self.relay.total
        # The last records have not been counted yet.
        expired, vanished = self.relay.expired, GHOSTS * (self.rounds - 1)
        dropped = total("uturn_dropped_total")
        lost = total("uturn_usage_records_lost_total") + total("uturn_reports_lost_total")
        faults = self.problems[:1]
        # Some may not have come as far as an allocation.
        if expired < 0.9 * vanished:
            faults.append(f"{expired} allocations expired; {vanished} clients vanished")
        if dropped < self.sent * 0.2:
            faults.append(f"{dropped:.0f} datagrams dropped of {self.sent} hostile ones")
        if lost:
            faults.append(f"{lost:.0f} usage records or reports were lost")
        if self.relay.log.panicked:
            faults.append("the relay panicked")
        return faults
