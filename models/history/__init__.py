"""A ticket's story for people: what happened, what it waits for, and when it closes.

`values` are the facts, `reading` fetches them, `public` leaves out what is not for publishers,
`sentence` answers "why is this ticket not closed?",
`timeline` puts everything in time order.
"""

from models.history.explain import why_not_closed
from models.history.load import load_histories
from models.history.public import public
from models.history.timeline import Moment, timeline
from models.history.values import (
    AttemptFact,
    CausedNotice,
    EventFact,
    InterventionFact,
    NoticeFact,
    RefusedFact,
    TicketFact,
    TicketHistory,
)

__all__ = [
    "AttemptFact",
    "CausedNotice",
    "EventFact",
    "InterventionFact",
    "Moment",
    "NoticeFact",
    "RefusedFact",
    "TicketFact",
    "TicketHistory",
    "load_histories",
    "public",
    "timeline",
    "why_not_closed",
]
