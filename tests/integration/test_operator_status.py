"""`slipway operators status`: the state of each operator's deliveries, from the database."""

from datetime import timedelta

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text

from models.monitoring.operators import ATTEMPTS_MAX, WINDOW, OperatorHealth, operator_health
from models.operators import OperatorNotFound
from models.outbox.causes import Cause
from models.outbox.values import Attempt, Dead, Delivered
from tests.support import databases
from tests.support.command_line import CommandLine
from tests.support.deliverers import AGAIN, Deliverer
from tests.support.harness import Harness
from tests.support.manual_clock import ManualClock
from tests.support.plans import plans_of

SECOND = timedelta(seconds=1)
ATTEMPTS = text("""
    INSERT INTO delivery_attempt (notice, claim, operator, verdict, took_ms, http_status,
                                  recorded_at)
    SELECT n.id, 100 + k, n.operator, 'delivered', k, 200, CAST(:now AS timestamptz) - :age
      FROM notice n, generate_series(1, CAST(:count AS int)) AS k""")

KEPT_CALLS = text("""
    WITH made AS (
        INSERT INTO ticket (operator, ticket_id, status, notices)
        SELECT 1, 'K' || k, 'open', 1 FROM generate_series(1, CAST(:count AS int)) AS k
     RETURNING id, CAST(substr(ticket_id, 2) AS int) AS k)
    INSERT INTO notice (ticket, operator, number, action, generation, body, head, due_at,
                        created_at, claims, ended, ended_at, took_ms, http_status)
    SELECT id, 1, 1, 'ticket_update', 1, '{}', false, :now, :now, 1, 'delivered',
           CAST(:now AS timestamptz) - :age, k, 200
      FROM made""")


@pytest.fixture
def deliverer(harness) -> Deliverer:
    return Deliverer(harness)


def health(harness: Harness, code: str = "acme") -> OperatorHealth:
    with harness.engine.begin() as connection:
        (only,) = operator_health(connection, now=harness.now, code=code)
    return only


def win(harness: Harness, count: int) -> None:
    harness.publish(*(harness.event("ticket_win", f"T{number}") for number in range(count)))


def test_a_partner_of_whom_nothing_is_known_is_shown_as_such(harness):
    assert health(harness) == OperatorHealth(
        code="acme",
        disabled_at=None,
        ended_at=None,
        circuit="closed",
        circuit_since=None,
        circuit_reason=None,
        circuit_cause=None,
        next_probe_at=None,
        in_flight=0,
        in_flight_max=32,
        rate=None,
        due=0,
        oldest_due_at=None,
        undelivered_since=None,
        dead=0,
        attempts=0,
        success_rate=None,
        p50_ms=None,
        p99_ms=None,
    )


def test_what_is_in_flight_due_and_dead_is_counted(harness, deliverer):
    win(harness, 45)
    since = harness.now
    deliverer.answer(deliverer.claim(places=5), Dead("answered 404"), 404)
    harness.wait(SECOND)
    deliverer.claim()

    seen = health(harness)

    assert (seen.dead, seen.in_flight, seen.due) == (3, 32, 10)
    assert seen.oldest_due_at == since


def test_calls_of_a_deliverer_that_died_are_not_in_flight(harness, deliverer):
    win(harness, 3)
    deliverer.claim()
    harness.wait(timedelta(minutes=1))

    seen = health(harness)

    assert (seen.in_flight, seen.due) == (0, 3)


def test_an_open_circuit_says_since_when_why_and_when_it_is_tried(harness, deliverer):
    win(harness, 1)
    deliverer.deliver(AGAIN, 401)

    seen = health(harness)

    assert (seen.circuit, seen.circuit_reason) == ("open", "answered 401")
    assert seen.circuit_cause is Cause.LOCKED_OUT
    assert seen.circuit_since == harness.now
    assert seen.next_probe_at == harness.now + 15 * SECOND


def test_the_cause_is_what_the_last_probe_met(harness, deliverer):
    win(harness, 1)
    deliverer.deliver(AGAIN, 401)
    harness.wait(15 * SECOND)
    deliverer.deliver(AGAIN, 308)

    seen = health(harness)

    assert seen.circuit_reason == "answered 401; the last: answered 308"
    assert seen.circuit_cause is Cause.REDIRECT


def test_a_circuit_that_closed_says_since_when(harness, deliverer):
    win(harness, 1)
    deliverer.deliver(AGAIN, 401)
    harness.wait(15 * SECOND)
    deliverer.deliver()

    seen = health(harness)

    assert (seen.circuit, seen.circuit_reason, seen.next_probe_at) == ("closed", None, None)
    assert seen.circuit_since == harness.now


