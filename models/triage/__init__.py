"""Triage: resolutions of events that were refused or wait, and of dead notices.

`queries`, `waiting` and `notice_lists` read; `events`, `raw_input` and `notices` change, each under
the ticket's lock and together with the record of who did it and why (`resolutions`); so do
`send_again`, with what was delivered, `hold`, for a ticket as a whole, and `by_hand`, with an event
of the person's own. `standing` says whether something has changed since a person saw it,
`sentences` what an act does or did, and `values` is what passes between them and a screen.
"""

from models.outbox.dead_letters import NotPossible, Resolution
from models.triage.by_hand import (
    BY_HAND,
    InvalidStatement,
    PublishedEvent,
    Statement,
    publish_by_hand,
)
from models.triage.events import drop_events, retry_events
from models.triage.hold import (
    HeldTicket,
    HoldRefused,
    ReleasedTicket,
    TicketOnHold,
    hold_ticket,
    list_on_hold,
    release_ticket,
)
from models.triage.notice_lists import (
    BEHIND_MAX,
    ListedNotice,
    NoticeOutcome,
    NoticePage,
    list_notices,
    newest_notice,
    notices_by_id,
)
from models.triage.notices import choose_dead, find_dead, list_dead, resolve_dead
from models.triage.queries import (
    NEEDING_A_PERSON,
    choose_events,
    choose_raw,
    find_events,
    find_raw,
    find_raw_by_event_id,
    list_events,
    list_raw,
    list_rejected,
)
from models.triage.raw_input import drop_raw, retry_raw
from models.triage.send_again import send_many_again, send_notices_again
from models.triage.sentences import WILL_RESOLVE_MANY
from models.triage.together import resolve_together
from models.triage.values import (
    DeadNotice,
    DeadNoticeHistory,
    EventKey,
    EventResolution,
    Listed,
    LoggedEvent,
    NoticeKey,
    NoticePlace,
    RawInput,
    ResolvedNotice,
    ResolvedTogether,
    Selection,
)
from models.triage.waiting import (
    UNENDED,
    InvalidPlace,
    Page,
    UndeliveredNotice,
    UnendedTicket,
    list_undelivered,
    list_unended,
)

__all__ = [
    "BEHIND_MAX",
    "BY_HAND",
    "NEEDING_A_PERSON",
    "UNENDED",
    "WILL_RESOLVE_MANY",
    "DeadNotice",
    "DeadNoticeHistory",
    "EventKey",
    "EventResolution",
    "HeldTicket",
    "HoldRefused",
    "InvalidPlace",
    "InvalidStatement",
    "Listed",
    "ListedNotice",
    "LoggedEvent",
    "NotPossible",
    "NoticeKey",
    "NoticeOutcome",
    "NoticePage",
    "NoticePlace",
    "Page",
    "PublishedEvent",
    "RawInput",
    "ReleasedTicket",
    "Resolution",
    "ResolvedNotice",
    "ResolvedTogether",
    "Selection",
    "Statement",
    "TicketOnHold",
    "UndeliveredNotice",
    "UnendedTicket",
    "choose_dead",
    "choose_events",
    "choose_raw",
    "drop_events",
    "drop_raw",
    "find_dead",
    "find_events",
    "find_raw",
    "find_raw_by_event_id",
    "hold_ticket",
    "list_dead",
    "list_events",
    "list_notices",
    "list_on_hold",
    "list_raw",
    "list_rejected",
    "list_undelivered",
    "list_unended",
    "newest_notice",
    "notices_by_id",
    "publish_by_hand",
    "release_ticket",
    "resolve_dead",
    "resolve_together",
    "retry_events",
    "retry_raw",
    "send_many_again",
    "send_notices_again",
]
