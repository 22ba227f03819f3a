"""The sweep's rounds: all that is due, in bounded batches, and not what the stream may stop."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import Engine, text

from models.events.stream_contract import STREAM
from models.idempotency import keep_response, keyed_request
from models.idempotency.responses import KEPT_FOR
from models.monitoring.closings import closings_ahead
from models.monitoring.minutes import partner_plot
from models.settings.settings import Settings
from tests.support.closed_port import closed_port
from tests.support.harness import CLOSE_DELAY, Harness
from tests.support.manual_clock import ManualClock
from tests.support.noted_moments import note
from tests.support.plain_settings import plain_settings
from tests.support.records import Records
from tests.support.users import added_user, signed_in
from worker.metrics.sweep import SweepMetrics
from worker.sweep.round import Sweep, SweepResult
from worker.sweep.watermark import StreamWatermark

SOLD = datetime(2025, 1, 1, 10, 0, tzinfo=UTC)  # long past by Redis' clock, which is the real one
DUE = SOLD + CLOSE_DELAY
TICKETS = 5


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(SOLD)


@pytest.fixture
def settings() -> Settings:
    return plain_settings(sweep_batch=2)


@pytest.fixture
def sweep(engine: Engine, redis: Redis, clock: ManualClock, settings: Settings) -> Sweep:
    return Sweep(
        transaction=engine.begin,
        clock=clock,
        watermark_source=StreamWatermark(redis),
        settings=settings,
    )


@pytest.fixture
def due_tickets(harness: Harness) -> None:
    """Tickets whose results the partner took a day ago."""
    harness.publish(*(harness.event("ticket_win", str(number)) for number in range(TICKETS)))
    harness.deliver()
    harness.wait(CLOSE_DELAY)


def closed(records: Records) -> int:
    """How many tickets are closed, each of which must owe its partner that word once."""
    tickets = [str(number) for number in range(TICKETS)]
    done = [ticket for ticket in tickets if records.standing(ticket) == "closed/won"]
    for ticket in done:
        actions = [notice.action for notice in records.notices(ticket)]
        assert actions == ["ticket_win", "ticket_closed"]
    return len(done)


@pytest.mark.usefixtures("due_tickets")
def test_a_round_closes_all_that_is_due_whatever_the_batch(sweep, records):
    swept = sweep.round()

    assert (swept.closed, swept.due) == (TICKETS, True)
    assert closed(records) == TICKETS


def test_a_round_with_nothing_due_wakes_no_deliverer(sweep):
    assert not sweep.round().due


def test_a_round_removes_what_the_console_left_behind(sweep, engine, clock):
    """Nobody signs in any more, so nobody else would; a response may hold what is personal."""
    now = clock.now()
    added_user(engine, "anna", now=now)
    signed_in(engine, "anna", now=now)
    request = keyed_request(caller="token 1", key="k", content=b"")
    with engine.begin() as connection:
        keep_response(connection, request, status=200, body="", now=now)

    rounds = [(sweep.round().due, left_behind(engine))]
    clock.advance(KEPT_FOR)
    rounds.append((sweep.round().due, left_behind(engine)))

    assert rounds == [(False, [1, 1, 1]), (False, [0, 0, 0])]


@pytest.mark.usefixtures("due_tickets")
def test_a_round_removes_bodies_in_batches_and_counts_them(sweep, engine, harness, clock):
    sweep.round()
    harness.deliver()
    with engine.begin() as connection:
        connection.execute(text("UPDATE operator SET keep_bodies = interval '1 hour'"))
    clock.advance(timedelta(hours=1, seconds=1))
    registry = CollectorRegistry()
    metrics = SweepMetrics(registry)

    swept = SweepResult(watermark=None)
    while swept.bodies_removed or swept.watermark is None:  # each round has a share of the time
        swept = sweep.round()
        metrics.swept(swept, took=timedelta())

    labels = {"change": "bodies_removed"}
    assert registry.get_sample_value("slipway_sweep_changes_total", labels) == TICKETS
    assert not swept.due


def left_behind(engine: Engine) -> list[int]:
    tables = ("user_session", "sign_in_failure", "kept_response")
    with engine.begin() as connection:
        return [
            connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one()  # noqa: S608 - names of the line above
            for name in tables
        ]


@pytest.mark.usefixtures("due_tickets")
def test_an_unapplied_entry_from_before_the_due_time_holds_the_closing_back(sweep, redis):
    """Rule 17: it may be a rollback, and a rollback counts from the moment it is on the stream."""
    note(redis, milliseconds(DUE) - 2, milliseconds(DUE))
    in_time = redis.xadd(STREAM, {"event": "x"}, id=f"{milliseconds(DUE) - 1}-0")

    assert sweep.round().closed == 0

    redis.xdel(STREAM, in_time)
    assert sweep.round().closed == TICKETS


@pytest.mark.usefixtures("due_tickets")
def test_an_entry_from_after_the_due_time_holds_nothing_back(sweep, redis):
    note(redis, milliseconds(DUE))
    redis.xadd(STREAM, {"event": "x"}, id=f"{milliseconds(DUE) + 1}-0")

    assert sweep.round().closed == TICKETS


@pytest.mark.usefixtures("due_tickets")
def test_while_redis_is_unavailable_nothing_closes(engine, clock, settings, records):
    with Redis(port=closed_port(), retry=Retry(NoBackoff(), 0)) as unavailable:
        sweep = Sweep(
            transaction=engine.begin,
            clock=clock,
            watermark_source=StreamWatermark(unavailable),
            settings=settings,
        )

        assert sweep.round() == SweepResult(watermark=None)

    assert closed(records) == 0


@pytest.mark.usefixtures("due_tickets")
def test_two_sweeps_at_once_close_every_ticket_once(sweep, records):
    rounds: list[SweepResult] = []
    threads = [threading.Thread(target=lambda: rounds.append(sweep.round())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    sweep.round()  # a row that both found locked is left for the next round
    assert len(rounds) == 2
    assert closed(records) == TICKETS


@pytest.mark.usefixtures("due_tickets")
def test_a_round_ends_when_its_time_is_over_and_the_next_continues(
    engine, clock, settings, redis, records
):
    moments = iter([0.0, *[1000.0] * 100])
    sweep = Sweep(
        transaction=engine.begin,
        clock=clock,
        watermark_source=StreamWatermark(redis),
        settings=settings,
        monotonic=lambda: next(moments),
    )

    assert sweep.round().closed == settings.sweep_batch
    assert closed(records) == settings.sweep_batch


def milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def test_a_round_computes_what_plots_show(sweep, harness, clock, engine):
    """Each at most once a minute, however many rounds there are, and while Redis is away."""
    sweep.round()
    clock.advance(timedelta(seconds=30))
    harness.say("ticket_win", "T")
    harness.deliver()
    sweep.round()
    clock.advance(timedelta(seconds=50))
    sweep.round()

    with engine.begin() as connection:
        plot = partner_plot(connection, "acme", since=SOLD, until=clock.now())
        ahead = closings_ahead(connection)
    assert [(point.at, point.delivered) for point in plot.points] == [(SOLD, 1)]
    assert ahead is not None
    assert (ahead.counted_at, sum(ahead.closings)) == (clock.now(), 1)
