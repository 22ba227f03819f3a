"""Which moves of the state machine a ticket has made, as far as its history shows."""

from collections import Counter
from collections.abc import Iterator

from models.history.values import EventFact, NoticeFact, TicketHistory
from models.vocabulary import SENT_ONCE, Action, NoticeEnd, Outcome, Status

Move = tuple[Status, Status]


def moves_made(history: TicketHistory) -> Counter[Move]:
    """Count the ticket's moves from one status to the next."""
    moves = Counter(move for event in history.events for move in _of_event(event))
    moves.update(move for notice in history.notices for move in _of_create(notice))
    if history.ticket.status is Status.CLOSED:
        moves[Status.RESULTED, Status.CLOSED] += 1
    return moves


def _of_event(event: EventFact) -> Iterator[Move]:
    if event.outcome is not Outcome.APPLIED:
        return
    before, after = _status(event.status_before), _status(event.status_after)
    if before is Status.RESULTED and after is Status.RESULTED:  # a correction: rollback and result
        yield Status.RESULTED, Status.OPEN
        yield Status.OPEN, Status.RESULTED
    elif before is Status.ABSENT and after is Status.RESULTED:  # a result opened it implicitly
        yield Status.ABSENT, Status.OPEN
        yield Status.OPEN, Status.RESULTED
    elif before is not after or event.action is Action.UPDATE:
        yield before, after


def _of_create(notice: NoticeFact) -> Iterator[Move]:
    if notice.action not in SENT_ONCE or notice.repeat:
        return
    if notice.ended is NoticeEnd.DELIVERED:
        opened = Status.OPEN if notice.action is Action.CREATE else Status.RESERVED
        yield Status.NEW, opened
    elif notice.ended is NoticeEnd.REFUSED:
        yield Status.NEW, Status.CANCELLED


def _status(text: str) -> Status:
    """Return the status in `resulted/won`."""
    return Status(text.partition("/")[0])
