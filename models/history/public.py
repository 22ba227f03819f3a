"""Leaves out of a history what publishers must not see: the partner's responses, and people.

A publisher's key may be bound to no operator, or be one of several of the same operator. So what
a partner responded, who did something by hand and why, and who the player is stay internal.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from models.events.format import DATA_NAMES
from models.history.values import (
    AttemptFact,
    EventFact,
    NoticeFact,
    TicketFact,
    TicketHistory,
)
from models.vocabulary import NoticeEnd

# An unknown field may hold anything, even a name or an address.
SHOWN_DATA: Final = DATA_NAMES.known - {"player_id"}


def public(history: TicketHistory) -> TicketHistory:
    """Return *history* for publishers: without the partner's responses, people and the player."""
    return replace(
        history,
        ticket=_ticket(history.ticket),
        events=tuple(map(_event, history.events)),
        notices=tuple(_notice(notice, cut=history.cut) for notice in history.notices),
        interventions=(),
    )


def _ticket(ticket: TicketFact) -> TicketFact:
    """Leave out the player, and what the partner responded when its circuit opened."""
    circuit = None if ticket.circuit is None else replace(ticket.circuit, reason=None)
    return replace(ticket, details=_shown(ticket.details), circuit=circuit)


def _shown(data: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in data.items() if name in SHOWN_DATA}


def _event(event: EventFact) -> EventFact:
    return replace(event, data=_shown(event.data), message=None)


def _notice(notice: NoticeFact, *, cut: bool) -> NoticeFact:
    attempts = tuple(map(_attempt, notice.attempts))
    reason = _reason(notice, cut=cut)
    return replace(notice, reason=reason, attempts=attempts, asked_for_by=None)


def _attempt(attempt: AttemptFact) -> AttemptFact:
    return replace(attempt, answer=None, remarks=None, sent_at=None, remote_address=None)


def _reason(notice: NoticeFact, *, cut: bool) -> str | None:
    """Return why it ended; of a refusal, what the attempt met, without the wallet's own message.

    The reason of a notice that was withdrawn, not wanted, or never tried, is Slipway's own text.
    *cut*: its attempts may be among those that are not shown.
    """
    if notice.reason is None or notice.ended in (NoticeEnd.WITHDRAWN, NoticeEnd.NOT_WANTED):
        return notice.reason
    if not notice.attempts:
        return None if cut else notice.reason
    problem = notice.attempts[-1].problem or ""
    ours = {problem, f"{notice.reason.partition('; at last: ')[0]}; at last: {problem}"}
    return notice.reason if notice.reason in ours else problem or None
