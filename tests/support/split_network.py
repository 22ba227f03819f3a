"""Two delivery processes that cannot reach each other: one is cut off, then the other frozen.

The first one is cut off from the database with the partner's answers in hand; its leases run out,
and the other repeats its calls. That one is frozen on the line with a call, while the first one
comes back and records what it knows.
"""

from dataclasses import dataclass
from typing import Any, Final

from models.outbox.attempts import ATTEMPTS
from producers.simulation.partner import (
    Behaviour,
    CloseWithoutAnswer,
    Hang,
    HangMidBody,
    LedgerEntry,
    Respond,
)
from tests.support.deliver_pair import Pair

REFUSED: Final = Respond(409)
LATE: Final = Respond(seconds=1.0)  # there is time to cut the line of the one that waits for it
# What the partner does with the first call of each ticket, and with its repeat by the other.
PARTED: Final[dict[str, tuple[Behaviour, Behaviour]]] = {
    "revived": (LATE, REFUSED),
    "held": (LATE, Hang()),
    "unheard": (LATE, CloseWithoutAnswer(taken=True)),
    "clocked": (LATE, Respond()),
    "doubtful": (HangMidBody(), REFUSED),  # it has it, but never said so in whole
}
KNOWN_LATE: Final = [name for name, (first, _) in PARTED.items() if first is LATE]
WINS: Final = f"""
    SELECT t.ticket_id, a.claim, a.verdict, a.recorded_at,
           CAST(coalesce(d.xmin, n.xmin) AS text) AS written_by
      FROM {ATTEMPTS} a JOIN notice n ON n.id = a.notice JOIN ticket t ON t.id = n.ticket
      LEFT JOIN delivery_attempt d ON d.notice = a.notice AND d.claim = a.claim
     WHERE n.action = 'ticket_win'"""  # noqa: S608 - a constant
NOTICES: Final = """
    SELECT t.ticket_id, n.id, n.action, n.ended, n.head, n.due_at, n.leased_until,
           n.perhaps_delivered, CAST(n.xmin AS text) AS written_by
      FROM notice n JOIN ticket t ON t.id = n.ticket ORDER BY n.ticket, n.number"""
TICKETS: Final = "SELECT ticket_id, close_due_at, CAST(xmin AS text) AS written_by FROM ticket"


class NetworkRecords:
    """What stands in the database at one moment. *written_by*: the transaction."""

    def __init__(self, pair: Pair) -> None:
        self.tickets = {row.ticket_id: row for row in pair.delivery.rows(TICKETS)}
        self._notices = pair.delivery.rows(NOTICES)
        self._wins = pair.delivery.rows(WINS)

    def notices(self, *tickets: str) -> list[Any]:
        """The notices of these tickets, in their order."""
        return [row for row in self._notices if row.ticket_id in tickets]

    def ends(self, *tickets: str) -> list[str | None]:
        """How they ended."""
        return [row.ended for row in self.notices(*tickets)]

    def attempts(self, *tickets: str) -> dict[tuple[str, int], Any]:
        """What came of each claim of a win of these tickets, by ticket and number of the claim."""
        return {(row.ticket_id, row.claim): row for row in self._wins if row.ticket_id in tickets}


@dataclass(frozen=True, slots=True)
class Parted:
    """The run, by the records and by the partner.

    *between*: the first one's answers are not recorded yet. *after*: they just were.
    """

    pair: Pair
    between: NetworkRecords
    after: NetworkRecords
    end: NetworkRecords
    calls: dict[str, list[LedgerEntry]]  # by ticket, up to the end of the run

    def sent_about(self, ticket: str) -> list[str]:
        """What the partner was sent about a ticket, in order: `win` for `ticket_win`."""
        return [(call.action or "").removeprefix("ticket_") for call in self.calls[ticket]]

    def verdicts(self, ticket: str) -> list[str]:
        """What came of the first one's claim, and of the other's."""
        attempts = self.end.attempts(ticket)
        return [attempts[ticket, claim].verdict for claim in (1, 2)]


def part(pair: Pair) -> Parted:
    """Run it."""
    for ticket, behaviours in PARTED.items():
        pair.answers(ticket, *behaviours)
    pair.second.line.cut()
    pair.publish("win", tickets=["clocked"])
    pair.publish("win", "rollback", tickets=[ticket for ticket in PARTED if ticket != "clocked"])
    pair.wait_for(lambda: len(pair.calls(*PARTED)) == len(PARTED))
    pair.first.line.cut()
    pair.second.line.restore()
    pair.wait_for(lambda: all(call.answered_at for call in pair.calls(*KNOWN_LATE)))

    all_but_the_one_that_hangs = len(PARTED) - 1
    pair.wait_for(lambda: _recorded(pair) >= all_but_the_one_that_hangs)
    pair.freeze(pair.second)
    between = NetworkRecords(pair)

    pair.first.line.restore()
    pair.wait_for(lambda: _recorded(pair) >= all_but_the_one_that_hangs + len(PARTED))
    after = NetworkRecords(pair)
    pair.wait_for(lambda: len(pair.calls("held")) > len(PARTED["held"]))
    pair.second.thaw()
    pair.wait_for(lambda: _recorded(pair) >= 2 * len(PARTED))
    pair.wait_for(
        lambda: not any(row.head and not row.ended for row in NetworkRecords(pair).notices(*PARTED))
    )
    calls = {ticket: pair.calls(ticket) for ticket in PARTED}
    return Parted(pair, between, after, NetworkRecords(pair), calls)


def _recorded(pair: Pair) -> int:
    """How many of the calls about their wins are over, and written down."""
    return sum(row.ticket_id in PARTED for row in pair.delivery.rows(WINS))
