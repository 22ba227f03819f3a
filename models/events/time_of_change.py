"""When a ticket last changed is kept once: a plain result leaves its time to its event.

`ticket.changed_at` stands behind the details, and WAL holds all that stands between the first and
the last byte that an update changes: with it, a result that changes seven small columns would log
the details, too. So that statement leaves it alone, and `CHANGED_AT` is how to read it. What else
changes a ticket (a person, an event that does more than settle) writes it as before.

A release that reads `changed_at` alone would show the time before the result. So it is left alone
only once a person has said that none runs (`models.migrations.finalize`).
"""

from typing import Final

SINCE: Final = "0043"  # the revision whose code reads the event's time

# Of a ticket `t`. The time of an applied event is its ticket's in the same transaction; events
# stay as long as their ticket.
CHANGED_AT: Final = """greatest(t.changed_at, t.closed_at,
                    (SELECT max(applied.decided_at) FROM ticket_event applied
                      WHERE applied.ticket = t.id AND applied.outcome = 'applied'))"""
