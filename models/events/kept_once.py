"""What an event says and its ticket keeps as well is kept once: with the ticket.

An event's row has its data without the ticket's key; the one that made its ticket, also without the
details that the ticket was inserted with. `ticket_event.left_out` says what is left out, so data is
read together with it: by `whole_data`, or by SQL that says the same. Four things keep that right:

- What is left out is in the ticket with the very same value, and nothing that stays has its name.
- Before a ticket's details change, its events are made whole (`models.tickets.save`). An erasure
  need not: it keeps the same of the details as of the data (`models.events.kept_data`).
- Only an applied event leaves something out, as a constraint says: what may be decided again, or
  retried, has its data whole.
- Nothing is left out before a person has said that no process is older than the code that reads
  it (`models.migrations.finalize`): one that is would take a repeat for a reused id.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from models.events.kept_data import KEY_FIELDS
from models.vocabulary import LeftToTicket

SINCE: Final = "0041"  # the revision whose code reads what is left out
_MISSING: Final = object()


class KeptEvent(NamedTuple):
    """The data that an event's row keeps, and what is left out of it."""

    data: dict[str, Any]
    left_out: LeftToTicket | None


def kept_once(
    data: dict[str, Any], *, operator: str, ticket_id: str, details: Mapping[str, Any]
) -> KeptEvent:
    """Return what the row of an applied event keeps of *data*.

    *operator* and *ticket_id* are its ticket's. *details* are those that its ticket is inserted
    with in the same transaction; none, if the ticket was there before.
    """
    if data.get("operator") != operator or data.get("ticket_id") != ticket_id:
        return KeptEvent(data, None)
    # By identity: to Python 1 equals true and 1.0, to JSON they are three values.
    if details and all(data.get(name, _MISSING) is value for name, value in details.items()):
        return KeptEvent(_without(data, {*KEY_FIELDS, *details}), LeftToTicket.DETAILS)
    return KeptEvent(_without(data, KEY_FIELDS), LeftToTicket.KEY)


def whole_data(
    kept: object, left_out: str | None, *, operator: str, ticket_id: str, details: object
) -> Any:  # noqa: ANN401 - JSON, which may be damaged
    """Return the data of an event from what its row has, with its ticket's key and *details*.

    Its names stand in the order in which jsonb has them.
    """
    if left_out is None or not isinstance(kept, dict):
        return kept
    of_ticket = details if left_out == LeftToTicket.DETAILS and isinstance(details, dict) else {}
    whole = {"operator": operator, "ticket_id": ticket_id, **of_ticket, **kept}
    return dict(sorted(whole.items(), key=_place_in_jsonb))


def _without(data: Mapping[str, Any], names: "set[str] | tuple[str, ...]") -> dict[str, Any]:
    return {name: value for name, value in data.items() if name not in names}


def _place_in_jsonb(member: tuple[str, Any]) -> tuple[int, bytes]:
    name = member[0].encode()
    return len(name), name
