"""The timeline of a ticket as rows of a page; the words are those of the command line."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from models.history import EventFact, Moment, NoticeFact, RefusedFact
from models.history.timeline import Ended, NoticeQueued, Tried
from models.history.words import Line, line_of
from models.vocabulary import NoticeEnd, Outcome
from worker.console.display.personal import MASK

FIRST: Final = 8  # moments that a long timeline shows at its beginning
LAST: Final = 20  # and at its end
MOMENTS_MAX: Final = 100  # on one page; more take longer to draw than anybody reads
_TONES: Final = {
    Outcome.APPLIED: "good",
    Outcome.CONFIRMED: "good",
    Outcome.PARKED: "warning",
    Outcome.SUPERSEDED: "warning",
    Outcome.REJECTED: "bad",
}
_VERDICTS: Final = {"delivered": "good", "again": "warning", "unanswered": "warning", "dead": "bad"}


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """A moment: what happened, with the attempt whose request and answer can be opened."""

    at: datetime
    line: Line
    tone: str
    repeat: bool
    attempt: tuple[int, int] | None  # notice and claim
    answer: str | None
    event: str | None  # the id of the event whose page can be opened
    begins: int | None  # the notice that this moment is the first of: links lead here
    trace: str | None  # the id of the trace that its details name


@dataclass(frozen=True, slots=True)
class FoldedTimeline:
    """A timeline whose middle is folded, if it is long."""

    first: Sequence[TimelineRow]
    middle: Sequence[TimelineRow]
    last: Sequence[TimelineRow]


def newest_moments(moments: Sequence[Moment]) -> tuple[Sequence[Moment], datetime | None]:
    """Return the newest of *moments*, and the time since when these are all of them.

    That is None if nothing is left off. What happened at the same time stays together.
    """
    if len(moments) <= MOMENTS_MAX:
        return moments, None
    since = moments[-MOMENTS_MAX].at
    newest = [moment for moment in moments if moment.at >= since]
    return newest, since if len(newest) < len(moments) else None


def fold_timeline(moments: Iterable[Moment], currency: object) -> FoldedTimeline:
    """Return the rows of *moments*, oldest first."""
    rows = [_row(moment, currency) for moment in moments]
    if len(rows) <= FIRST + LAST:
        return FoldedTimeline(rows, (), ())
    return FoldedTimeline(rows[:FIRST], rows[FIRST:-LAST], rows[-LAST:])


def _row(moment: Moment, currency: object) -> TimelineRow:
    line = line_of(moment.what, currency)
    details = line.details.replace(f"{MASK} (minor unit)", MASK)
    notice = _notice(moment)
    tried = moment.what if isinstance(moment.what, Tried) else None
    return TimelineRow(
        at=moment.at,
        line=line._replace(details=details),
        tone=_tone(moment),
        repeat=notice is not None and notice.repeat > 0,
        attempt=None if tried is None else (tried.notice.id, tried.attempt.claim),
        answer=None if tried is None else tried.attempt.answer,
        event=moment.what.event_id if isinstance(moment.what, EventFact) else None,
        begins=notice.id if notice and isinstance(moment.what, NoticeQueued) else None,
        trace=_trace(moment),
    )


def _trace(moment: Moment) -> str | None:
    match moment.what:
        case EventFact(trace_id=trace):
            return trace
        case NoticeQueued(notice) if notice.event_id is None:
            return notice.trace_id
        case _:
            return None


def _notice(moment: Moment) -> NoticeFact | None:
    match moment.what:
        case Tried(notice) | Ended(notice) | NoticeQueued(notice):
            return notice
        case _:
            return None


def _tone(moment: Moment) -> str:
    match moment.what:
        case EventFact(outcome=outcome):
            return _TONES.get(outcome, "neutral")
        case Tried(attempt=attempt):
            return _VERDICTS.get(attempt.verdict, "neutral")
        case Ended(notice) if notice.ended is NoticeEnd.NOT_WANTED:
            return "neutral"
        case Ended(notice):
            return "bad" if notice.ended is NoticeEnd.DEAD else "warning"
        case RefusedFact():
            return "bad"
        case _:
            return "neutral"
