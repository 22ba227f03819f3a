"""Ways out for what needs a person: events that were refused or wait, dead notices.

`listing`, `finding` and `waiting` read; `events`, `raw` and `notices` change, each under the
ticket's lock and together with the record of who did it and why. `values` is what passes between
them and a screen.
"""

from models.outbox.dead_letters import NotPossible, Resolution
from models.triage.events import drop_events, retry_events
from models.triage.find import find_events, find_raw, raw_naming
from models.triage.listing import (
    NEEDING_A_PERSON,
    choose_events,
    choose_raw,
    list_events,
    list_raw,
    list_rejected,
)
from models.triage.notices import choose_dead, find_dead, free_dead, list_dead
from models.triage.raw_input import drop_raw, retry_raw
from models.triage.values import (
    DeadNotice,
    DeadNoticeStory,
    EventKey,
    EventResolution,
    FreedNotice,
    Listed,
    LoggedEvent,
    NoticeKey,
    RawInput,
    Selection,
)
from models.triage.waiting import (
    UNENDED,
    NoPlace,
    OwedNotice,
    Page,
    UnendedTicket,
    list_owed,
    list_unended,
)

__all__ = [
    "NEEDING_A_PERSON",
    "UNENDED",
    "DeadNotice",
    "DeadNoticeStory",
    "EventKey",
    "EventResolution",
    "FreedNotice",
    "Listed",
    "LoggedEvent",
    "NoPlace",
    "NotPossible",
    "NoticeKey",
    "OwedNotice",
    "Page",
    "RawInput",
    "Resolution",
    "Selection",
    "UnendedTicket",
    "choose_dead",
    "choose_events",
    "choose_raw",
    "drop_events",
    "drop_raw",
    "find_dead",
    "find_events",
    "find_raw",
    "free_dead",
    "list_dead",
    "list_events",
    "list_owed",
    "list_raw",
    "list_rejected",
    "list_unended",
    "raw_naming",
    "retry_events",
    "retry_raw",
]
