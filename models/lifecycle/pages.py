"""The lifecycle as a page: the diagram from the machine, the table from what `decide` decides.

`python -m models.lifecycle.pages` writes both into `models/lifecycle/README.md`; a test fails
when the page is stale.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from models.events.event import Event
from models.lifecycle.decide import decide
from models.lifecycle.machine import DEFINED, TRANSITIONS, TicketLifecycle, Trigger
from models.lifecycle.ticket import Terms, TicketState
from models.platform.generated_pages import with_sections
from models.vocabulary import INBOUND, Action, Outcome, Result, Status

PAGE = Path(__file__).with_name("README.md")
_THEN = datetime(2026, 1, 1, tzinfo=UTC)
_TERMS = Terms(1, "operator", "pam", announces_tickets=False, close_delay=timedelta(hours=24))
_COLUMNS = (
    (Status.ABSENT, Result.PENDING),
    (Status.NEW, Result.PENDING),
    (Status.RESERVED, Result.PENDING),
    (Status.OPEN, Result.PENDING),
    (Status.RESULTED, Result.WON),
    (Status.CLOSED, Result.WON),
    (Status.CANCELLED, Result.PENDING),
)
_MONEY = {
    "price": 500,
    "stake": 500,
    "wht_amount": 0,
    "wht": 0,
    "ext_amount": 0,
    "ext": 0,
    "ext_type": "inclusive",
    "gross_payout": 500,
    "net_payout": 500,
}


def diagram() -> str:
    """The machine as a mermaid state diagram, from the definition."""
    lines = [f"    [*] --> {Status.ABSENT}"]
    lines += [f"    {source} --> {target} : {trigger}" for source, trigger, target in DEFINED]
    lines += [f"    {state.value} --> [*]" for state in TicketLifecycle.states if state.final]
    return "\n".join(["stateDiagram-v2", "    direction LR", *lines])


def state_table() -> str:
    """Every action against every status, as `decide` decides a timely event, in Markdown."""
    titles = [
        status if result is Result.PENDING else f"{status} ({result})"
        for status, result in _COLUMNS
    ]
    rows = [[f"`{action}`", *_decisions(action)] for action in INBOUND]
    rows.append([f"`{Action.LOST}`, `correction`", *_decisions(Action.LOST, correction=True)])
    rows.append(["close (the clock)", *_closings()])
    lines = ["| event | " + " | ".join(titles) + " |", "|---" * (len(titles) + 1) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _decisions(action: Action, *, correction: bool = False) -> list[str]:
    return [_decision(status, result, action, correction) for status, result in _COLUMNS]


def _decision(status: Status, result: Result, action: Action, correction: bool) -> str:  # noqa: FBT001 - private, one caller
    ticket = TicketState(id=1, ticket_id="1", terms=_TERMS, status=status, result=result)
    if status in (Status.RESULTED, Status.CLOSED):
        ticket.generation, ticket.settled_at = 1, _THEN
    decision = decide(ticket, _event(action, correction=correction))
    notices = "".join(f", sends `{notice.action}`" for notice in ticket.new_notices)
    if decision.outcome is Outcome.APPLIED:
        return f"→ {ticket.status_text}{notices}"
    return f"{decision.outcome} ({decision.reason})"


def _event(action: Action, *, correction: bool) -> Event:
    data = {"operator": "operator", "ticket_id": "1", "correction": correction}
    if action is Action.VOID:
        data |= _MONEY
    later = _THEN + timedelta(seconds=1)
    return Event("id", action, "operator", "1", data, later, later, later)


def _closings() -> list[str]:
    return [
        f"→ {TRANSITIONS[status, Trigger.CLOSE][0]}, sends `{Action.CLOSED}`"
        if (status, Trigger.CLOSE) in TRANSITIONS
        else "-"
        for status, _ in _COLUMNS
    ]


def refreshed(page: str) -> str:
    """Return *page* with the present diagram and table."""
    sections = {"diagram": f"```mermaid\n{diagram()}\n```", "table": state_table()}
    return with_sections(page, "models.lifecycle.pages", sections)


if __name__ == "__main__":
    PAGE.write_text(refreshed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
