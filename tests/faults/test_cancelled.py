"""What the trials call cancelled without cause: the partner's ledger decides, not our own words."""

from datetime import UTC, datetime, timedelta

import pytest

from producers.simulation.partner import CloseWithoutAnswer, LedgerEntry, Respond
from tests.faults.cancelled import Cause, Sent, Span, cause_of

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
TIMEOUT = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


def sent(**changed: object) -> Sent:
    """A create that failed within 3 ms."""
    facts: dict[str, object] = {
        "operator": "acme",
        "ticket_id": "T",
        "action": "ticket_create",
        "claims": 1,
        "ended_at": NOON,
        "problem": "the connection was closed before an answer came",
        "http_status": None,
        "took_ms": 3,
        "recorded_at": NOON,
    }
    return Sent(**(facts | changed))  # type: ignore[arg-type]  # each test's own facts


def heard(*, status: int | None, signature_ok: bool = True) -> LedgerEntry:
    """What the partner's ledger has of it."""
    return LedgerEntry(
        number=1,
        received_at=NOON,
        method="POST",
        path="/",
        headers=(),
        body=b"{}",
        action="ticket_create",
        operator="acme",
        ticket_id="T",
        idempotency_key="key",
        signature_ok=signature_ok,
        behaviour=Respond() if status else CloseWithoutAnswer(),
        status=status,
    )


def cause(call: Sent, entry: LedgerEntry | None, *cuts: Span) -> Cause:
    return cause_of(call, entry, cuts=cuts, timeout=TIMEOUT)


def test_one_that_never_reached_the_partner_is_without_cause():
    assert cause(sent(), None) is Cause.NONE


def test_a_front_end_that_says_502_for_a_partner_that_has_nothing_of_it_is_no_cause():
    assert cause(sent(http_status=502, problem=None), None) is Cause.NONE


def test_one_that_was_answered_well_and_in_time_is_without_cause():
    assert cause(sent(), heard(status=200)) is Cause.NONE


def test_a_refusal_for_our_own_signature_is_no_cause():
    assert cause(sent(http_status=403), heard(status=403, signature_ok=False)) is Cause.NONE


@pytest.mark.parametrize(
    ("call", "entry", "expected"),
    [
        (sent(http_status=503), heard(status=503), Cause.REFUSED),
        (sent(), heard(status=None), Cause.NO_ANSWER),
        (sent(took_ms=1000), heard(status=200), Cause.TOO_LATE),
        (sent(took_ms=None, recorded_at=None), None, Cause.SENDER),
        (sent(took_ms=None, recorded_at=None), heard(status=200), Cause.SENDER),
        (sent(claims=0, took_ms=None, recorded_at=None), None, Cause.UNSENT),
    ],
)
def test_what_the_partner_or_a_fault_did_is_a_cause(call, entry, expected):
    assert cause(call, entry) is expected


def test_a_cut_line_is_a_cause_only_while_the_call_was_under_way():
    assert cause(sent(), None, (NOON - MINUTE, NOON - MINUTE / 2)) is Cause.NONE
    assert cause(sent(), None, (NOON - MINUTE, NOON)) is Cause.CUT
    assert cause(sent(), None, (NOON + MINUTE, NOON + 2 * MINUTE)) is Cause.NONE
