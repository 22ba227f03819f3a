"""Every statement of the hot path costs what its batch costs, however much else there is.

design.md 5.3: finding what is due must cost O(batch), even when a partner that is down holds back
all its followers. The planner must find that out for a table that was analysed, for one that never
was, and in a session whose statements were prepared when the tables were still small.
"""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import Connection, text

from models.database.engine import open_engine
from models.events.event import Entry
from models.outbox.claim import release
from models.outbox.creates import abandon_creates
from models.outbox.values import Attempt, Claim, Delivered
from models.sweeps.closing import close_due
from models.sweeps.parking import end_windows
from tests.support import databases
from tests.support.crowd import HEALTHY, NOTICES_EACH, SICK, SICK_TICKETS, gather
from tests.support.desk import CLOSE_DELAY, CREATE_AGE_MAX, PARKING_WINDOW, SLIP, TOOK, Desk
from tests.support.manual_clock import ManualClock
from tests.support.plans import plans_of, touched_by
from worker.local.servers import Servers

BATCH = 100
QUIET_ROUNDS = 12  # psycopg prepares at the sixth, PostgreSQL plans for good five later
CROWDED = "crowded"
SECOND = timedelta(seconds=1)
BIG = {"ticket", "ticket_event", "notice"}


@pytest.fixture(scope="module")
def crowd(servers: Servers, template: str) -> Iterator[Desk]:
    """A partner that is down, and a session that has known the tables since they were empty."""
    url = databases.create(servers.database_url, CROWDED, template=template)
    desk = Desk(open_engine(url, application_name="tests", pool_size=1), ManualClock())
    desk.add_operator("sick")
    desk.add_operator()
    for number in range(QUIET_ROUNDS):
        a_quiet_day(desk, f"Q{number}")
    with desk.engine.begin() as connection:
        gather(connection, now=desk.now)
    desk.publish(*(desk.event("ticket_create", f"C{number}", **SLIP) for number in range(BATCH)))
    yield desk
    desk.engine.dispose()
    databases.drop(servers.database_url, CROWDED)


@pytest.fixture(scope="module", params=["an old session", "never analysed", "analysed"])
def desk(request, crowd: Desk) -> Desk:
    """The same crowd in three states, which pytest visits in this order."""
    if request.param == "never analysed":
        crowd.engine.dispose()  # a session of its own
    if request.param == "analysed":
        with crowd.engine.begin() as connection:
            connection.execute(text("ANALYZE"))
    return crowd


@pytest.fixture
def connection(desk: Desk) -> Iterator[Connection]:
    """A transaction that is undone."""
    with desk.engine.connect() as opened:
        yield opened
        opened.rollback()


def a_quiet_day(desk: Desk, ticket: str) -> None:
    """Use every statement at least once."""
    desk.say("ticket_win", ticket)
    desk.release(*desk.claim())
    desk.say("ticket_lost", ticket)  # waits for the rollback
    desk.say("ticket_rollback", ticket)
    desk.say("ticket_lost", f"{ticket}-contradicted")
    desk.say("ticket_win", f"{ticket}-contradicted")
    desk.say("ticket_create", f"{ticket}-unsent", **SLIP)
    desk.wait(CREATE_AGE_MAX)
    desk.abandon_creates()
    while desk.deliver():
        pass
    desk.wait(PARKING_WINDOW)
    desk.end_windows()
    desk.wait(CLOSE_DELAY)
    desk.close_due()
    desk.deliver()


def chunk(desk: Desk) -> list[Entry]:
    """Fifty events the log knows, fifty new ones, a hundred on tickets nobody knows."""
    known = [f"T{SICK_TICKETS + number}" for number in range(1, 101)]
    return [
        *(desk.event("ticket_lost", name, event_id="e1") for name in known[:50]),
        *(desk.event("ticket_rollback", name, event_id="new") for name in known[50:]),
        *(desk.event("ticket_win", f"N{number}", event_id="new") for number in range(100)),
    ]


def apply(desk: Desk, connection: Connection) -> None:
    desk.apply_within(connection, *chunk(desk))


