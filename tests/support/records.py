"""Reading what the database holds about tickets, and checking that it agrees with itself."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine, Row, text

from models.events.kept_once import whole_data
from models.notices.short_body import WHOLE_BODY
from models.outbox.attempts import ATTEMPTS
from models.tables import Notice
from tests.support.harness import OPERATOR

TICKET = text("""
    SELECT t.* FROM ticket t JOIN operator o ON o.id = t.operator
     WHERE o.code = :operator AND t.ticket_id = :ticket_id""")
TICKETS = text("SELECT ticket_id FROM ticket ORDER BY id")
EVENTS = text("""
    SELECT e.* FROM ticket_event e JOIN ticket t ON t.id = e.ticket
      JOIN operator o ON o.id = t.operator
     WHERE o.code = :operator AND t.ticket_id = :ticket_id ORDER BY e.arrival""")
_NOTICE = ", ".join(
    f"{WHOLE_BODY} AS body" if name == "body" else f"n.{name}" for name in Notice.model_fields
)
NOTICES = text(f"""
    SELECT {_NOTICE}
      FROM notice n JOIN ticket t ON t.id = n.ticket JOIN operator o ON o.id = t.operator
     WHERE o.code = :operator AND t.ticket_id = :ticket_id ORDER BY n.number""")  # noqa: S608 - columns
ALL_ATTEMPTS = text(f"SELECT * FROM {ATTEMPTS} a ORDER BY notice, claim")  # noqa: S608 - a constant
REJECTED = text("SELECT * FROM rejected_input ORDER BY id")

# Each lists the tickets that break a rule.
WRONG_PARKED_COUNT = text("""
    SELECT t.ticket_id FROM ticket t
     WHERE t.parked <> (SELECT count(*) FROM ticket_event e
                         WHERE e.ticket = t.id AND e.outcome = 'parked')""")
WRONG_NUMBERS = text("""
    SELECT t.ticket_id FROM ticket t
     WHERE ARRAY(SELECT n.number FROM notice n WHERE n.ticket = t.id ORDER BY n.number)
           <> ARRAY(SELECT generate_series(1, t.notices))""")
WRONG_UNFINISHED = text("""
    SELECT t.ticket_id FROM ticket t
     WHERE t.unfinished <> (SELECT count(*) FROM notice n WHERE n.ticket = t.id
                               AND (n.ended IS NULL OR n.ended = 'dead'))""")
WRONG_HEADS = text("""
    SELECT t.ticket_id FROM ticket t
     WHERE ARRAY(SELECT n.number FROM notice n WHERE n.ticket = t.id AND n.head)
           <> ARRAY(SELECT n.number FROM notice n WHERE n.ticket = t.id
                       AND (n.ended IS NULL OR n.ended = 'dead') AND t.on_hold_at IS NULL
                     ORDER BY n.number LIMIT 1)""")

WRONG_ENDS = text("""
    SELECT t.ticket_id FROM ticket t
     WHERE (t.cancelled_at IS NOT NULL)
           <> (t.status = 'cancelled' OR (t.status = 'absent' AND t.parked = 0))""")
RULES = (WRONG_PARKED_COUNT, WRONG_NUMBERS, WRONG_UNFINISHED, WRONG_HEADS, WRONG_ENDS)
# In one question, which most tests ask at their end: the number of a rule, and who breaks it.
BROKEN = text(
    " UNION ALL ".join(
        f"SELECT {number} AS rule, ticket_id FROM ({rule.text}) rule{number}"  # noqa: S608 - constants
        for number, rule in enumerate(RULES)
    )
)


class Records:
    """What one database holds, row by row."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def ticket(self, ticket_id: str = "T", *, operator: str = OPERATOR) -> Row[Any]:
        """The row of a ticket."""
        (row,) = self._rows(TICKET, ticket_id=ticket_id, operator=operator)
        return row

    def tickets(self) -> list[str]:
        """The ids of all tickets, by age."""
        return [row.ticket_id for row in self._rows(TICKETS)]

    def standing(self, ticket_id: str = "T", *, operator: str = OPERATOR) -> str:
        """Status and result of a ticket, like `resulted/won`."""
        row = self.ticket(ticket_id, operator=operator)
        return f"{row.status}/{row.result}"

    def events(self, ticket_id: str = "T", *, operator: str = OPERATOR) -> Sequence[Row[Any]]:
        """The event log of a ticket, by arrival."""
        return self._rows(EVENTS, ticket_id=ticket_id, operator=operator)

    def outcomes(self, ticket_id: str = "T", *, operator: str = OPERATOR) -> list[tuple[str, str]]:
        """(action, outcome) of each event of a ticket, by arrival."""
        return [(row.action, row.outcome) for row in self.events(ticket_id, operator=operator)]

    def event(self, event_id: str, ticket_id: str = "T", *, operator: str = OPERATOR) -> Row[Any]:
        """One event of a ticket."""
        rows = self.events(ticket_id, operator=operator)
        (row,) = [row for row in rows if row.event_id == event_id]
        return row

    def data(self, event_id: str, ticket_id: str = "T", *, operator: str = OPERATOR) -> Any:  # noqa: ANN401 - JSON
        """What one event of a ticket says, with what its row leaves out."""
        event = self.event(event_id, ticket_id, operator=operator)
        return whole_data(
            event.data,
            event.left_out,
            operator=operator,
            ticket_id=ticket_id,
            details=self.ticket(ticket_id, operator=operator).details,
        )

    def notices(self, ticket_id: str = "T", *, operator: str = OPERATOR) -> Sequence[Row[Any]]:
        """The notices of a ticket, in their order."""
        return self._rows(NOTICES, ticket_id=ticket_id, operator=operator)

    def notice_actions(self, ticket_id: str = "T", *, operator: str = OPERATOR) -> list[str]:
        """Return the actions of a ticket's notices, in their order."""
        return [row.action for row in self.notices(ticket_id, operator=operator)]

    def notice(self, number: int, ticket_id: str = "T") -> Row[Any]:
        """One notice of a ticket, by its number from 1."""
        return self.notices(ticket_id)[number - 1]

    def attempts(self) -> Sequence[Row[Any]]:
        """All attempts that were recorded."""
        return self._rows(ALL_ATTEMPTS)

    def rejected(self) -> Sequence[Row[Any]]:
        """Return what was stored as rejected input."""
        return self._rows(REJECTED)

    def check(self) -> None:
        """Counters, numbers and heads agree with the rows they stand for (rules 7 and 12).

        A ticket that no closing will end says since when its retention runs, and no other does.
        """
        broken = self._rows(BROKEN)
        assert not broken, "\n".join(
            f"{row.ticket_id} breaks: {RULES[row.rule].text}" for row in broken
        )

    def _rows(self, statement: Any, **parameters: object) -> Sequence[Row[Any]]:  # noqa: ANN401 - SQLAlchemy's text, whose type says nothing
        with self._engine.begin() as connection:
            return connection.execute(statement, parameters).all()
