"""Every statement of the hot path costs what its batch costs, however much else there is.

Finding what is due must cost O(batch), even when a partner that is down holds back
all its followers. The planner must find that out for a table that was analysed, for one that never
was, and in a session whose statements were prepared when the tables were still small.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import Connection, text

from models.database.engine import open_engine
from models.events.event import Entry
from models.monitoring.stats import ON_HOLD
from models.outbox.claim import release
from models.outbox.creates import abandon_creates
from models.outbox.unwanted import end_unwanted
from models.outbox.values import Attempt, Claim, Delivered
from models.partnerships.tickets import end_tickets
from models.sweeps.closing import close_due
from models.sweeps.parking import end_windows
from models.triage import list_on_hold
from tests.support import databases
from tests.support.harness import CLOSE_DELAY, CREATE_AGE_MAX, PARKING_WINDOW, SLIP, TOOK, Harness
from tests.support.manual_clock import ManualClock
from tests.support.many_tickets import HEALTHY, NOTICES_EACH, SICK, SICK_TICKETS, gather
from tests.support.plans import plans_of, touched_by
from worker.local.servers import Servers

BATCH = 100
QUIET_ROUNDS = 12  # psycopg prepares at the sixth, PostgreSQL plans for good five later
CROWDED, SUDDENLY = "crowded", "suddenly_crowded"
SECOND = timedelta(seconds=1)
BIG = {"ticket", "ticket_event", "notice"}
UNWANTED = text("""
    UPDATE notice SET unwanted = true, head = false
     WHERE ticket IN (SELECT id FROM ticket WHERE operator = :operator AND ticket_id LIKE 'T%'
                       ORDER BY id LIMIT :limit)
       AND ended IS NULL
 RETURNING ticket""")


@contextmanager
def crowd_in(
    servers: Servers, template: str, name: str, *, analysed: bool = False
) -> Iterator[Harness]:
    """A partner that is down, and a session that has known the tables since they were empty.

    *analysed*: as they were before the crowd came, when nothing was parked.
    """
    url = databases.create(servers.database_url, name, template=template)
    harness = Harness(open_engine(url, application_name="tests", pool_size=1), ManualClock())
    harness.add_operator("sick")
    harness.add_operator()
    for number in range(QUIET_ROUNDS):
        a_quiet_day(harness, f"Q{number}")
    with harness.engine.begin() as connection:
        if analysed:
            connection.execute(text("ANALYZE"))
        gather(connection, now=harness.now)
    harness.publish(
        *(harness.event("ticket_create", f"C{number}", **SLIP) for number in range(BATCH))
    )
    yield harness
    harness.engine.dispose()
    databases.drop(servers.database_url, name)


@pytest.fixture(scope="module")
def crowd(servers: Servers, template: str) -> Iterator[Harness]:
    with crowd_in(servers, template, CROWDED) as harness:
        yield harness


@pytest.fixture(scope="module")
def sudden_crowd(servers: Servers, template: str) -> Iterator[Harness]:
    with crowd_in(servers, template, SUDDENLY, analysed=True) as harness:
        yield harness


@pytest.fixture(
    scope="module",
    params=["an old session", "never analysed", "analysed", "analysed while small"],
)
def harness(request) -> Harness:
    """The same crowd in three states, visited in this order, and one that came suddenly."""
    if request.param == "analysed while small":
        sudden: Harness = request.getfixturevalue("sudden_crowd")
        return sudden
    crowd: Harness = request.getfixturevalue("crowd")
    if request.param == "never analysed":
        crowd.engine.dispose()  # a session of its own
    if request.param == "analysed":
        with crowd.engine.begin() as connection:
            connection.execute(text("ANALYZE"))
    return crowd


@pytest.fixture
def connection(harness: Harness) -> Iterator[Connection]:
    """A transaction that is undone."""
    with harness.engine.connect() as opened:
        yield opened
        opened.rollback()


def a_quiet_day(harness: Harness, ticket: str) -> None:
    """Use every statement at least once."""
    harness.say("ticket_win", ticket)
    harness.release(*harness.claim())
    harness.say("ticket_lost", ticket)  # waits for the rollback
    harness.say("ticket_rollback", ticket)
    harness.say("ticket_lost", f"{ticket}-contradicted")
    harness.say("ticket_win", f"{ticket}-contradicted")
    harness.say("ticket_create", f"{ticket}-unsent", **SLIP)
    harness.wait(CREATE_AGE_MAX)
    harness.abandon_creates()
    while harness.deliver():
        pass
    harness.wait(PARKING_WINDOW)
    harness.end_windows()
    harness.wait(CLOSE_DELAY)
    harness.close_due()
    harness.deliver()


def batch(harness: Harness) -> list[Entry]:
    """Fifty events that the log has, fifty new ones, a hundred on unknown tickets."""
    known = [f"T{SICK_TICKETS + number}" for number in range(1, 101)]
    return [
        *(harness.event("ticket_lost", name, event_id="e1") for name in known[:50]),
        *(harness.event("ticket_rollback", name, event_id="new") for name in known[50:]),
        *(harness.event("ticket_win", f"N{number}", event_id="new") for number in range(100)),
    ]


def apply(harness: Harness, connection: Connection) -> None:
    harness.apply_within(connection, *batch(harness))


def claim(harness: Harness, connection: Connection) -> list[Claim]:
    claims = harness.claim_within(connection, {SICK: BATCH, HEALTHY: BATCH})
    assert len(claims) == BATCH
    return claims


def deliver(harness: Harness, connection: Connection) -> None:
    harness.record_within(
        connection, *(Attempt(claimed, Delivered(), TOOK) for claimed in claim(harness, connection))
    )


def give_back(harness: Harness, connection: Connection) -> None:
    release(connection, claim(harness, connection))


def close(harness: Harness, connection: Connection) -> None:
    now = harness.now + SICK_TICKETS * SECOND
    assert close_due(connection, now=now, watermark=now, limit=BATCH) == BATCH


def end(harness: Harness, connection: Connection) -> None:
    now = harness.now + SICK_TICKETS * SECOND
    ended = end_windows(
        connection, now=now, watermark=now, parking_window=PARKING_WINDOW, limit=BATCH
    )
    assert ended == BATCH


def abandon(harness: Harness, connection: Connection) -> None:
    given_up = abandon_creates(
        connection,
        now=harness.now + CREATE_AGE_MAX,
        age_max=CREATE_AGE_MAX,
        parking_window=PARKING_WINDOW,
        limit=BATCH,
    )
    assert given_up == BATCH


def hold_tickets(harness: Harness, connection: Connection) -> None:
    for number in range(1, BATCH + 1):
        harness.hold_within(connection, f"T{number}", operator="sick")


def release_tickets(harness: Harness, connection: Connection) -> None:
    hold_tickets(harness, connection)
    for number in range(1, BATCH + 1):
        harness.release_ticket_within(connection, f"T{number}", operator="sick")


def end_partner(harness: Harness, connection: Connection) -> None:
    ended = end_tickets(connection, SICK, now=harness.now, limit=BATCH)
    assert ended.tickets == BATCH


# What is done, the indexes it must take, and how many rows of a table it may read for each of its
# batch: to find it, to lock it, to change it, and the ticket's other notices behind its head.
STEPS = {
    "apply": (apply, {"ticket_operator_ticket_id_key"}, {"ticket": 10, "ticket_event": 4}),
    "claim": (claim, {"notice_due", "notice_pkey"}, {"ticket": 1, "notice": 3}),
    "record": (
        deliver,
        {"notice_pkey", "ticket_pkey", "notice_identity"},
        {"ticket": 4, "ticket_event": 1, "notice": 7 + NOTICES_EACH},
    ),
    "release": (give_back, {"notice_pkey"}, {"ticket": 2, "notice": 4}),
    "close": (close, {"ticket_close_due", "ticket_pkey"}, {"ticket": 3}),
    "end windows": (
        end,
        {"ticket_event_window_end", "ticket_event_waiting", "ticket_pkey"},
        {"ticket": 2, "ticket_event": 3},
    ),
    "end a partnership": (
        end_partner,
        {"ticket_unended", "notice_due", "notice_dead", "ticket_pkey"},
        {"ticket": 10, "ticket_event": 8, "notice": 4 * NOTICES_EACH},
    ),
    "abandon creates": (abandon, {"notice_sent_once", "notice_pkey"}, {"ticket": 10, "notice": 6}),
    "hold": (
        hold_tickets,
        {"ticket_operator_ticket_id_key", "ticket_pkey"},
        {"ticket": 4, "notice": 1 + NOTICES_EACH},
    ),
    "release tickets": (
        release_tickets,
        {"ticket_operator_ticket_id_key", "ticket_pkey"},
        {"ticket": 8, "notice": 3 + 2 * NOTICES_EACH},
    ),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_step_reads_what_its_batch_needs_and_no_whole_table(harness, connection, step):
    """Counted by the server, under the plan that the session really uses."""
    action, _, allowed = STEPS[step]
    touched = touched_by(connection, lambda: action(harness, connection))

    assert {name: touched.one_by_one[name] for name in BIG} == dict.fromkeys(BIG, 0)
    for name in BIG:
        assert touched.by_index[name] <= BATCH * allowed.get(name, 0), touched.by_index


@pytest.mark.parametrize("step", STEPS)
def test_the_plan_of_a_step_takes_the_indexes_made_for_it(harness, connection, step):
    action, indexes, allowed = STEPS[step]
    plans = plans_of(connection, lambda: action(harness, connection))

    assert indexes <= plans.indexes
    assert not BIG & plans.whole_tables
    for name in BIG:
        assert plans.rows.get(name, 0) <= BATCH * allowed.get(name, 0), plans.rows


def test_a_batch_costs_the_same_while_its_tables_grow(engine, clock):
    """From the very first one: nothing is known of an empty table, and plans are kept."""
    harness = Harness(engine, clock)
    harness.add_operator()
    for number in range(QUIET_ROUNDS):
        wins = [harness.event("ticket_win", f"T{number}-{each}") for each in range(BATCH)]
        with engine.begin() as connection:
            touched = touched_by(connection, partial(harness.apply_within, connection, *wins))

        for name in BIG:
            read = touched.by_index[name] + touched.one_by_one[name]
            assert read <= BATCH * 5, f"{name}, batch {number}"


def test_the_tickets_on_hold_are_found_among_any_number(harness, connection):
    hold_tickets(harness, connection)
    plans = plans_of(connection, lambda: list_on_hold(connection, limit=BATCH))

    assert "ticket_on_hold" in plans.indexes
    assert not BIG & plans.whole_tables
    assert plans.rows["ticket"] <= BATCH
    assert connection.execute(ON_HOLD, {"limit": BATCH}).one().on_hold == BATCH
    counted = plans_of(connection, lambda: connection.execute(ON_HOLD, {"limit": BATCH}))
    assert counted.indexes == {"ticket_on_hold"}


def test_what_is_not_wanted_is_found_by_its_tickets(harness, connection):
    chosen = {"operator": HEALTHY, "limit": BATCH}
    tickets = set(connection.execute(UNWANTED, chosen).scalars())

    def end() -> None:
        assert end_unwanted(connection, tickets, now=harness.now) == {}

    plans = plans_of(connection, end)
    touched = touched_by(connection, end)

    assert len(tickets) == BATCH
    assert plans.indexes == {"notice_identity", "notice_pkey", "ticket_pkey", "operator_pkey"}
    assert not BIG & plans.whole_tables
    assert touched.one_by_one["notice"] == touched.one_by_one["ticket"] == 0
    assert touched.by_index["notice"] <= BATCH * 3 * NOTICES_EACH, touched.by_index
    assert touched.by_index["ticket"] <= BATCH * 3, touched.by_index
