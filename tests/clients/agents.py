"""Two ICE agents of aioice with relayed candidates alone, which send each other messages.

    agents.py SERVER PORT USER PASSWORD WAY WAY     a way is udp, tcp or tls

Runs where aioice is installed; what `ssl` trusts is in SSL_CERT_FILE. Each message comes back
reversed.
"""

import asyncio
import os
import sys

import aioice

MESSAGES, AT_ONCE = 300, 20
PATIENCE_S = 60


def agent(server, port, user, password, way, is_controlling):
    return aioice.Connection(
        ice_controlling=is_controlling,
        turn_server=(server, int(port)),
        turn_username=user,
        turn_password=password,
        turn_ssl=way == "tls",
        turn_transport="udp" if way == "udp" else "tcp",
        transport_policy=aioice.TransportPolicy.RELAY,
        use_ipv6=False,
    )


async def connect(one, other):
    for mine, theirs in [(one, other), (other, one)]:
        await mine.gather_candidates()
        kinds = {candidate.type for candidate in mine.local_candidates}
        assert kinds == {"relay"}, f"candidates of {kinds}"
        for candidate in mine.local_candidates:
            await theirs.add_remote_candidate(candidate)
        await theirs.add_remote_candidate(None)
        theirs.remote_username, theirs.remote_password = mine.local_username, mine.local_password
    await asyncio.gather(one.connect(), other.connect())


async def echo(agent):
    while True:
        await agent.send((await agent.recv())[::-1])


async def talk(agent):
    """A few at a time: the way between two relays is UDP."""
    for begin in range(0, MESSAGES, AT_ONCE):
        sent = [os.urandom(begin + number + 1) for number in range(AT_ONCE)]
        for message in sent:
            await agent.send(message)
        came = sorted([await agent.recv() for _ in sent], key=len)
        assert [message[::-1] for message in came] == sent, "other messages came back"


async def main():
    *login, way, other_way = sys.argv[1:]
    one, other = agent(*login, way, True), agent(*login, other_way, False)
    await connect(one, other)
    echoing = asyncio.create_task(echo(other))
    await talk(one)
    echoing.cancel()
    await asyncio.gather(one.close(), other.close())


asyncio.run(asyncio.wait_for(main(), PATIENCE_S))
