"""A ticket's story for people: what happened, what it waits for, and when it closes.

`values` are the facts, `reading` fetches them, `public` leaves out what is not for publishers,
`sentence` answers "why is this ticket not closed?",
`timeline` puts everything in time order.
"""

from models.story.public import public
from models.story.reading import read_stories
from models.story.sentence import why_not_closed
from models.story.timeline import Moment, timeline
from models.story.values import (
    AttemptFact,
    CausedNotice,
    EventFact,
    InterventionFact,
    NoticeFact,
    RefusedFact,
    Story,
    TicketFact,
)

__all__ = [
    "AttemptFact",
    "CausedNotice",
    "EventFact",
    "InterventionFact",
    "Moment",
    "NoticeFact",
    "RefusedFact",
    "Story",
    "TicketFact",
    "public",
    "read_stories",
    "timeline",
    "why_not_closed",
]
