"""The figures that operations watch, at a cost that does not grow with the tables."""

from datetime import UTC, datetime, timedelta

import pytest
from redis import Redis
from sqlalchemy import Engine, text

from models.events.stream_contract import STREAM
from models.monitoring import stats
from models.monitoring.stats import Stats, collect_stats
from models.outbox.values import Dead, Delivered
from models.sweeps.heartbeat import Round, last_round, store_round
from models.vocabulary import Status
from tests.support.harness import CLOSE_DELAY, OPERATOR, PARKING_WINDOW, Harness
from tests.support.plans import plans_of
from worker.intake.stream import Stream
from worker.metrics.redis_stats import collect_stream_stats, queue_lengths

MINUTE = timedelta(minutes=1)
CROWD = 3_000
COUNTED = 100
TICKETS = text("""
    INSERT INTO ticket (operator, ticket_id, status, result, notices, unfinished, close_due_at)
    SELECT 1, 'T' || n, 'resulted', 'won', 1, 1, CAST(:now AS timestamptz) - interval '1 hour'
      FROM generate_series(1, :crowd) AS n""")
NOTICES = text("""
    INSERT INTO notice (ticket, operator, number, action, generation, body, head, created_at,
                        due_at)
    SELECT id, 1, 1, 'ticket_win', 1, '{}', true, :now,
           CAST(:now AS timestamptz) - interval '1 hour'
      FROM ticket""")
EVENTS = text("""
    INSERT INTO ticket_event (ticket, event_id, action, order_time, received_at, outcome, reason,
                              status_before, status_after, decided_at)
    SELECT id, 'e', 'ticket_lost', :now, :now, 'rejected', 'ticket_closed', 'closed', 'closed', :now
      FROM ticket""")


def collected(harness: Harness) -> Stats:
    with harness.engine.begin() as connection:
        return collect_stats(connection, now=harness.now)


def test_stats_tell_how_everything_stands(harness):
    harness.add_operator("held")
    harness.say("ticket_win", "closing")
    harness.deliver()
    harness.wait(CLOSE_DELAY + MINUTE)
    harness.say("ticket_win", "refused")
    harness.record(harness.claim_one(), Dead("answered 400"))
    harness.say("ticket_win", "due")
    harness.say("ticket_win", "sending")
    harness.say("ticket_rollback", "parked")
    harness.say("ticket_win", "stranger", operator="nobody")
    harness.publish(harness.raw(b"no json"))
    harness.wait(MINUTE)
    with harness.engine.begin() as connection:
        claimed = harness.claim_within(connection, {1: 1})
    harness.disable("held")

    seen = collected(harness)

    acme, held = seen.operators
    assert (acme.code, held.code, acme.enabled, held.enabled) == (OPERATOR, "held", True, False)
    assert len(claimed) == 1
    assert (acme.due, acme.in_flight, acme.dead) == (1, 1, 1)
    assert acme.oldest_due_at == harness.now - MINUTE
    assert acme.circuit is None
    assert acme.undelivered_since == harness.now - MINUTE
    assert (seen.closes_due, seen.oldest_close_due_at) == (1, harness.now - 2 * MINUTE)
    assert (seen.parked, seen.first_window_end) == (1, harness.now - MINUTE + PARKING_WINDOW)
    assert (seen.rejected, seen.superseded) == (2, 0)
    assert (seen.tickets[Status.RESULTED], seen.tickets[Status.ABSENT]) == (4, 1)
    assert seen.last_round is None


def test_a_ticket_on_hold_is_counted_apart(harness):
    """Rule 23: neither its notice nor its closing is late."""
    harness.say("ticket_win", "closing")
    harness.deliver()
    harness.say("ticket_win", "due")
    harness.hold("closing")
    held_at = harness.now
    harness.wait(MINUTE)
    harness.hold("due")
    harness.wait(CLOSE_DELAY)

    seen = collected(harness)
    (acme,) = seen.operators
    assert (acme.due, acme.oldest_due_at, acme.undelivered_since) == (0, None, None)
    assert (seen.closes_due, seen.oldest_close_due_at) == (0, None)
    assert (seen.on_hold, seen.oldest_on_hold_at) == (2, held_at)

    harness.release_ticket("closing")
    harness.release_ticket("due")
    seen = collected(harness)
    (acme,) = seen.operators
    assert (acme.oldest_due_at, acme.undelivered_since) == (harness.now, harness.now)
    assert (seen.closes_due, seen.oldest_close_due_at, seen.on_hold) == (1, harness.now, 0)


