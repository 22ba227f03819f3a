"""Lists notices by how they stand, whatever else is asked for, at a bounded cost.

Partner by partner over the index of the outcome (`models.triage.notice_statements`), merged in the
order of time. However few notices match, a page examines a bounded number: it then ends early, says
how far it has come, and its `next` goes on from there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, Row

from models.triage.notice_statements import (
    COUNT_OPERATORS,
    FACTS,
    ON_HOLD,
    TRIED,
    WAITING,
    ended_as,
)
from models.triage.values import NoticePlace, Selection
from models.triage.waiting import check_operator
from models.vocabulary import NoticeEnd

EXAMINED_MAX: Final = 10_000  # notices of a page
EXAMINED_BY_ATTEMPT_MAX: Final = 3_000  # where the last attempt of each has to be read
EXAMINED_BY_ANSWER_MAX: Final = 2_000  # and all its answer, which may be long
TRIES_EACH: Final = 5  # looked at for each notice of the list of all that were tried
BEHIND_MAX: Final = 100


class NoticeOutcome(StrEnum):
    """How a notice stands, as the lists have it. `TRIED`: any, by its last attempt."""

    DEAD = "dead"
    WAITING = "waiting"  # for its next attempt, at the head of its ticket
    ON_HOLD = "on_hold"  # first of a ticket that a person holds
    DELIVERED = "delivered"
    SKIPPED = "skipped"
    WITHDRAWN = "withdrawn"
    REFUSED = "refused"
    NOT_WANTED = "not_wanted"  # rule 27
    TRIED = "tried"

    @property
    def soonest_first(self) -> bool:
        """Whether the list begins with what comes next; the others begin with the newest."""
        return self is NoticeOutcome.WAITING


_SOURCES: Final = {
    NoticeOutcome.WAITING: WAITING,
    NoticeOutcome.ON_HOLD: ON_HOLD,
    NoticeOutcome.TRIED: TRIED,
    NoticeOutcome.DELIVERED: TRIED,
    NoticeOutcome.DEAD: ended_as(NoticeEnd.DEAD),
    NoticeOutcome.SKIPPED: ended_as(NoticeEnd.SKIPPED),
    NoticeOutcome.WITHDRAWN: ended_as(NoticeEnd.WITHDRAWN),
    NoticeOutcome.REFUSED: ended_as(NoticeEnd.REFUSED),
    NoticeOutcome.NOT_WANTED: ended_as(NoticeEnd.NOT_WANTED),
}


@dataclass(frozen=True, slots=True)
class ListedNotice:
    """A notice, its last attempt, and what waits behind it.

    *at* is the time that orders its list: when it ended so, when its next attempt is due, since
    when its ticket is on hold, or when it was last tried. *behind* is counted up to `BEHIND_MAX`.
    """

    id: int
    at: datetime
    operator: str
    ticket_id: str
    action: str
    generation: int
    repeat: int
    created_at: datetime
    due_at: datetime
    leased_until: datetime | None  # being sent, until then at most
    ended: str | None
    ended_at: datetime | None
    reason: str | None
    perhaps_delivered: bool
    tries: int
    verdict: str | None  # of the last attempt, as are the next four
    http_status: int | None
    problem: str | None
    answer: str | None
    last_tried_at: datetime | None
    behind: int
    circuit_open: bool
    on_hold_at: datetime | None
    operator_disabled_at: datetime | None
    operator_ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class NoticePage:
    """A part of a list. *next* is where the next page begins, or None at the end.

    *examined*: how many notices were looked at. *examined_to*: the time that was reached, if the
    page ended there before it was full.
    """

    lines: tuple[ListedNotice, ...]
    next: NoticePlace | None
    examined: int
    examined_to: datetime | None = None


def list_notices(
    connection: Connection,
    outcome: NoticeOutcome,
    selection: Selection,
    *,
    after: NoticePlace | None = None,
    limit: int,
) -> NoticePage:
    """List notices that stand as *outcome*. *selection*'s times are those that order the list.

    Raises OperatorNotFound.
    """
    check_operator(connection, selection.operator)
    share = _share(connection, outcome, selection, limit=limit)
    rows = _matching(connection, outcome, selection, after=after, limit=limit + 1, share=share)
    places = [NoticePlace(row.at, row.id) for row in rows if row.id is not None]
    lines = _lines(connection, places[:limit])
    examined: int = rows[0].examined
    if len(places) > limit:
        return NoticePage(lines, places[limit - 1], examined)
    reached = rows[0].reached_at
    if reached is None:
        return NoticePage(lines, None, examined)
    return NoticePage(lines, NoticePlace(reached, rows[0].reached_id), examined, reached)


def notices_by_id(connection: Connection, ids: Sequence[int]) -> Sequence[ListedNotice]:
    """Return these notices, those that exist; *at* is when each was made."""
    rows = connection.execute(FACTS, {"ids": ids, "behind_max": BEHIND_MAX + 1}).mappings()
    notices = {row["id"]: ListedNotice(at=row["created_at"], **row) for row in rows}
    return [notices[number] for number in ids if number in notices]


def newest_notice(
    connection: Connection, outcome: NoticeOutcome, operator: str | None
) -> Sequence[object]:
    """Return what changes when the beginning of a list does, at the cost of a line of each."""
    rows = _matching(
        connection, outcome, Selection(operator=operator), after=None, limit=1, share=1
    )
    return [tuple(row) for row in rows]


def _share(
    connection: Connection, outcome: NoticeOutcome, selection: Selection, *, limit: int
) -> int:
    """Return how many notices of each operator a page examines."""
    source = _SOURCES[outcome]
    if outcome is NoticeOutcome.TRIED and not selection.narrows:
        return TRIES_EACH * (limit + 1)
    if not (selection.narrows or source.by_attempt):
        return limit + 1
    by_attempt = source.by_attempt or selection.by_attempt
    most = EXAMINED_BY_ATTEMPT_MAX if by_attempt else EXAMINED_MAX
    if selection.answer is not None:
        most = EXAMINED_BY_ANSWER_MAX
    if source.by_operator and selection.operator is None:
        most //= max(1, connection.execute(COUNT_OPERATORS).scalar_one())
    return max(limit + 1, most)


def _matching(
    connection: Connection,
    outcome: NoticeOutcome,
    selection: Selection,
    *,
    after: NoticePlace | None,
    limit: int,
    share: int,
) -> Sequence[Row[tuple[object, ...]]]:
    """Return a row for each notice, and one without a notice if there is none."""
    is_delivered = outcome is NoticeOutcome.DELIVERED
    parameters = {
        **selection.parameters(limit),
        "share": share,
        "since": selection.since or "-infinity",
        "until": selection.until or "infinity",
        "after_at": None if after is None else after.at,
        "after_id": None if after is None else after.id,
        "ended": NoticeEnd.DELIVERED.value if is_delivered else None,
    }
    return connection.execute(_SOURCES[outcome].statement, parameters).all()


def _lines(connection: Connection, places: Sequence[NoticePlace]) -> tuple[ListedNotice, ...]:
    """Read what is shown of the notices, in their order; one that was just removed is left out."""
    if not places:
        return ()
    parameters = {"ids": [place.id for place in places], "behind_max": BEHIND_MAX + 1}
    facts = {row["id"]: row for row in connection.execute(FACTS, parameters).mappings()}
    return tuple(
        ListedNotice(at=place.at, **facts[place.id]) for place in places if place.id in facts
    )
