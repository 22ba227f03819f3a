"""Tickets by the million: what the product itself stored of one ticket, copied by SQL.

One ticket goes through the intake, and through a deliverer where it is to be settled. Its rows in
all tables are then copied under other ids. So a copy weighs what a ticket weighs.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from sqlalchemy import Connection, text
from sqlmodel import SQLModel

from models.events.event import Entry
from models.intake.apply import apply_entries
from models.platform.clock import DatabaseClock
from models.platform.encryption import Vault
from models.tables.event import TicketEvent
from models.tables.notice import DeliveryAttempt, Notice
from models.tables.ticket import Ticket
from models.vocabulary import Outcome
from tests.load.environment import Database
from worker.delivery.loop import DeliveryLoop

AT_ONCE = 250_000
CLIENTS = 2
RUN_MAX = timedelta(seconds=30)
UNCHECKED = text("SET LOCAL session_replication_role = replica")  # no look-up of foreign keys
# Where a copy differs from the first one; `n` counts the copies from 1. Ids have as many digits
# as those in the lottery's sample.
DIGITS = 2_019_020_100_000_000_000
TICKET_ID = f"CAST({DIGITS} + n AS text)"
ROW_ID = ":base + n"
OPERATOR = "1 + n % :operators"
TABLES: Sequence[tuple[type[SQLModel], str, Mapping[str, str]]] = (
    (Ticket, "id = :ticket", {"id": ROW_ID, "operator": OPERATOR, "ticket_id": TICKET_ID}),
    (
        TicketEvent,
        "ticket = :ticket",
        {"ticket": ROW_ID, "event_id": f"'event-' || {TICKET_ID}", "arrival": ROW_ID},
    ),
    (
        Notice,
        "ticket = :ticket",
        {
            "id": ROW_ID,
            "ticket": ROW_ID,
            "operator": OPERATOR,
            "event_id": f"'event-' || {TICKET_ID}",
            "body": f"replace(one.body, :ticket_id, {TICKET_ID})",
        },
    ),
    (DeliveryAttempt, "notice = :notice", {"notice": ROW_ID, "operator": OPERATOR}),
)
COUNTED = (("ticket", "id"), ("ticket_event", "arrival"), ("notice", "id"))


def live_one(database: Database, entry: Entry, *, settled: bool) -> str:
    """Have *entry* applied; where it settles its ticket, deliver its notice. Returns its ticket."""
    assert apply(database, [entry]) == {Outcome.APPLIED: 1}
    if settled:
        assert deliver(database).get("delivered") == 1
    with database.engine.begin() as connection:
        return str(connection.execute(text("SELECT ticket_id FROM ticket")).scalar_one())


def apply(database: Database, entries: Sequence[Entry]) -> Counter[str]:
    """Have *entries* applied; how many ended how."""
    settings = database.environment.settings(database.url)
    applied = apply_entries(
        database.engine.begin,
        entries,
        clock=DatabaseClock(),
        parking_window=settings.parking_window,
        event_age_max=settings.event_age_max,
    )
    ends: Counter[str] = Counter()
    for (_, end), count in applied.outcomes.items():
        ends[end] += count
    return ends


def deliver(database: Database) -> Mapping[str, int]:
    """Deliver what is due; how many calls ended how."""
    settings = database.environment.settings(database.url)
    loop = DeliveryLoop(
        transaction=database.engine.begin,
        clock=DatabaseClock(),
        settings=settings,
        vault=Vault.with_keys(settings.secret_key),
    )
    try:
        run = loop.run(lasting=RUN_MAX)
    finally:
        loop.close()
    assert run is not None, "nobody else runs it"
    return run.counts


def copy(
    database: Database,
    ticket_id: str,
    count: int,
    *,
    operators: int = 1,
    differing: Mapping[str, str] | None = None,
    elsewhere: Mapping[str, Mapping[str, str]] | None = None,
    given: Mapping[str, object] | None = None,
    after: int = 0,
) -> None:
    """Make *count* tickets like *ticket_id*, which go round the operators. Two clients write.

    *differing*: columns of the ticket, as SQL with `n` and the parameters in *given*; *elsewhere*:
    those of other tables. *after*: how many copies there are, of this ticket or of others.
    """
    with database.engine.begin() as connection:
        first = _first(connection, ticket_id)
    row = {**first, **(given or {}), "operators": operators}
    differences = {"ticket": differing or {}, **(elsewhere or {})}
    last = after + count

    def make(low: int) -> None:
        part = row | {"low": low, "high": min(low + AT_ONCE - 1, last)}
        for table, which, copied in TABLES:
            values = {**copied, **differences.get(str(table.__tablename__), {})}
            with database.engine.begin() as connection:
                connection.execute(UNCHECKED)
                connection.execute(text(_insert(table, which, values)), part)

    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(make, range(after + 1, last + 1, AT_ONCE)))
    with database.engine.begin() as connection:
        for table, column in COUNTED:
            sequence = f"pg_get_serial_sequence('{table}', '{column}')"
            following = f"(SELECT max({column}) + 1 FROM {table})"  # noqa: S608 - names of our tables
            connection.execute(text(f"SELECT setval({sequence}, {following})"))
    database.tidy("VACUUM ANALYZE ticket, ticket_event, notice, delivery_attempt")
    database.tidy("CHECKPOINT")


def _first(connection: Connection, ticket_id: str) -> dict[str, object]:
    """The ids of what is copied, and where those of the copies begin."""
    row = connection.execute(
        text("""
            SELECT t.id AS ticket, max(n.id) AS notice, 100000 AS base
              FROM ticket t LEFT JOIN notice n ON n.ticket = t.id
             WHERE t.ticket_id = :ticket_id GROUP BY t.id"""),
        {"ticket_id": ticket_id},
    ).one()
    return {"ticket_id": ticket_id, "ticket": row.ticket, "notice": row.notice, "base": row.base}


def _insert(table: type[SQLModel], which: str, copied: Mapping[str, str]) -> str:
    rows = SQLModel.metadata.tables[str(table.__tablename__)]
    names = [column.name for column in rows.columns]
    values = ", ".join(copied.get(name, f"one.{name}") for name in names)
    return (
        f"INSERT INTO {rows.name} ({', '.join(names)}) SELECT {values}"  # noqa: S608 - names of our tables
        f" FROM {rows.name} one,"
        f" generate_series(CAST(:low AS int), CAST(:high AS int)) AS n WHERE one.{which}"
    )
