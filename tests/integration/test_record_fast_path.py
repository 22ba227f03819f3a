"""The fast path leaves the same rows as recording in Python does (`models.outbox.fast_path`)."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, text

from models.outbox.attempts import ATTEMPTS
from models.outbox.fast_path import record_successes
from models.outbox.record import record, record_each
from models.outbox.values import Attempt, Claim, Dead, Delivered, RetryLater, Unanswered, Verdict
from tests.support.harness import LEASE, PARTNER_GRACE, RECORD_POLICY, TOOK

PAUSE = timedelta(seconds=30)
STATE = {
    "ticket": "SELECT * FROM ticket ORDER BY id",
    "notice": "SELECT * FROM notice ORDER BY id",
    "rows of attempts": "SELECT * FROM delivery_attempt ORDER BY notice, claim",
    "attempts": f"SELECT * FROM {ATTEMPTS} a ORDER BY notice, claim",  # noqa: S608 - a constant
    "circuit": "SELECT * FROM circuit ORDER BY operator",
}


def delivered(*claims: Claim, **facts: Any) -> list[Attempt]:  # noqa: ANN401 - an attempt's own fields
    return [Attempt(claim, Delivered(), TOOK, http_status=200, **facts) for claim in claims]


def one_result(harness) -> Sequence[Attempt]:
    harness.say("ticket_win")
    return delivered(
        harness.claim_one(),
        answer='{"ok":"ü"}',
        remarks={"ref": "x"},
        sent_at=harness.now,
        remote_address="2001:db8::7",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )


def a_doubtful_result(harness) -> Sequence[Attempt]:
    """Its notice has no column for the headers of the response."""
    harness.say("ticket_win")
    headers = {"headers": [["Server", "ü"]], "omitted": 1}
    return delivered(harness.claim_one(), remarks={"doubts": ["x"]}, response_headers=headers)


def both_claims_succeed_the_first_doubtfully(harness) -> Sequence[Attempt]:
    harness.say("ticket_win")
    lost = harness.claim_one()
    harness.wait(LEASE)
    headers = {"headers": [], "omitted": 0}
    return [*delivered(lost, response_headers=headers), *delivered(harness.claim_one())]


def a_result_at_its_second_attempt(harness) -> Sequence[Attempt]:
    harness.say("ticket_win")
    harness.record(harness.claim_one(), RetryLater(PAUSE))
    harness.wait(PAUSE)
    return delivered(harness.claim_one())


def the_same_twice(harness) -> Sequence[Attempt]:
    harness.say("ticket_win")
    claim = harness.claim_one()
    return delivered(claim, claim)


def a_wave(harness) -> Sequence[Attempt]:
    actions = ["ticket_win", "ticket_lost"]
    harness.publish(*(harness.event(actions[n % 2], f"T{n}") for n in range(40)))
    return delivered(*harness.claim())


def a_follower(harness) -> Sequence[Attempt]:
    harness.publish(harness.event("ticket_win"), harness.event("ticket_rollback"))
    return delivered(harness.claim_one())


def a_rollback(harness) -> Sequence[Attempt]:
    harness.publish(harness.event("ticket_win"), harness.event("ticket_rollback"))
    harness.record(harness.claim_one())
    return delivered(harness.claim_one())


def another_result_stands(harness) -> Sequence[Attempt]:
    """Rule 16: the delivered result is no longer the current one."""
    harness.say("ticket_win")
    claim = harness.claim_one()
    harness.publish(harness.event("ticket_rollback"), harness.event("ticket_lost"))
    return delivered(claim)


def an_event_is_parked(harness) -> Sequence[Attempt]:
    harness.say("ticket_win", sequence=1)
    claim = harness.claim_one()
    harness.say("ticket_rollback", sequence=3)
    return delivered(claim)


def a_close(harness) -> Sequence[Attempt]:
    harness.say("ticket_win")
    harness.record(harness.claim_one())
    harness.wait(timedelta(hours=24))
    harness.close_due()
    return delivered(harness.claim_one())


def the_lease_was_lost(harness) -> Sequence[Attempt]:
    """Rule 14: the late success counts, and its follower waits for the other call."""
    harness.publish(harness.event("ticket_win"), harness.event("ticket_rollback"))
    lost = harness.claim_one()
    harness.wait(LEASE)
    harness.claim_one()
    return delivered(lost)


def both_claims_succeed(harness) -> Sequence[Attempt]:
    harness.publish(harness.event("ticket_win"), harness.event("ticket_rollback"))
    lost = harness.claim_one()
    harness.wait(LEASE)
    return delivered(lost, harness.claim_one())


def a_repeat_after_silence(harness) -> Sequence[Attempt]:
    """Rule 15: the first call may still be on its way."""
    harness.publish(harness.event("ticket_win"), harness.event("ticket_rollback"))
    harness.record(harness.claim_one(), Unanswered(timedelta(seconds=5)))
    harness.wait(PARTNER_GRACE)
    return delivered(harness.claim_one())


def recorded_before(harness) -> Sequence[Attempt]:
    harness.say("ticket_win")
    claim = harness.claim_one()
    harness.record(claim)
    return delivered(claim)


def dead_meanwhile(harness) -> Sequence[Attempt]:
    harness.say("ticket_win")
    lost = harness.claim_one()
    harness.wait(LEASE)
    harness.record(harness.claim_one(), Dead("400"))
    return delivered(lost)


def after_refusals(harness) -> Sequence[Attempt]:
    harness.publish(harness.event("ticket_win", "A"), harness.event("ticket_win", "B"))
    refused, good = harness.claim()
    harness.record(refused, Dead("400"))
    return delivered(good)


def failures_beside_it(harness) -> Sequence[Attempt]:
    """The circuit learns the results in order: nine refusals, a success, nine more."""
    harness.publish(*(harness.event("ticket_win", f"T{n:02}") for n in range(21)))
    claims = harness.claim()
    ends: list[Verdict] = [
        *([Dead("400")] * 9),
        Delivered(),
        *([Dead("400")] * 9),
        RetryLater(PAUSE),
        Delivered(),
    ]
    return [Attempt(claim, end, TOOK) for claim, end in zip(claims, ends, strict=True)]


def two_partners(harness) -> Sequence[Attempt]:
    harness.add_operator("other")
    harness.publish(
        *(harness.event("ticket_win", f"T{n}") for n in range(3)),
        *(harness.event("ticket_win", f"T{n}", operator="other") for n in range(3)),
    )
    claims = harness.claim()
    failed = next(claim for claim in claims if claim.operator_code == "other")
    return [
        *delivered(*(claim for claim in claims if claim is not failed)),
        Attempt(failed, RetryLater(PAUSE), TOOK),
    ]


SITUATIONS: list[tuple[Callable[[Any], Sequence[Attempt]], int]] = [  # and how many are plain
    (one_result, 1),
    (a_doubtful_result, 0),
    (both_claims_succeed_the_first_doubtfully, 0),
    (a_result_at_its_second_attempt, 1),
    (the_same_twice, 1),
    (a_wave, 40),
    (a_follower, 1),
    (a_rollback, 1),
    (another_result_stands, 1),
    (an_event_is_parked, 1),
    (a_close, 1),
    (the_lease_was_lost, 0),
    (both_claims_succeed, 0),
    (a_repeat_after_silence, 0),
    (recorded_before, 0),
    (dead_meanwhile, 0),
    (after_refusals, 0),
    (failures_beside_it, 0),
    (two_partners, 3),
]


@pytest.mark.parametrize(
    ("situation", "fast"), SITUATIONS, ids=lambda given: getattr(given, "__name__", "")
)
def test_the_fast_path_records_what_record_each_would(harness, engine, situation, fast):
    """Rules 12 to 16: each way in a transaction that is undone; then rows and news are compared."""
    attempts = situation(harness)
    terms = {"now": harness.now, "policy": RECORD_POLICY}

    with engine.connect() as connection:
        whole = record(connection, attempts, **terms)
        left_by_whole = state(connection)
        connection.rollback()
        each = record_each(connection, attempts, **terms)
        left_by_each = state(connection)
        connection.rollback()
        alone = record_successes(connection, attempts, now=harness.now, to_open=())
        connection.rollback()

    assert left_by_whole == left_by_each
    assert (whole.due, whole.verdicts) == (each.due, each.verdicts)
    assert list(whole.circuit_changes) == list(each.circuit_changes)
    assert len(alone.recorded) == fast


@pytest.mark.parametrize("situation", [one_result, a_wave, a_result_at_its_second_attempt])
def test_a_plain_success_is_kept_by_its_notice(harness, engine, situation):
    """Both ways; recorded once more, it is still one attempt."""
    attempts = situation(harness)
    terms = {"now": harness.now, "policy": RECORD_POLICY}
    claims = {(attempt.claim.notice, attempt.claim.number) for attempt in attempts}
    with engine.connect() as connection:
        rows_before = len(state(connection)["rows of attempts"])
        for recorded in (record, record_each):
            for _ in range(2):
                recorded(connection, attempts, **terms)
                left = state(connection)
                assert len(left["rows of attempts"]) == rows_before
                assert claims <= {row[:2] for row in left["attempts"]}
                assert len(left["attempts"]) == rows_before + len(claims)
            connection.rollback()


def test_a_partner_whose_circuit_is_to_open_takes_no_fast_path(harness, engine):
    """Its circuit opens with this batch, and must get all its attempts."""
    attempts = one_result(harness)
    with engine.connect() as connection:
        alone = record_successes(
            connection, attempts, now=harness.now, to_open={attempts[0].claim.operator}
        )

    assert (alone.recorded, alone.rest) == ((), attempts)


def state(connection: Connection) -> dict[str, list[Any]]:
    return {
        table: [tuple(row) for row in connection.execute(text(query))]
        for table, query in STATE.items()
    }
