"""`slipway operators status`: how the partners are doing, from what the database holds."""

from datetime import timedelta

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text

from models.monitoring.operators import ATTEMPTS_MAX, WINDOW, OperatorHealth, operator_health
from models.operators import OperatorUnknown
from models.outbox.causes import Cause
from models.outbox.values import Attempt, Dead, Delivered
from tests.support import databases
from tests.support.command_line import CommandLine
from tests.support.deliverers import AGAIN, Deliverer
from tests.support.desk import Desk
from tests.support.manual_clock import ManualClock
from tests.support.plans import plans_of

SECOND = timedelta(seconds=1)
ATTEMPTS = text("""
    INSERT INTO delivery_attempt (notice, claim, operator, verdict, took_ms, http_status,
                                  recorded_at)
    SELECT n.id, 100 + k, n.operator, 'delivered', k, 200, CAST(:now AS timestamptz) - :age
      FROM notice n, generate_series(1, CAST(:count AS int)) AS k""")


@pytest.fixture
def deliverer(desk) -> Deliverer:
    return Deliverer(desk)


def health(desk: Desk, code: str = "acme") -> OperatorHealth:
    with desk.engine.begin() as connection:
        (only,) = operator_health(connection, now=desk.now, code=code)
    return only


def win(desk: Desk, count: int) -> None:
    desk.publish(*(desk.event("ticket_win", f"T{number}") for number in range(count)))


def test_a_partner_of_whom_nothing_is_known_is_shown_as_such(desk):
    assert health(desk) == OperatorHealth(
        code="acme",
        disabled_at=None,
        circuit="closed",
        circuit_since=None,
        circuit_reason=None,
        circuit_cause=None,
        circuit_advice=None,
        next_probe_at=None,
        in_flight=0,
        in_flight_max=32,
        rate=None,
        due=0,
        oldest_due_at=None,
        owed_since=None,
        dead=0,
        attempts=0,
        success_rate=None,
        p50_ms=None,
        p99_ms=None,
    )


def test_what_is_in_flight_due_and_dead_is_counted(desk, deliverer):
    win(desk, 45)
    since = desk.now
    deliverer.answer(deliverer.claim(places=5), Dead("answered 404"), 404)
    desk.wait(SECOND)
    deliverer.claim()

    seen = health(desk)

    assert (seen.dead, seen.in_flight, seen.due) == (3, 32, 10)
    assert seen.oldest_due_at == since


def test_calls_of_a_deliverer_that_died_are_not_in_flight(desk, deliverer):
    win(desk, 3)
    deliverer.claim()
    desk.wait(timedelta(minutes=1))

    seen = health(desk)

    assert (seen.in_flight, seen.due) == (0, 3)


def test_an_open_circuit_says_since_when_why_and_when_it_is_tried(desk, deliverer):
    win(desk, 1)
    deliverer.deliver(AGAIN, 401)

    seen = health(desk)

    assert (seen.circuit, seen.circuit_reason) == ("open", "answered 401")
    assert seen.circuit_cause is Cause.LOCKED_OUT
    assert "rotate-secret acme" in (seen.circuit_advice or "")
    assert seen.circuit_since == desk.now
    assert seen.next_probe_at == desk.now + 15 * SECOND


def test_the_advice_follows_what_the_last_probe_met(desk, deliverer):
    win(desk, 1)
    deliverer.deliver(AGAIN, 401)
    desk.wait(15 * SECOND)
    deliverer.deliver(AGAIN, 308)

    seen = health(desk)

    assert seen.circuit_reason == "answered 401; the last: answered 308"
    assert seen.circuit_cause is Cause.REDIRECT
    assert "set acme --url" in (seen.circuit_advice or "")


def test_a_circuit_that_closed_says_since_when(desk, deliverer):
    win(desk, 1)
    deliverer.deliver(AGAIN, 401)
    desk.wait(15 * SECOND)
    deliverer.deliver()

    seen = health(desk)

    assert (seen.circuit, seen.circuit_reason, seen.next_probe_at) == ("closed", None, None)
    assert seen.circuit_since == desk.now


