"""The life of a ticket written a second time, as simply as it can be.

Knows nothing of queues, clocks or the code it judges: given what truly happened, in its true
order, it says where the ticket must end and what its partner must have been told.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

RESULTS = {
    "ticket_win": "won",
    "ticket_lost": "lost",
    "ticket_void": "void",
    "ticket_refund": "refunded",
}


@dataclass(frozen=True, slots=True)
class Truth:
    """One statement: what happened, with what money, and whether it corrects the one before."""

    action: str
    amounts: tuple[tuple[str, Any], ...] = ()
    correction: bool = False


@dataclass(frozen=True, slots=True)
class Ideal:
    """Where it ends. *lawful*: no statement contradicts those before it."""

    status: str
    result: str
    told: tuple[str, ...]
    lawful: bool


def ideal(  # noqa: C901 - the table of a ticket's life, one line for each of its rows
    statements: Iterable[Truth], *, announced: bool = False
) -> Ideal:
    """Take *statements* in their true order; the partner says yes to everything."""
    status, standing, lawful = "absent", None, True
    told: list[str] = []
    for one in statements:
        stands = status == "resulted"
        if one.action == "ticket_open" and status == "absent":
            status = "open"
        elif one.action in ("ticket_create", "ticket_reserve") and status == "absent":
            status = "open" if one.action == "ticket_create" else "reserved"
            told.append(one.action)
        elif one.action == "ticket_paid" and status == "reserved":
            status = "open"
        elif one.action == "ticket_discard" and status in ("absent", "reserved"):
            status = "cancelled"
            told.append(one.action)
        elif one.action == "ticket_update" and status in ("open", "reserved"):
            told.append(one.action)
        elif one.action == "ticket_rollback" and stands:
            status, standing = "open", None
            told.append(one.action)
        elif one.action in RESULTS and (status == "open" or (status == "absent" and not announced)):
            status, standing = "resulted", (one.action, one.amounts)
            told.append(one.action)
        elif one.action in RESULTS and stands and standing == (one.action, one.amounts):
            pass  # the same again
        elif one.action in RESULTS and stands and one.correction:
            standing = (one.action, one.amounts)
            told += ["ticket_rollback", one.action]
        else:
            lawful = False
    result = "pending" if standing is None else RESULTS[standing[0]]
    if status == "resulted":
        status = "closed"
        told.append("ticket_closed")
    return Ideal(status, result, tuple(told), lawful)