def test_success_and_latency_are_those_of_the_last_minutes(harness, deliverer):
    win(harness, 10)
    claims = deliverer.claim()
    harness.record_attempts(
        *(
            Attempt(
                claim,
                Delivered() if number < 8 else AGAIN,
                timedelta(milliseconds=10 * (number + 1)),
                http_status=200 if number < 8 else 503,
            )
            for number, claim in enumerate(claims)
        )
    )

    seen = health(harness)

    assert (seen.attempts, seen.success_rate) == (10, 0.8)
    assert (seen.p50_ms, seen.p99_ms) == (50, 100)
    harness.wait(WINDOW)
    assert health(harness).attempts == 0


def test_what_was_never_sent_has_no_latency(harness, deliverer):
    """A secret that cannot be decrypted fails at once, and shows nothing of the partner's speed."""
    win(harness, 2)
    harness.record_attempts(*(Attempt(claim, AGAIN, timedelta()) for claim in deliverer.claim()))

    seen = health(harness)

    assert (seen.attempts, seen.success_rate, seen.p50_ms) == (2, 0.0, None)


def test_of_very_many_attempts_the_last_ones_are_read(harness, engine):
    win(harness, 1)
    row = {"now": harness.now, "count": ATTEMPTS_MAX}
    with engine.begin() as connection:
        connection.execute(ATTEMPTS, {**row, "age": 2 * SECOND})
        connection.execute(text("UPDATE delivery_attempt SET claim = claim + 1000000"))
        connection.execute(ATTEMPTS, {**row, "count": 2000, "age": SECOND})

        def look() -> None:
            operator_health(connection, now=harness.now)

        plans = plans_of(connection, look)

    assert health(harness).attempts == ATTEMPTS_MAX
    assert plans.indexes >= {"delivery_attempt_recent"}
    assert plans.rows["delivery_attempt"] == ATTEMPTS_MAX


def test_of_very_many_calls_that_notices_keep_the_last_ones_are_read(harness, engine):
    with engine.begin() as connection:
        row = {"now": harness.now, "count": ATTEMPTS_MAX + 2000, "age": SECOND}
        connection.execute(KEPT_CALLS, row)
        connection.execute(text("ANALYZE notice"))

        def look() -> None:
            operator_health(connection, now=harness.now)

        plans = plans_of(connection, look)

    seen = health(harness)
    assert (seen.attempts, seen.success_rate) == (ATTEMPTS_MAX, 1.0)
    assert plans.indexes >= {"notice_taken", "delivery_attempt_recent"}
    assert plans.rows["notice"] == ATTEMPTS_MAX
    assert "notice" not in plans.whole_tables


def test_an_unknown_operator_is_refused(harness, engine):
    with engine.begin() as connection, pytest.raises(OperatorNotFound, match="did you mean 'acme'"):
        operator_health(connection, now=harness.now, code="acne")


@pytest.fixture
def slipway(monkeypatch, capsys, database, redis_url) -> CommandLine:
    made = CommandLine(monkeypatch, capsys)
    key = Fernet.generate_key().decode()
    made.export(database_url=database, redis_url=redis_url, secret_key=key)
    return made


@pytest.fixture
def late(engine, database) -> Harness:
    """A harness whose present is the database's, so that the command sees the last minutes."""
    (now,) = databases.ask(database, "SELECT clock_timestamp()")
    made = Harness(engine, ManualClock(now))
    made.add_operator()
    return made


def test_the_command_shows_it_to_people_and_programs(slipway, late):
    late.add_operator("bravo")
    late.disable("bravo")
    win(late, 40)
    deliverer = Deliverer(late)
    deliverer.deliver(AGAIN, 403)
    deliverer.claim(places=0)  # it reports that its calls are over

    shown, document = slipway("operators", "status"), slipway("operators", "status", "--json")

    assert shown.code == 0
    acme, bravo = shown.out.splitlines()[1:]
    assert acme.split()[:3] == ["acme", "open", "0/32"]
    assert "open since 20" in acme
    assert ": answered 403; next probe 20" in acme
    assert "0.0%" in acme
    assert "120 ms" in acme
    assert "disabled since 20" in bravo
    assert "acme (locked_out): " in shown.err
    assert "rotate-secret acme" in shown.err
    first, second = document.document()
    assert (first["code"], first["circuit"], first["due"]) == ("acme", "open", 8)
    assert "rotate-secret acme" in first["circuit_advice"]
    assert second["circuit_advice"] is None
    assert second["disabled_at"] is not None


def test_the_command_explains_itself(slipway):
    shown = slipway("operators", "status", "--help")

    assert shown.code == 0
    assert "Example: slipway operators status acme" in shown.out


def test_the_command_shows_one_and_refuses_what_is_not_there(slipway, late):
    late.add_operator("bravo")
    known, unknown = (
        slipway("operators", "status", "bravo"),
        slipway("operators", "status", "nobody"),
    )

    assert [line.split()[0] for line in known.out.splitlines()] == ["code", "bravo"]
    assert unknown.code == 1
    assert "there is no operator 'nobody'" in unknown.err
