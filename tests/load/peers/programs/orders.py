"""What every peer is told to do, and what is the same for all: the table, the body, the signature.

A program is run as `python -m tests.load.peers.programs.NAME prepare` once for a database, then as
`… work PART`, a process for each part. A line that it reads, `FIRST COUNT`, says which tickets were
won: COUNT of them, from the number FIRST on. Every part takes its share of them.

PEER_DATABASE and PEER_SINK say where to work. Everything here runs in the peers' own environment,
which knows nothing of Slipway.
"""

import asyncio
import hashlib
import hmac
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import NamedTuple, TypeVar

import aiohttp

DATABASE = os.environ["PEER_DATABASE"]
SINK = os.environ["PEER_SINK"]
PARTS = 2  # processes, for two cores
PARTNERS = 32
BATCH = 500  # tickets that are settled at once, where a peer does so
CALLS_MAX = 64  # at once, of a process
ANSWER_SECONDS_MAX = 5
CLOSE_DELAY = timedelta(hours=24)
SECRET = b"12345ABCDE"

# A ticket is settled once, however often it is said to be won.
TABLE = """
    CREATE TABLE ticket (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        operator text NOT NULL,
        ticket_id text NOT NULL,
        status text NOT NULL,
        result text NOT NULL,
        settled_at timestamptz NOT NULL,
        UNIQUE (operator, ticket_id))"""


class Ticket(NamedTuple):
    """A ticket that was won."""

    operator: str
    ticket_id: str

    def body(self, action: str) -> bytes:
        """What its partner is told."""
        text = {"action": action, "data": self._asdict()}
        return json.dumps(text, separators=(",", ":")).encode()


Work = TypeVar("Work")
Settle = Callable[[list[Ticket]], Awaitable[None]]


def tickets(first: int, count: int, part: int) -> list[Ticket]:
    """The share of this part; partners take turns."""
    numbers = range(first + part, first + count, PARTS)
    return [Ticket(f"partner-{number % PARTNERS}", f"T-{number:07}") for number in numbers]


def batches(won: list[Ticket], size: int) -> Iterator[list[Ticket]]:
    """Cut them into lists of this size."""
    for first in range(0, len(won), size):
        yield won[first : first + size]


async def obey(settle: Settle, part: int) -> None:
    """Settle what comes to be won, until there is no more."""
    print("ready", flush=True)  # noqa: T201 - what the benchmark waits for
    while line := await asyncio.to_thread(sys.stdin.readline):
        first, count = map(int, line.split())
        await settle(tickets(first, count, part))


async def each(
    won: Iterable[Work], settle: Callable[[Work], Awaitable[None]], at_once: int
) -> None:
    """Settle one by one, so many at once."""
    waiting = iter(won)

    async def take() -> None:
        for work in waiting:
            await settle(work)

    await asyncio.gather(*(take() for _ in range(at_once)))


class Partner:
    """The way to the partners: one client for the process, its connections kept."""

    def __init__(self, client: aiohttp.ClientSession) -> None:
        self._client = client

    async def notify(self, body: bytes) -> None:
        """Send it, signed; raise for anything but success."""
        stamp = str(int(time.time() * 1000))
        signature = hmac.new(SECRET, stamp.encode() + body, hashlib.sha256).hexdigest()
        headers = {"content-type": "application/json", "timestamp": stamp, "signature": signature}
        async with self._client.post(SINK, data=body, headers=headers) as answer:
            answer.raise_for_status()
            await answer.read()


@asynccontextmanager
async def open_partner() -> AsyncIterator["Partner"]:
    """Open the client."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=CALLS_MAX),
        timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS_MAX),
    ) as client:
        yield Partner(client)
