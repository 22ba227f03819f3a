"""What an attempt is, said once: a row of `delivery_attempt`, or a call that its notice keeps.

Nearly all attempts are plain successes under their notice's lease. The notice itself keeps such a
call, in columns of its own: it ends with it, so that its last claim is the attempt's, and its end
the attempt's time. A row of `delivery_attempt` is made for everything else: what failed, what came
late or again, what has response headers, and every attempt recorded by an earlier release.

All that reads attempts reads them here, as `a`.
"""

from typing import Any, Final

from models.outbox.values import Attempt, Delivered

_OF_THEIR_OWN: Final = """
        SELECT notice, claim, operator, verdict, took_ms, http_status, problem, answer, remarks,
               recorded_at, sent_at, remote_address, response_headers, traceparent
          FROM delivery_attempt"""
_KEPT_BY_NOTICES: Final = """
        SELECT id AS notice, claims AS claim, operator, CAST('delivered' AS text) AS verdict,
               took_ms, http_status, CAST(NULL AS varchar) AS problem, answer, remarks,
               ended_at AS recorded_at, sent_at, remote_address,
               CAST(NULL AS jsonb) AS response_headers, call_traceparent AS traceparent
          FROM notice WHERE took_ms IS NOT NULL"""

# To be read by their notice: `FROM {ATTEMPTS} a WHERE a.notice = ...`.
ATTEMPTS: Final = f"({_OF_THEIR_OWN}\n         UNION ALL{_KEPT_BY_NOTICES})"


def first_attempts(columns: str, condition: str, order: str) -> str:
    """Return a subquery: the first attempts of each kind in an *order*, which has a `LIMIT`.

    Each kind is read by its index, as far as that; what reads the subquery orders and limits once
    more. By `delivery_attempt_recent` and `notice_taken`: an operator's attempts by their time.
    """
    parts = (
        f"(SELECT {columns} FROM ({source}) a WHERE {condition} {order})"  # noqa: S608 - constants
        for source in (_OF_THEIR_OWN, _KEPT_BY_NOTICES)
    )
    return f"({' UNION ALL '.join(parts)})"


def is_plain(attempt: Attempt) -> bool:
    """Return whether a notice has a column for all that is known of *attempt*."""
    return (
        isinstance(attempt.verdict, Delivered)
        and attempt.problem is None
        and attempt.response_headers is None
    )


def call_columns(attempt: Attempt) -> dict[str, Any]:
    """Return what is stored of the call, wherever its attempt is stored."""
    return {
        "took_ms": round(attempt.took.total_seconds() * 1000),
        "http_status": attempt.http_status,
        "answer": attempt.answer,
        "remarks": attempt.remarks,
        "sent_at": attempt.sent_at,
        "remote_address": attempt.remote_address,
        "traceparent": attempt.traceparent,
    }
