"""A story without what is not a publisher's to read: the partner's words, and people.

A publisher's key may be bound to no operator, or be one of several of the same operator. So what
a partner answered, who did something by hand and why, and who the player is stay inside.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from models.events.format import DATA_NAMES
from models.history.values import AttemptFact, EventFact, NoticeFact, TicketHistory
from models.vocabulary import NoticeEnd

# A field nobody knows may hold anything, a name or an address too.
SHOWN_DATA: Final = DATA_NAMES.known - {"player_id"}


def public(story: TicketHistory) -> TicketHistory:
    """*story* for publishers: none of the partner's words, no person, no player."""
    return replace(
        story,
        ticket=replace(story.ticket, details=_shown(story.ticket.details)),
        events=tuple(map(_event, story.events)),
        notices=tuple(_notice(one, cut=story.cut) for one in story.notices),
        interventions=(),
    )


def _shown(data: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in data.items() if name in SHOWN_DATA}


def _event(event: EventFact) -> EventFact:
    return replace(event, data=_shown(event.data), message=None)


def _notice(notice: NoticeFact, *, cut: bool) -> NoticeFact:
    attempts = tuple(map(_attempt, notice.attempts))
    return replace(notice, reason=_reason(notice, cut=cut), attempts=attempts)


def _attempt(attempt: AttemptFact) -> AttemptFact:
    return replace(attempt, answer=None, remarks=None)


def _reason(notice: NoticeFact, *, cut: bool) -> str | None:
    """Why it ended as it did; of a refusal, what the attempt met, without the wallet's words.

    What is withdrawn, and what was never tried, has a reason in words of ours alone. *cut*: its
    attempts may be among those that are not shown.
    """
    if notice.reason is None or notice.ended is NoticeEnd.WITHDRAWN:
        return notice.reason
    if not notice.attempts:
        return None if cut else notice.reason
    problem = notice.attempts[-1].problem or ""
    ours = {problem, f"{notice.reason.partition('; at last: ')[0]}; at last: {problem}"}
    return notice.reason if notice.reason in ours else problem or None
