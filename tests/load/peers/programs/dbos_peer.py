"""DBOS: a workflow for each ticket, with a transaction, a step and a delayed workflow.

As its documentation says: a workflow has the ticket's name as its id, so that it runs once, and is
started in the background (*Workflows*); a transaction of a data source settles (*Datasources*); a
step with retries calls the partner (*Steps*); the close is a workflow on a queue, delayed
(*Queues*); all are coroutines, and each process has an executor id of its own (*Configuration*).
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable

from dbos import DBOS, AsyncSQLAlchemyDatasource, SetEnqueueOptions, SetWorkflowID
from sqlalchemy import make_url, text

from tests.load.peers.programs.orders import (
    CLOSE_DELAY,
    DATABASE,
    TABLE,
    Partner,
    Ticket,
    each,
    obey,
    open_partner,
)

AT_ONCE = 32  # workflows of a process
POOL = 20  # connections of a process to the system's tables, and as many to the ticket's
TRIES = 10
CLOSES = "closes"
SETTLE = text("""
    INSERT INTO ticket (operator, ticket_id, status, result, settled_at)
    VALUES (:operator, :ticket_id, 'resulted', 'won', now())
        ON CONFLICT (operator, ticket_id) DO NOTHING""")
ADDRESS = make_url(DATABASE).set(drivername="postgresql+psycopg")


async def prepare() -> None:
    """Make the tables: ours, the data source's and the system's."""
    source = await open_source()
    async with source.engine.begin() as connection:
        await connection.execute(text(TABLE))
    await source.engine.dispose()
    configure("prepare")
    DBOS.launch()
    await DBOS.register_queue_async(CLOSES)
    DBOS.destroy()


async def work(part: str) -> None:
    """Settle and notify until there is no more to settle."""
    configure(part)
    async with open_partner() as partner:
        won = register(await open_source(), partner)
        DBOS.launch()

        async def settle(ticket: Ticket) -> None:
            with SetWorkflowID("/".join(ticket)):
                handle = await DBOS.start_workflow_async(won, *ticket)
            await handle.get_result()

        await obey(lambda tickets: each(tickets, settle, AT_ONCE), int(part))


def configure(executor: str) -> None:
    """Make the instance of this process."""
    DBOS(
        config={
            "name": "peer",
            "system_database_url": ADDRESS.render_as_string(hide_password=False),
            "sys_db_pool_size": POOL,
            "executor_id": executor,
            "application_version": "1",
            "log_level": "WARNING",
        }
    )


async def open_source() -> AsyncSQLAlchemyDatasource:
    """The database of the tickets."""
    return await AsyncSQLAlchemyDatasource.create(
        ADDRESS.render_as_string(hide_password=False), engine_kwargs={"pool_size": POOL}
    )


def register(source: AsyncSQLAlchemyDatasource, partner: Partner) -> Callable[..., Awaitable[None]]:
    """Make the workflows known; gives the one that is started for a ticket."""

    @source.transaction(isolation_level="READ COMMITTED")
    async def settle(operator: str, ticket_id: str) -> None:
        row = {"operator": operator, "ticket_id": ticket_id}
        await source.sql_session().execute(SETTLE, row)

    @DBOS.step(retries_allowed=True, max_attempts=TRIES)
    async def notify(operator: str, ticket_id: str, action: str) -> None:
        await partner.notify(Ticket(operator, ticket_id).body(action))

    @DBOS.workflow(name="close")
    async def close(operator: str, ticket_id: str) -> None:
        await notify(operator, ticket_id, "ticket_closed")

    @DBOS.workflow(name="won")
    async def won(operator: str, ticket_id: str) -> None:
        await settle(operator, ticket_id)
        await notify(operator, ticket_id, "ticket_win")
        with SetEnqueueOptions(delay_seconds=CLOSE_DELAY.total_seconds()):
            await DBOS.enqueue_workflow_async(CLOSES, close, operator, ticket_id)

    workflow: Callable[..., Awaitable[None]] = won
    return workflow


if __name__ == "__main__":
    asyncio.run(prepare() if sys.argv[1] == "prepare" else work(sys.argv[2]))
