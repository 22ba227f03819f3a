"""procrastinate: jobs deferred in the transaction that settles, and a worker that takes them.

As its documentation says: the jobs of a batch are deferred by one call (*Batch defer multiple
jobs*) on the connection that settles (*Using an external database connection*); asynchronous tasks,
`concurrency` of them at once, and a pool of as many connections and one (*Mind the size of your
PostgreSQL pool*); the close is deferred by `schedule_in` (*Defer a job*).
"""

import asyncio
import sys

import psycopg
import uvloop
from procrastinate import App, PsycopgConnector, RetryStrategy

from tests.load.peers.programs.orders import (
    BATCH,
    CLOSE_DELAY,
    DATABASE,
    TABLE,
    Partner,
    Ticket,
    batches,
    obey,
    open_partner,
)

AT_ONCE = 30  # jobs of a worker
RETRY = RetryStrategy(max_attempts=10, exponential_wait=2)
SETTLE = """
    INSERT INTO ticket (operator, ticket_id, status, result, settled_at)
    SELECT operator, ticket_id, 'resulted', 'won', now()
      FROM unnest(%s::text[], %s::text[]) AS won (operator, ticket_id)
        ON CONFLICT (operator, ticket_id) DO NOTHING
 RETURNING operator, ticket_id"""

app = App(connector=PsycopgConnector(conninfo=DATABASE, min_size=1, max_size=AT_ONCE + 1))
partners: list[Partner] = []


@app.task(name="notify", retry=RETRY)
async def notify(operator: str, ticket_id: str) -> None:
    """Tell the partner that the ticket was won."""
    await partners[0].notify(Ticket(operator, ticket_id).body("ticket_win"))


@app.task(name="close", retry=RETRY)
async def close(operator: str, ticket_id: str) -> None:
    """Tell the partner that the ticket is closed."""
    await partners[0].notify(Ticket(operator, ticket_id).body("ticket_closed"))


async def prepare() -> None:
    """Make the tables."""
    async with await psycopg.AsyncConnection.connect(DATABASE) as connection:
        await connection.execute(TABLE)
    async with app.open_async():
        await app.schema_manager.apply_schema_async()


async def work(part: int) -> None:
    """Settle and notify until there is no more to settle."""
    async with (
        open_partner() as partner,
        app.open_async(),
        await psycopg.AsyncConnection.connect(DATABASE, autocommit=True) as connection,
    ):
        partners.append(partner)

        async def settle(won: list[Ticket]) -> None:
            for batch in batches(won, BATCH):
                await settle_batch(connection, batch)

        worker = asyncio.create_task(app.run_worker_async(concurrency=AT_ONCE))
        await obey(settle, part)
        worker.cancel()
        await asyncio.wait([worker])


async def settle_batch(connection: psycopg.AsyncConnection, won: list[Ticket]) -> None:
    """Settle them, with their jobs, in one transaction."""
    async with connection.transaction():
        rows = await connection.execute(SETTLE, [*map(list, zip(*won, strict=True))])
        jobs = [Ticket(*row)._asdict() async for row in rows]
        await notify.configure(connection=connection).batch_defer_async(*jobs)
        later = {"seconds": int(CLOSE_DELAY.total_seconds())}
        await close.configure(connection=connection, schedule_in=later).batch_defer_async(*jobs)


if __name__ == "__main__":
    uvloop.run(prepare() if sys.argv[1] == "prepare" else work(int(sys.argv[2])))
