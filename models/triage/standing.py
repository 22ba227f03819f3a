"""How a ticket, or a notice of it, stands: in a few words that differ once it has changed.

A page shows them and an act sends them along. `require_standing` compares under the ticket's lock,
so nobody acts on something that another person, the partner or the sweep has changed since then.
"""

from datetime import datetime
from typing import Final, Protocol
from unicodedata import normalize

from sqlalchemy import Connection, text

from models.outbox.dead_letters import ChangedMeanwhile, NotPossible
from models.platform.timestamps import format_timestamp
from models.tickets.load import lock_by_id
from models.vocabulary import Result, Status

FIND_TICKET: Final = text("""
    SELECT t.id FROM ticket t JOIN operator o ON o.id = t.operator
     WHERE o.code = :operator AND t.ticket_id = :ticket_id""")
NOTICE: Final = text("""
    SELECT n.ended, n.ended_at FROM notice n WHERE n.id = :notice AND n.ticket = :ticket""")


class Standing(Protocol):
    """What is compared; a locked ticket has it, and the facts that a page shows."""

    @property
    def status(self) -> Status:
        """The ticket's status."""

    @property
    def result(self) -> Result:
        """Its result."""

    @property
    def generation(self) -> int:
        """How many results it has had."""

    @property
    def unfinished(self) -> int:
        """Notices that the partner has not accepted."""

    @property
    def parked(self) -> int:
        """Events that wait."""

    @property
    def on_hold_at(self) -> datetime | None:
        """Since when a person holds it."""


def standing_of(ticket: Standing) -> str:
    """Describe how *ticket* stands: `resulted/won (result 2), 1 notice unfinished, on hold`."""
    result = "" if ticket.result is Result.PENDING else f"/{ticket.result}"
    words = [f"{ticket.status}{result} (result {ticket.generation})"]
    if ticket.unfinished:
        words.append(f"notices unfinished: {ticket.unfinished}")
    if ticket.parked:
        words.append(f"events parked: {ticket.parked}")
    if ticket.on_hold_at is not None:
        words.append(f"on hold since {format_timestamp(ticket.on_hold_at)}")
    return ", ".join(words)


def standing_of_notice(ended: str | None, ended_at: datetime | None) -> str:
    """Describe how a notice stands: `dead since …`; one that died again has died later."""
    if ended is None or ended_at is None:
        return "not delivered yet"
    return f"{ended} since {format_timestamp(ended_at, 'microseconds')}"


def require_standing(
    connection: Connection,
    operator: str,
    ticket_id: str,
    seen: str,
    *,
    notice: int | None = None,
) -> int:
    """Lock the ticket and raise ChangedMeanwhile unless it, or its *notice*, stands as *seen*.

    Returns the id of its row, whose lock is kept until the caller's transaction ends.
    """
    key = {"operator": operator, "ticket_id": normalize("NFC", ticket_id)}
    row: int | None = connection.execute(FIND_TICKET, key).scalar_one_or_none()
    locked = {} if row is None else lock_by_id(connection, [row])
    if row is None or row not in locked:
        raise ChangedMeanwhile(f"ticket {ticket_id} of {operator} is gone: it was removed.")
    if notice is None:
        what, present = f"ticket {ticket_id}", standing_of(locked[row])
    else:
        row_of_notice = connection.execute(NOTICE, {"notice": notice, "ticket": row}).one_or_none()
        if row_of_notice is None:
            raise ChangedMeanwhile(f"ticket {ticket_id} of {operator} has no notice {notice}.")
        what, present = (
            f"notice {notice}",
            standing_of_notice(row_of_notice.ended, row_of_notice.ended_at),
        )
    if present != seen:
        raise ChangedMeanwhile(
            f"When you opened the page, {what} was {seen}; now it is {present}. Reload the page and"
            " decide again."
        )
    return row


def require_notice_of(connection: Connection, ticket: int, notice: int) -> None:
    """Raise NotPossible if *notice* is of another ticket than the one that was shown."""
    row_of_notice = connection.execute(NOTICE, {"notice": notice, "ticket": ticket}).one_or_none()
    if row_of_notice is None:
        raise NotPossible(f"This ticket has no notice {notice}.")
