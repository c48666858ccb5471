"""What may have changed between the first rounds and the last, and what is said when more has."""

from dataclasses import dataclass, fields

MIB = 1 << 20
# So many rounds at each end are compared. Of each figure the least of them counts: a machine that is
# busy with something else makes a figure larger, never smaller.
COMPARED = 3


@dataclass
class Round:
    """What a relay is when nothing is left of its clients, and how it carries one quiet call."""

    resident_bytes: int
    descriptors: int
    sockets: int
    slab_bytes: int
    cpu_ns_per_packet: float
    p99_us: float

    def __str__(self):
        return ", ".join(f"{field.name} {getattr(self, field.name):.0f}" for field in fields(self))


@dataclass
class Bound:
    """The most of a figure at the end: so many times the beginning, and so much more."""

    figure: str
    times: float
    more: float

    def most(self, beginning):
        return beginning * self.times + self.more


BOUNDS = [
    # Receive buffers become resident when traffic comes to need them, up to 17 MiB a worker. A leak of
    # 100 bytes for each cycle of churn is 70 MiB in an hour.
    Bound("resident_bytes", 1, 16 * MIB),
    # Somebody may be asking /metrics at the moment.
    Bound("descriptors", 1, 2),
    Bound("sockets", 1, 0),
    # Of the whole machine, where other programs come and go.
    Bound("slab_bytes", 1, 64 * MIB),
    Bound("cpu_ns_per_packet", 1.5, 2_000),
    Bound("p99_us", 2, 5_000),
]


def least(rounds, figure):
    return min(getattr(each, figure) for each in rounds)


def faults(rounds):
    """A line for each bound that the last rounds break."""
    return [line for bound in BOUNDS if (line := fault(rounds, bound))]


def fault(rounds, bound):
    beginning = least(rounds[:COMPARED], bound.figure)
    end = least(rounds[-COMPARED:], bound.figure)
    if end <= bound.most(beginning):
        return None
    return f"{bound.figure}: {beginning:.0f} at the beginning, {end:.0f} at the end; " \
        f"at most {bound.most(beginning):.0f} was due"  # fmt: skip
