"""A ticket's history for people: what happened, what it waits for, and when it closes.

`values` holds the facts, `load` reads them, `public` leaves out what publishers must not see,
`explain` answers "why is this ticket not closed?", and `timeline` puts everything in time order.
`event_log` finds events for their publishers, and `outcomes` counts how published events ended.
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
