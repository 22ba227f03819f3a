"""Counts what the end of a partnership would end, at a bounded cost."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, text

COUNTED_MAX: Final = 100_000  # a greater number is shown as this one

# Each count reads the index that is made for it. Of a ticket's waiting notices only the head has
# one, so tickets are counted, not all that wait behind their heads.
COUNT: Final = text("""
    SELECT (SELECT count(*) FROM (
               SELECT FROM ticket t
                WHERE (t.operator, t.id) > (:operator, 0) AND t.operator <= :operator
                  AND t.closed_at IS NULL AND t.cancelled_at IS NULL
                ORDER BY t.operator, t.id LIMIT :limit) unended) AS tickets,
           heads.waiting, heads.in_flight,
           (SELECT count(*) FROM (
               SELECT FROM notice n
                WHERE n.operator = :operator AND n.ended = 'dead' LIMIT :limit) ended) AS dead
      FROM (SELECT count(*) AS waiting,
                   count(*) FILTER (WHERE first.leased_until > :now) AS in_flight
              FROM (SELECT n.leased_until FROM notice n
                     WHERE n.operator = :operator AND n.head AND n.ended IS NULL
                     LIMIT :limit) first) heads""")


@dataclass(frozen=True, slots=True)
class PartnershipCounts:
    """What of an operator has not ended; each count stops at 100,000.

    *tickets*: neither closed nor cancelled. *waiting*: tickets with a notice to be sent, of which
    *in_flight* are being sent. *dead*: notices that wait for a person.
    """

    tickets: int
    waiting: int
    in_flight: int
    dead: int

    def as_facts(self) -> dict[str, int]:
        """Return the counts as the record of a change holds them."""
        return asdict(self)


def count_partnership(connection: Connection, operator: int, *, now: datetime) -> PartnershipCounts:
    """Count what of *operator*, by its id, has not ended."""
    row = connection.execute(COUNT, {"operator": operator, "now": now, "limit": COUNTED_MAX}).one()
    return PartnershipCounts(
        tickets=row.tickets, waiting=row.waiting, in_flight=row.in_flight, dead=row.dead
    )
