"""pgqueuer: jobs committed with the ticket, and workers that take them in batches.

As its documentation says: jobs are enqueued in the transaction that settles (*When to use
PgQueuer*); asyncpg, a connection for each consumer and a pool for the producer, tables tuned by
`pgq autovac` (*Performance Tuning*); five consumers a process and uvloop, as its own benchmark
has them (*Benchmarks*); the close is deferred by `execute_after` (*Deferred Execution*).

`bulk` settles a batch by one statement and enqueues its jobs by one call (*Quick Start*), `single`
does both for each ticket.
"""

import asyncio
import sys

import asyncpg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.executors import DatabaseRetryEntrypointExecutor, EntrypointExecutorParameters
from pgqueuer.models import Job
from pgqueuer.queries import Queries

from tests.load.peers.programs.orders import (
    BATCH,
    CLOSE_DELAY,
    DATABASE,
    TABLE,
    Partner,
    Ticket,
    batches,
    each,
    obey,
    open_partner,
)

CONSUMERS = 5
JOBS_AT_ONCE = 20  # taken by a consumer
TRIES = 10
SETTLERS = 8  # connections of the producer
SETTLE = """
    INSERT INTO ticket (operator, ticket_id, status, result, settled_at)
    SELECT operator, ticket_id, 'resulted', 'won', now()
      FROM unnest($1::text[], $2::text[]) AS won (operator, ticket_id)
        ON CONFLICT (operator, ticket_id) DO NOTHING
 RETURNING operator, ticket_id"""


async def prepare() -> None:
    """Make the tables."""
    connection = await asyncpg.connect(DATABASE)
    await connection.execute(TABLE)
    queries = Queries(AsyncpgDriver(connection))
    await queries.install()
    await queries.optimize_autovacuum()
    await connection.close()


async def work(part: int, size: int) -> None:
    """Settle and notify until there is no more to settle."""
    pool = await asyncpg.create_pool(DATABASE, min_size=SETTLERS, max_size=SETTLERS)

    async def settle(won: list[Ticket]) -> None:
        async with pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(SETTLE, *map(list, zip(*won, strict=True)))
            settled = [Ticket(*row) for row in rows]
            await Queries(AsyncpgDriver(connection)).enqueue(
                ["notify"] * len(settled) + ["close"] * len(settled),
                [
                    ticket.body(action)
                    for action in ("ticket_win", "ticket_closed")
                    for ticket in settled
                ],
                [0] * 2 * len(settled),
                [None] * len(settled) + [CLOSE_DELAY] * len(settled),
            )

    async def settle_all(won: list[Ticket]) -> None:
        await each(batches(won, size), settle, SETTLERS)

    async with open_partner() as partner:
        consumers = [asyncio.create_task(consume(partner)) for _ in range(CONSUMERS)]
        await obey(settle_all, part)
        for consumer in consumers:
            consumer.cancel()


async def consume(partner: Partner) -> None:
    """Take jobs and do them."""
    queue = PgQueuer.from_asyncpg_connection(await asyncpg.connect(DATABASE))

    @queue.entrypoint("notify", executor_factory=retried, on_failure="hold")
    async def notify(job: Job) -> None:
        await partner.notify(job.payload)

    @queue.entrypoint("close", executor_factory=retried, on_failure="hold")
    async def close(job: Job) -> None:
        await partner.notify(job.payload)

    await queue.run(batch_size=JOBS_AT_ONCE)


def retried(parameters: EntrypointExecutorParameters) -> DatabaseRetryEntrypointExecutor:
    """Try again what failed, later and later."""
    return DatabaseRetryEntrypointExecutor(parameters=parameters, max_attempts=TRIES)


if __name__ == "__main__":
    what, *more = sys.argv[1:]
    if what == "prepare":
        uvloop.run(prepare())
    else:
        uvloop.run(work(int(more[0]), BATCH if what == "bulk" else 1))
