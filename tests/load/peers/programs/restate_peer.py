"""Restate: a handler of a service for each ticket, with two durable steps and a delayed message.

As its documentation says: the settlement and the call are durable steps (*Durable Steps*), the
close is a delayed message (*Service Communication*); each ticket is sent to its handler over HTTP
with an idempotency key (*HTTP*); Hypercorn serves, with the production settings (*Serving*). A
process for each core serves a service of its own: the server keeps one HTTP/2 connection to an
address.

PEER_RESTATE is the folder of the server's sockets.
"""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import asyncpg
import restate
import uvloop
from hypercorn.asyncio import serve
from hypercorn.config import Config

from tests.load.peers.programs.orders import (
    CALLS_MAX,
    CLOSE_DELAY,
    DATABASE,
    TABLE,
    Partner,
    Ticket,
    each,
    obey,
    open_partner,
)

SERVER = Path(os.environ["PEER_RESTATE"])
ENDLESS = 2**31 - 1
CONNECTIONS = 16
SETTLE = """
    INSERT INTO ticket (operator, ticket_id, status, result, settled_at)
    VALUES ($1, $2, 'resulted', 'won', now()) ON CONFLICT (operator, ticket_id) DO NOTHING"""


async def prepare() -> None:
    """Make the table."""
    connection = await asyncpg.connect(DATABASE)
    await connection.execute(TABLE)
    await connection.close()


async def work(part: int) -> None:
    """Serve the handlers, and send them what comes to be won, until there is no more."""
    name = f"Tickets{part}"
    async with (
        open_partner() as partner,
        asyncpg.create_pool(DATABASE, min_size=CONNECTIONS, max_size=CONNECTIONS) as pool,
        serving(service(name, pool, partner)) as address,
        client("admin.sock", 1) as admin,
        client("ingress.sock", CALLS_MAX) as ingress,
    ):
        async with admin.post("/deployments", json={"uri": address}) as answer:
            answer.raise_for_status()

        async def send(ticket: Ticket) -> None:
            key = {"idempotency-key": "/".join(ticket)}
            async with ingress.post(f"/{name}/won/send", json=list(ticket), headers=key) as answer:
                answer.raise_for_status()
                await answer.read()

        await obey(lambda won: each(won, send, CALLS_MAX), part)


def service(name: str, pool: asyncpg.Pool, partner: Partner) -> restate.Service:
    """The handlers of this process."""
    tickets = restate.Service(name)

    @tickets.handler()
    async def won(ctx: restate.Context, ticket: list[str]) -> None:
        await ctx.run_typed("settle", settle, ticket=ticket)
        await ctx.run_typed("notify", notify, ticket=ticket, action="ticket_win")
        ctx.service_send(close, ticket, send_delay=CLOSE_DELAY)

    @tickets.handler()
    async def close(ctx: restate.Context, ticket: list[str]) -> None:
        await ctx.run_typed("notify", notify, ticket=ticket, action="ticket_closed")

    async def settle(ticket: list[str]) -> None:
        await pool.execute(SETTLE, *ticket)

    async def notify(ticket: list[str], action: str) -> None:
        await partner.notify(Ticket(*ticket).body(action))

    return tickets


@asynccontextmanager
async def serving(tickets: restate.Service) -> AsyncIterator[str]:
    """Serve on a free port, until the block ends; gives the address."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.h2_max_concurrent_streams = ENDLESS
    config.keep_alive_max_requests = ENDLESS
    config.keep_alive_timeout = ENDLESS
    ended = asyncio.Event()
    app = restate.app([tickets])
    server = asyncio.create_task(serve(app, config, shutdown_trigger=ended.wait))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        ended.set()
        await server


def client(name: str, calls: int) -> aiohttp.ClientSession:
    """A client of one of the server's sockets."""
    connector = aiohttp.UnixConnector(path=str(SERVER / name), limit=calls)
    return aiohttp.ClientSession("http://local", connector=connector)


if __name__ == "__main__":
    uvloop.run(prepare() if sys.argv[1] == "prepare" else work(int(sys.argv[2])))
