"""Finds what stays of tickets that ended and were removed (rule 29)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple
from unicodedata import normalize

from sqlalchemy import Connection, Row, text

from models.platform.timestamps import format_timestamp

TicketKey = tuple[int, str]

OF_KEYS: Final = text("""
    SELECT r.operator, r.ticket_id, r.ended_at, r.erased
      FROM unnest(CAST(:operators AS int[]), CAST(:ticket_ids AS text[]))
               AS key(operator, ticket_id)
     CROSS JOIN LATERAL (SELECT * FROM tombstone
                          WHERE operator = key.operator AND ticket_id = key.ticket_id
                         OFFSET 0) r""")
OF_TICKET: Final = text("""
    SELECT o.code, r.ended_at, r.erased
      FROM operator o
     CROSS JOIN LATERAL (SELECT * FROM tombstone
                          WHERE operator = o.id AND ticket_id = :ticket_id OFFSET 0) r
     WHERE o.code = :operator OR CAST(:operator AS text) IS NULL
     ORDER BY o.code LIMIT :limit""")
SHOWN_MAX: Final = 10  # operators that used the same ticket id


class RemovedTicket(NamedTuple):
    """What is known of a ticket that was removed."""

    ended_at: datetime
    erased: bool  # what identified its player was blanked (rule 25)

    def refusal(self, operator: str, ticket_id: str) -> str:
        """Say why no event of it is applied any more."""
        ended = format_timestamp(self.ended_at, "seconds")
        return (
            f"ticket {ticket_id} of {operator} ended at {ended} and was removed"
            " (SLIPWAY_RETENTION): nothing of it is applied any more"
        )


def removed_of_row(row: Row[Any]) -> RemovedTicket:
    """Return the removed ticket in a row with `ended_at` and `erased`."""
    return RemovedTicket(row.ended_at, bool(row.erased))


def removed_among(
    connection: Connection, keys: Mapping[str, str]
) -> dict[TicketKey, RemovedTicket]:
    """Return those of *keys*, as the parameters of `OF_KEYS`, whose tickets were removed."""
    rows = connection.execute(OF_KEYS, keys)
    return {(row.operator, row.ticket_id): removed_of_row(row) for row in rows}


def why_removed(
    connection: Connection, ticket_id: str, *, operator: str | None = None
) -> str | None:
    """Say when the ticket ended if it was removed, of one operator or of any; else None."""
    normal = normalize("NFC", ticket_id)  # as all ids are stored
    parameters = {"operator": operator, "ticket_id": normal, "limit": SHOWN_MAX}
    rows = connection.execute(OF_TICKET, parameters).all()
    return "; ".join(removed_of_row(row).refusal(row.code, normal) for row in rows) or None
