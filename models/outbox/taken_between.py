"""Of which tickets a partner took something between two times, in the order of the attempts."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, text

from models.outbox.attempts import ATTEMPTS, first_attempts
from models.outbox.repeats import SENT_AGAIN
from models.platform.timestamps import format_timestamp, parse_timestamp

READ_AT_ONCE: Final = 1000  # attempts
COUNTED_ATTEMPTS_MAX: Final = 30_000

_IN_WINDOW: Final = "a.operator = :operator AND a.recorded_at >= :since AND a.recorded_at < :until"
_FIRST: Final = "ORDER BY a.recorded_at LIMIT :attempts_max"
_MADE: Final = first_attempts("a.notice, a.verdict, a.recorded_at", _IN_WINDOW, _FIRST)
COUNT_TICKETS: Final = text(f"""
    WITH made AS MATERIALIZED (SELECT a.notice, a.verdict FROM {_MADE} a {_FIRST})
    SELECT count(DISTINCT n.ticket) FILTER (WHERE made.verdict = 'delivered') AS tickets,
           count(*) AS attempts
      FROM made JOIN notice n ON n.id = made.notice""")  # noqa: S608 - constants
_NEXT: Final = "ORDER BY a.recorded_at, a.notice, a.claim LIMIT :limit"
_PAGE: Final = first_attempts(
    "a.recorded_at, a.notice, a.claim, a.verdict",
    f"{_IN_WINDOW} AND (a.recorded_at, a.notice, a.claim) > (:since, :notice, :claim)",
    _NEXT,
)
# The subquery has a LIMIT, or else the planner may read all interventions into a hash table.
TAKEN: Final = text(f"""
    WITH page AS MATERIALIZED (SELECT * FROM {_PAGE} a {_NEXT})
    SELECT page.recorded_at, page.notice, page.claim,
           CASE WHEN page.verdict = 'delivered' THEN n.ticket END AS ticket,
           (SELECT i.id FROM intervention i
             WHERE i.ticket = n.ticket AND i.did = '{SENT_AGAIN}' AND i.facts ->> 'job' = :job
             LIMIT 1) IS NOT NULL AS had_its_turn
      FROM page LEFT JOIN notice n ON n.id = page.notice
     ORDER BY page.recorded_at, page.notice, page.claim""")  # noqa: S608 - constants
# A repeat that was taken then stands for its original. Attempts are found by their notice: by their
# time, a batch would read all of the window.
FIRSTS: Final = text(f"""
    SELECT n.ticket, min(o.number) AS number
      FROM notice n
     CROSS JOIN LATERAL (
           SELECT bool_or(a.verdict = 'delivered' AND a.recorded_at >= :since
                          AND a.recorded_at < :until) AS within
             FROM {ATTEMPTS} a WHERE a.notice = n.id) taken
      JOIN notice o ON o.ticket = n.ticket AND o.action = n.action
       AND o.generation = n.generation AND o.repeat = 0
     WHERE n.ticket = ANY(:tickets) AND taken.within
     GROUP BY n.ticket""")  # noqa: S608 - a constant


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """An operator's attempts that were recorded within [since, until)."""

    operator: int
    since: datetime
    until: datetime

    @property
    def parameters(self) -> dict[str, Any]:
        """Return the parameters of a statement."""
        return {"operator": self.operator, "since": self.since, "until": self.until}


class AttemptPlace(NamedTuple):
    """A place in the order of the attempts: behind this one."""

    recorded_at: datetime
    notice: int = 0
    claim: int = 0

    @classmethod
    def stored(cls, words: Sequence[Any]) -> "AttemptPlace":
        """Return the place that `words` stored."""
        return cls(parse_timestamp(words[0]), int(words[1]), int(words[2]))

    @property
    def words(self) -> list[str | int]:
        """The place as JSON values."""
        return [format_timestamp(self.recorded_at), self.notice, self.claim]


@dataclass(frozen=True, slots=True)
class TakenAttempt:
    """An attempt, and the *ticket* of which the partner took something by it, if it did.

    *had_its_turn*: a job has sent the ticket again already.
    """

    place: AttemptPlace
    ticket: int | None
    had_its_turn: bool


def count_taken(connection: Connection, window: TimeWindow) -> tuple[int, bool]:
    """Return the number of tickets, and whether it is exact: only so many attempts are read."""
    parameters = {**window.parameters, "attempts_max": COUNTED_ATTEMPTS_MAX}
    row = connection.execute(COUNT_TICKETS, parameters).one()
    return row.tickets, row.attempts < COUNTED_ATTEMPTS_MAX


def attempts_behind(
    connection: Connection, window: TimeWindow, place: AttemptPlace, *, job: int
) -> list[TakenAttempt]:
    """Return the next attempts, at most `READ_AT_ONCE`, for the job with this id."""
    rows = connection.execute(
        TAKEN,
        {
            **window.parameters,
            "since": place.recorded_at,
            "notice": place.notice,
            "claim": place.claim,
            "job": str(job),
            "limit": READ_AT_ONCE,
        },
    )
    return [
        TakenAttempt(
            AttemptPlace(row.recorded_at, row.notice, row.claim), row.ticket, row.had_its_turn
        )
        for row in rows
    ]


def first_taken(
    connection: Connection, window: TimeWindow, tickets: Collection[int]
) -> dict[int, int]:
    """Return the number of each ticket's first notice that was taken within the window."""
    times = {"since": window.since, "until": window.until}
    rows = connection.execute(FIRSTS, {**times, "tickets": sorted(tickets)})
    return {row.ticket: row.number for row in rows}
