"""Tables of decisions, written by hand: a ticket, an event, and what must come of it.

A row reads `rule | ticket | event | outcome | reason | then | notices`: `-` means none, `then` is
the ticket afterwards (`=`: as it was, in every field), `notices` are the new ones with their
generation. `rule` names the rule, its counterexample or the contract; `machine` a transition.
"""

from copy import deepcopy
from dataclasses import dataclass

from models.events.event import Event
from models.lifecycle.decide import decide
from models.lifecycle.ticket import Terms, TicketState
from models.vocabulary import Action, Status
from tests.support.tickets import PAM, event, standing, ticket

_COLUMNS = 7


@dataclass(frozen=True, slots=True)
class Row:
    """One expectation."""

    rule: str
    ticket: str
    event: str
    outcome: str
    reason: str
    then: str
    notices: str

    def __str__(self) -> str:
        """Name the test."""
        return f"{self.ticket} + {self.event} -> {self.outcome} [{self.rule}]"


def rows(table: str) -> list[Row]:
    """Return the rows of *table*; `ids=str` names the tests after them."""
    rows = []
    for line in table.split("\n"):
        cells = [cell.strip() for cell in line.split("|")]
        if cells == [""]:
            continue
        assert len(cells) == _COLUMNS, f"a row has {_COLUMNS} columns: {line}"
        rows.append(Row(*cells))
    return rows


def check(row: Row, *, terms: Terms = PAM, sequence: int = 0) -> TicketState:
    """Decide the row's event against its ticket, and compare all there is; return the ticket."""
    state = ticket(row.ticket, terms, sequence=sequence)
    before = deepcopy(state)

    decision = decide(state, event(row.event))

    assert (decision.outcome, decision.reason or "-") == (row.outcome, row.reason)
    assert notices_of(state) == row.notices
    if row.then == "=":
        assert state == before
    else:
        assert standing(state) == row.then
    assert state.changed == (state != before), "what changed is stored, and nothing else"
    _check_clock(state, before)
    return state


def decided(state: TicketState, arrived: Event) -> tuple[str, str | None]:
    """Decide *arrived*; return its outcome and reason as words."""
    decision = decide(state, arrived)
    return decision.outcome.value, None if decision.reason is None else decision.reason.value


def notices_of(state: TicketState) -> str:
    """Write the ticket's new notices: `rollback/1 lost/2`."""
    notices = [
        f"{notice.action.removeprefix('ticket_')}/{notice.generation}"
        for notice in state.new_notices
    ]
    return " ".join(notices) or "-"


def _check_clock(state: TicketState, before: TicketState) -> None:
    """A rollback stops the clock, and a decision never starts it (rule 16)."""
    withdrawn = any(notice.action is Action.ROLLBACK for notice in state.new_notices)
    expected = None if withdrawn else before.close_due_at
    assert state.close_due_at == expected
    assert (state.close_due_at is None) or state.status is Status.RESULTED
