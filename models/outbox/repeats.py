"""Decides what of a ticket goes out once more when a person has it sent again (rule 22)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from models.lifecycle.ticket import TicketState, refused_since
from models.outbox.dead_letters import NotPossible
from models.vocabulary import SENT_ONCE, Action, NoticeEnd

SENT_AGAIN: Final = "notices_sent_again"  # the act, as its intervention names it
_DEBITS = "it would debit the player a second time"
_UNSENDABLE = "the partner's protocol has no such call, so it was never sent"
_ENDED = {
    NoticeEnd.REFUSED: "the partner refused it",
    NoticeEnd.SKIPPED: "it was skipped",
    NoticeEnd.WITHDRAWN: "it was withdrawn",
    NoticeEnd.NOT_WANTED: "the partner did not want it, so it was never sent",
}


class StillUnfinished(NotPossible):
    """Notices of the ticket are undelivered or dead: sending again waits for them."""


class NothingToRepeat(NotPossible):
    """Nothing in the chosen range may be sent again."""


class BodyErased(NotPossible):
    """What was sent was erased with the player's data (rule 25)."""


class BodyRemoved(NotPossible):
    """What was sent was removed when the partner's time for that was over (rule 28)."""


@dataclass(frozen=True, slots=True)
class PastNotice:
    """A notice of a ticket as it ended; *repeat* is 0 for an original."""

    id: int
    number: int
    action: Action
    generation: int
    repeat: int
    ended: NoticeEnd | None
    reason: str | None
    has_body: bool


@dataclass(frozen=True, slots=True)
class Repeat:
    """A notice to be added: the *original* once more, as its repeat number *repeat*."""

    original: PastNotice
    number: int
    repeat: int


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A notice in the chosen range that does not go out again, and why."""

    number: int
    action: Action
    why: str


@dataclass(frozen=True, slots=True)
class RepeatPlan:
    """What is added to the ticket, in order, and what of the chosen range is not."""

    repeats: tuple[Repeat, ...]
    left_out: tuple[LeftOut, ...]


def original_of(notices: Sequence[PastNotice], chosen: PastNotice) -> PastNotice:
    """Return the notice that *chosen* repeats, or itself if it is an original."""
    return next(
        notice
        for notice in notices
        if (notice.action, notice.generation, notice.repeat)
        == (chosen.action, chosen.generation, 0)
    )


def plan_repeats(ticket: TicketState, notices: Sequence[PastNotice], *, first: int) -> RepeatPlan:
    """Decide which of *notices*, all of the ticket's, go out again from number *first* on.

    Raises StillUnfinished while a notice is undelivered or dead, and NotPossible if nothing can go
    out, or if something would be missing in between: a partner that lost what came after *first*
    ends where the ticket stands only if it gets all of it.
    """
    if ticket.terms.ended_at is not None:  # before the wait, which would have no end (rule 24)
        raise NotPossible(f"{refused_since(ticket.terms)}: nothing is sent again")
    _check_finished(ticket, notices)
    made = Counter((notice.action, notice.generation) for notice in notices if notice.repeat)
    repeats: list[Repeat] = []
    left_out: list[LeftOut] = []
    for notice in notices:
        if notice.number < first or notice.repeat:
            continue
        if (why := _why_not(notice, bodies_removed=ticket.bodies_removed)) is not None:
            left_out.append(LeftOut(notice.number, notice.action, why))
            continue
        number = ticket.notices + len(repeats) + 1
        repeats.append(Repeat(notice, number, made[notice.action, notice.generation] + 1))
    if not repeats:
        raise NothingToRepeat(
            f"nothing of ticket {ticket.ticket_id} of {ticket.terms.code} can be sent again"
            + "".join(f"; {each.action} (number {each.number}): {each.why}" for each in left_out)
        )
    _check_bodies(ticket, [repeat.original for repeat in repeats])
    return RepeatPlan(tuple(repeats), tuple(left_out))


def _check_bodies(ticket: TicketState, originals: Sequence[PastNotice]) -> None:
    gone = next((original for original in originals if not original.has_body), None)
    if gone is None:
        return
    which = (
        f"{gone.action} (number {gone.number}) of ticket {ticket.ticket_id} of {ticket.terms.code}"
        " cannot be sent again: its body was"
    )
    advice = (
        "what was signed and sent is not built a second time; tell the partner how the ticket"
        " stands"
    )
    if ticket.bodies_removed and not ticket.erased:
        raise BodyRemoved(
            f"{which} removed when the time was over for which its partner's bodies are kept"
            f" (keep_bodies), and {advice}"
        )
    raise BodyErased(f"{which} erased with the player's data, and {advice}")


def _check_finished(ticket: TicketState, notices: Sequence[PastNotice]) -> None:
    unfinished = [notice for notice in notices if notice.ended in (None, NoticeEnd.DEAD)]
    if not unfinished:
        return
    head = unfinished[0]
    state = "is dead: retry or skip it" if head.ended else "has not been delivered yet"
    raise StillUnfinished(
        f"{head.action} (number {head.number}) of ticket {ticket.ticket_id} of"
        f" {ticket.terms.code} {state}; sending again waits until nothing of the ticket is"
        " unfinished"
    )


def _why_not(notice: PastNotice, *, bodies_removed: bool) -> str | None:
    """Return why a finished original is left out, or None if it goes out again.

    *bodies_removed*: whether it was sent cannot be told any more by its body.
    """
    if notice.ended is not NoticeEnd.DELIVERED:
        assert notice.ended in _ENDED, "a finished notice has one of these ends"
        return _ENDED[notice.ended]
    if notice.action in SENT_ONCE:
        return _DEBITS
    # A person skipped it as delivered.
    if not notice.has_body and notice.reason is not None and not bodies_removed:
        return _UNSENDABLE
    return None