def claim(desk: Desk, connection: Connection) -> list[Claim]:
    claims = desk.claim_within(connection, {SICK: BATCH, HEALTHY: BATCH})
    assert len(claims) == BATCH
    return claims


def deliver(desk: Desk, connection: Connection) -> None:
    desk.record_within(
        connection, *(Attempt(one, Delivered(), TOOK) for one in claim(desk, connection))
    )


def give_back(desk: Desk, connection: Connection) -> None:
    release(connection, claim(desk, connection))


def close(desk: Desk, connection: Connection) -> None:
    now = desk.now + SICK_TICKETS * SECOND
    assert close_due(connection, now=now, horizon=now, limit=BATCH) == BATCH


def end(desk: Desk, connection: Connection) -> None:
    now = desk.now + SICK_TICKETS * SECOND
    ended = end_windows(
        connection, now=now, horizon=now, parking_window=PARKING_WINDOW, limit=BATCH
    )
    assert ended == BATCH


def abandon(desk: Desk, connection: Connection) -> None:
    given_up = abandon_creates(
        connection,
        now=desk.now + CREATE_AGE_MAX,
        age_max=CREATE_AGE_MAX,
        parking_window=PARKING_WINDOW,
        limit=BATCH,
    )
    assert given_up == BATCH


# What is done, the indexes it must take, and how many rows of a table it may read for each of its
# batch: to find it, to lock it, to change it, and the ticket's other notices behind its head.
STEPS = {
    "apply": (apply, {"ticket_operator_ticket_id_key"}, {"ticket": 10, "ticket_event": 4}),
    "claim": (claim, {"notice_due", "notice_pkey"}, {"ticket": 1, "notice": 3}),
    "record": (
        deliver,
        {"notice_pkey", "ticket_pkey", "notice_ticket_action_generation_key"},
        {"ticket": 4, "ticket_event": 1, "notice": 7 + NOTICES_EACH},
    ),
    "release": (give_back, {"notice_pkey"}, {"ticket": 2, "notice": 4}),
    "close": (close, {"ticket_close_due", "ticket_pkey"}, {"ticket": 3}),
    "end windows": (
        end,
        {"ticket_event_parked", "ticket_event_waiting", "ticket_pkey"},
        {"ticket": 2, "ticket_event": 3},
    ),
    "abandon creates": (abandon, {"notice_sent_once", "notice_pkey"}, {"ticket": 10, "notice": 6}),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_step_reads_what_its_batch_needs_and_no_whole_table(desk, connection, step):
    """Counted by the server, under the plan that the session really uses."""
    action, _, allowed = STEPS[step]
    touched = touched_by(connection, lambda: action(desk, connection))

    assert {name: touched.one_by_one[name] for name in BIG} == dict.fromkeys(BIG, 0)
    for name in BIG:
        assert touched.by_index[name] <= BATCH * allowed.get(name, 0), touched.by_index


@pytest.mark.parametrize("step", STEPS)
def test_the_plan_of_a_step_takes_the_indexes_made_for_it(desk, connection, step):
    action, indexes, allowed = STEPS[step]
    plans = plans_of(connection, lambda: action(desk, connection))

    assert indexes <= plans.indexes
    assert not BIG & plans.whole_tables
    for name in BIG:
        assert plans.rows.get(name, 0) <= BATCH * allowed.get(name, 0), plans.rows


def test_a_chunk_costs_the_same_while_its_tables_grow(engine, clock):
    """From the very first one: nothing is known of an empty table, and plans are kept."""
    desk = Desk(engine, clock)
    desk.add_operator()
    for number in range(QUIET_ROUNDS):
        wins = [desk.event("ticket_win", f"T{number}-{each}") for each in range(BATCH)]
        with engine.begin() as connection:
            touched = touched_by(connection, partial(desk.apply_within, connection, *wins))

        for name in BIG:
            read = touched.by_index[name] + touched.one_by_one[name]
            assert read <= BATCH * 5, f"{name}, chunk {number}"