def test_success_and_latency_are_those_of_the_last_minutes(desk, deliverer):
    win(desk, 10)
    claims = deliverer.claim()
    desk.record_attempts(
        *(
            Attempt(
                one,
                Delivered() if number < 8 else AGAIN,
                timedelta(milliseconds=10 * (number + 1)),
                http_status=200 if number < 8 else 503,
            )
            for number, one in enumerate(claims)
        )
    )

    seen = health(desk)

    assert (seen.attempts, seen.success_rate) == (10, 0.8)
    assert (seen.p50_ms, seen.p99_ms) == (50, 100)
    desk.wait(WINDOW)
    assert health(desk).attempts == 0


def test_what_was_never_sent_has_no_latency(desk, deliverer):
    """A secret that cannot be opened fails at once, and says nothing about the partner's speed."""
    win(desk, 2)
    desk.record_attempts(*(Attempt(one, AGAIN, timedelta()) for one in deliverer.claim()))

    seen = health(desk)

    assert (seen.attempts, seen.success_rate, seen.p50_ms) == (2, 0.0, None)


def test_of_very_many_attempts_the_last_ones_are_read(desk, engine):
    win(desk, 1)
    row = {"now": desk.now, "count": ATTEMPTS_MAX}
    with engine.begin() as connection:
        connection.execute(ATTEMPTS, {**row, "age": 2 * SECOND})
        connection.execute(text("UPDATE delivery_attempt SET claim = claim + 1000000"))
        connection.execute(ATTEMPTS, {**row, "count": 2000, "age": SECOND})

        def look() -> None:
            operator_health(connection, now=desk.now)

        plans = plans_of(connection, look)

    assert health(desk).attempts == ATTEMPTS_MAX
    assert plans.indexes >= {"delivery_attempt_recent"}
    assert plans.rows["delivery_attempt"] == ATTEMPTS_MAX


def test_an_operator_nobody_knows_is_refused(desk, engine):
    with engine.begin() as connection, pytest.raises(OperatorUnknown, match="did you mean 'acme'"):
        operator_health(connection, now=desk.now, code="acne")


@pytest.fixture
def slipway(monkeypatch, capsys, database, redis_url) -> CommandLine:
    made = CommandLine(monkeypatch, capsys)
    key = Fernet.generate_key().decode()
    made.export(database_url=database, redis_url=redis_url, secret_key=key)
    return made


@pytest.fixture
def late(engine, database) -> Desk:
    """A desk whose present is the database's, so that the command sees the last minutes."""
    (now,) = databases.ask(database, "SELECT clock_timestamp()")
    made = Desk(engine, ManualClock(now))
    made.add_operator()
    return made


def test_the_command_shows_it_to_people_and_programs(slipway, late):
    late.add_operator("bravo")
    late.disable("bravo")
    win(late, 40)
    deliverer = Deliverer(late)
    deliverer.deliver(AGAIN, 403)
    deliverer.claim(places=0)  # it tells that its calls are over

    told, document = slipway("operators", "status"), slipway("operators", "status", "--json")

    assert told.code == 0
    acme, bravo = told.out.splitlines()[1:]
    assert acme.split()[:3] == ["acme", "open", "0/32"]
    assert "open since 20" in acme
    assert ": answered 403; next probe 20" in acme
    assert "0.0%" in acme
    assert "120 ms" in acme
    assert "disabled since 20" in bravo
    assert "acme (locked_out): " in told.err
    assert "rotate-secret acme" in told.err
    first, second = document.document()
    assert (first["code"], first["circuit"], first["due"]) == ("acme", "open", 8)
    assert second["disabled_at"] is not None


def test_the_command_explains_itself(slipway):
    told = slipway("operators", "status", "--help")

    assert told.code == 0
    assert "Example: slipway operators status acme" in told.out


def test_the_command_shows_one_and_refuses_what_is_not_there(slipway, late):
    late.add_operator("bravo")
    one, none = slipway("operators", "status", "bravo"), slipway("operators", "status", "nobody")

    assert [line.split()[0] for line in one.out.splitlines()] == ["code", "bravo"]
    assert none.code == 1
    assert "there is no operator 'nobody'" in none.err