def test_what_differs_from_what_overtook_it_counts_as_superseded(harness):
    harness.say("ticket_win", at=harness.now)
    harness.say("ticket_win", at=harness.now - MINUTE)
    harness.say("ticket_lost", at=harness.now - 2 * MINUTE)

    assert collected(harness).superseded == 1


def test_a_resolved_dead_letter_is_no_longer_counted(harness):
    harness.say("ticket_win")
    claim = harness.claim_one()
    harness.record(claim, Dead("answered 400"))
    assert collected(harness).operators[0].dead == 1

    harness.record(claim, Delivered())

    assert collected(harness).operators[0].dead == 0


@pytest.mark.parametrize("analysed", [False, True])
def test_collecting_stats_reads_no_more_than_its_limits_whatever_there_is(
    harness, monkeypatch, analysed
):
    monkeypatch.setattr(stats, "COUNT_MAX", COUNTED)
    monkeypatch.setattr(stats, "PAGES_COUNTED_MAX", 0)
    with harness.engine.begin() as connection:
        for statement in (TICKETS, NOTICES, EVENTS):
            connection.execute(statement, {"now": harness.now, "crowd": CROWD})
        if analysed:
            connection.execute(text("ANALYZE"))

        plans = plans_of(connection, lambda: collect_stats(connection, now=harness.now))
        seen = collect_stats(connection, now=harness.now)

    assert (seen.operators[0].due, seen.closes_due, seen.rejected) == (COUNTED, COUNTED, COUNTED)
    assert plans.whole_tables & {"ticket", "notice", "ticket_event"} == set()
    assert plans.rows["notice"] <= 2 * COUNTED
    assert plans.rows["ticket"] <= COUNTED
    assert plans.rows["ticket_event"] <= 3 * COUNTED
    assert seen.tickets.get(Status.RESULTED, 0) == (CROWD if analysed else 0)


def test_operators_beyond_the_limit_are_counted(harness, monkeypatch):
    monkeypatch.setattr(stats, "OPERATORS_MAX", 1)
    assert collected(harness).operators_beyond == 0
    harness.add_operator("bravo")
    harness.add_operator("charlie")

    seen = collected(harness)

    assert ([operator.code for operator in seen.operators], seen.operators_beyond) == (
        [OPERATOR],
        2,
    )


def test_many_operators_share_the_rows_that_are_looked_at():
    assert stats._limit(1) == 10_000  # noqa: SLF001 - a decision worth a test of its own
    assert stats._limit(100) == 500  # noqa: SLF001 - as above
    assert stats._limit(1000) == 50  # noqa: SLF001 - as above


def test_the_last_round_is_the_latest_in_whichever_order_they_are_stored(engine: Engine):
    late = Round(datetime(2026, 11, 20, 12, 1, tzinfo=UTC), None)
    early = Round(late.ended_at - MINUTE, late.ended_at - MINUTE)

    with engine.begin() as connection:
        store_round(connection, late)
        store_round(connection, early)

        assert last_round(connection) == late


def test_the_stream_tells_what_is_unread_what_is_in_hand_and_since_when(redis, redis_url):
    long_ago = datetime.now(UTC) - 5 * MINUTE  # noqa: TID251 - Redis' clock is this machine's
    for second in range(3):
        redis.xadd(STREAM, {"event": "{}"}, id=f"{int(long_ago.timestamp()) + second}000-0")
    before = collect_stream_stats(redis)
    with Redis.from_url(redis_url) as client:
        Stream(client, consumer="one").read(count=2, block=timedelta(milliseconds=10))

    seen = collect_stream_stats(redis)

    assert (before.unread, before.pending) == (3, 0)
    assert (seen.entries, seen.unread, seen.pending) == (3, 1, 2)
    assert seen.oldest_at is not None
    assert 299 < (seen.at - seen.oldest_at).total_seconds() < 600
    assert (seen.noeviction, seen.append_only) == (True, True)


def test_an_empty_redis_has_nothing_old(redis):
    seen = collect_stream_stats(redis)

    assert (seen.entries, seen.unread, seen.oldest_at) == (0, 0, None)


def test_the_lists_of_a_queue_are_counted_together(redis):
    redis.lpush("tickets", "a", "b")
    redis.lpush("tickets\x06\x163", "c")

    lengths = queue_lengths(redis, {"tickets": ["tickets", "tickets\x06\x163"], "sweep": ["sweep"]})

    assert lengths == {"tickets": 3, "sweep": 0}
