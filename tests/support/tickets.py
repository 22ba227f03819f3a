"""Tickets and events in the notation of `RULES.md`: `win@1` happened at second 1.

An event: `rollback@2`; with an amount `void300@2`; a correction `lost*@2`; the same again under
another id `rollback'@2`; numbered `win#1@1`. Its notation is its `event_id`.
A ticket: `open`, `open@2` (a rollback of second 2 in force), `won@1`, `void300@1`, `closed@1`.
"""

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from models.events.event import Event
from models.lifecycle.advance import PendingEvent, advance
from models.lifecycle.effects import accept_create, refuse_create
from models.lifecycle.ticket import Decision, Terms, TicketState
from models.vocabulary import Action, Outcome, Result, Status

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
WINDOW = timedelta(minutes=15)
DELAY = timedelta(hours=24)
OPERATOR = "operator-code"
TICKET_ID = "1330556611374148608"

PAM = Terms(1, OPERATOR, "pam", announces_tickets=False, close_delay=DELAY)
ANNOUNCING = Terms(2, OPERATOR, "pam", announces_tickets=True, close_delay=DELAY)
SEAMLESS = Terms(
    3, OPERATOR, "seamless", announces_tickets=True, close_delay=DELAY, agent="agentId"
)

MONEY: dict[str, Any] = {
    "price": 500,
    "stake": 444,
    "wht_amount": 0,
    "wht": 10,
    "ext_amount": 56,
    "ext": 12.5,
    "ext_type": "inclusive",
    "gross_payout": 500,
    "net_payout": 500,
}
SLIP: dict[str, Any] = MONEY | {
    "ticket_code": "CD4BDD",
    "player_id": "sometokenvalue",
    "currency": "EUR",
    "ticket_type": "quickbet",
}
ROUND: dict[str, Any] = {  # what a seamless wallet needs to know of a ticket
    "player_id": "member001",
    "price": 500,
    "net_payout": 1200,
    "currency": "EUR",
    "game": "Ghost House",
    "game_id": "GH",
}
_EVENT = re.compile(r"([a-z]+)(\d+)?(\*)?'*(?:#(\d+))?@(\d+)")
_STANDING = re.compile(r"([a-z]+)(\d+)?(?:@(\d+))?")
_RESULTS = {"won", "lost", "void", "refunded"}
_OF_RESULT = {"won": "win", "refunded": "refund"}


def at(second: int) -> datetime:
    """Return second *second* of the test's time."""
    return NOON + timedelta(seconds=second)


def event(notation: str, *, received: int | None = None, **data: object) -> Event:
    """Return the event of *notation*, received when it happened unless *received* says when."""
    word, amount, correction, number, second = _parts(_EVENT, notation)
    action = Action(f"ticket_{word}")
    happened = at(int(second))
    return Event(
        event_id=notation,
        action=action,
        operator=OPERATOR,
        ticket_id=TICKET_ID,
        data=_data(word, amount, correction) | data,
        occurred_at=happened,
        order_time=happened,
        received_at=happened if received is None else at(received),
        sequence=None if number is None else int(number),
    )


def ticket(standing: str = "absent", terms: Terms = PAM, *, sequence: int = 0) -> TicketState:
    """Return a ticket as loaded at *standing*; its partner took what result it has."""
    word, amount, second = _parts(_STANDING, standing)
    state = TicketState(id=1, ticket_id=TICKET_ID, terms=terms, sequence=sequence)
    state.settled_at = None if second is None else at(int(second))
    if terms is SEAMLESS and word != "absent":
        state.details = dict(ROUND)
    if word == "cancelled":
        state.cancelled_by = "ticket_discard of a person"
    if word not in _RESULTS and word != "closed":
        state.status = Status(word)
        return replace(state)
    state.status = Status.CLOSED if word == "closed" else Status.RESULTED
    state.result = Result(word) if word in _RESULTS else Result.WON
    state.generation, state.notices = 1, 1
    state.amounts = _amounts(_OF_RESULT.get(word, word), amount)
    if state.status is Status.RESULTED:
        state.close_due_at = NOON + DELAY
    return replace(state)


def standing(state: TicketState) -> str:
    """Write a ticket as `ticket` reads it."""
    word = state.result.value if state.status is Status.RESULTED else state.status.value
    amount = (state.amounts or {}).get("net_payout", "")
    second = (
        "" if state.settled_at is None else f"@{round((state.settled_at - NOON).total_seconds())}"
    )
    return f"{word}{amount}{second}"


@dataclass(slots=True)
class Life:
    """One ticket and what happens to it, as intake, delivery and sweep would do it."""

    ticket: TicketState = field(default_factory=ticket)
    ended: dict[str, Decision] = field(default_factory=dict)  # by event_id; parked ones included
    sent: list[str] = field(default_factory=list)  # the notices: `win rollback lost`
    parked: list[PendingEvent] = field(default_factory=list)
    arrivals: int = 0

    def arrive(self, *notations: str | Event, now: int = 0) -> "Life":
        """Take events that arrive in one batch."""
        fresh = []
        for notation in notations:
            self.arrivals += 1
            arrived = event(notation) if isinstance(notation, str) else notation
            fresh.append(PendingEvent(arrived._replace(read_at=at(now)), self.arrivals))
        return self._turn(fresh, now=now)

    def arrive_one_by_one(self, *notations: str | Event) -> "Life":
        """Take events that arrive in a batch each."""
        for notation in notations:
            self.arrive(notation)
        return self

    def take(self, action: Action, *, now: int = 0) -> "Life":
        """Hear the partner's 200 to a create or reserve."""
        was_new = self.ticket.status is Status.NEW
        accept_create(self.ticket, action)
        return self._turn([], now=now, was_new=was_new)

    def refuse(self, action: Action, *, in_doubt: bool = False, now: int = 0) -> "Life":
        """Hear anything else, or nothing (*in_doubt*)."""
        was_new = self.ticket.status is Status.NEW
        refuse_create(self.ticket, action, why="the partner said no", in_doubt=in_doubt)
        return self._turn([], now=now, was_new=was_new)

    def end_windows(self, *, now: int, watermark: int | None = None) -> "Life":
        """Sweep: give up what has waited for its whole window."""
        before = at(now if watermark is None else min(watermark, now))
        return self._turn([], now=now, ended_before=before)

    def outcome(self, event_id: str) -> tuple[str, str | None]:
        """Return how an event ended, and why."""
        decision = self.ended[event_id]
        return decision.outcome.value, None if decision.reason is None else decision.reason.value

    def _turn(
        self,
        fresh: list[PendingEvent],
        *,
        now: int,
        was_new: bool | None = None,
        ended_before: datetime | None = None,
    ) -> "Life":
        new = self.ticket.status is Status.NEW if was_new is None else was_new
        decided = advance(
            self.ticket,
            [*self.parked, *fresh],
            now=at(now),
            window=WINDOW,
            was_new=new,
            ended_before=ended_before,
        )
        waiting = {parked.event.event_id: parked for parked in self.parked}
        for done in decided:
            event_id = done.pending.event.event_id
            self.ended[event_id] = done.decision
            waiting.pop(event_id, None)
            if done.decision.outcome is Outcome.PARKED:
                pending = done.pending
                waiting[event_id] = PendingEvent(pending.event, pending.arrival, done.park_until)
        self.parked = list(waiting.values())
        assert self.ticket.parked == len(self.parked), "the row counts what waits (rule 7)"
        self._store()
        return self

    def _store(self) -> None:
        state = self.ticket
        self.sent += [notice.action.removeprefix("ticket_") for notice in state.new_notices]
        self.ticket = replace(
            state,
            notices=state.notices + len(state.new_notices),
            details=state.facts,
            filled=None,
            amended=None,
            new_notices=[],
        )


def _parts(form: re.Pattern[str], notation: str) -> tuple[Any, ...]:
    match = form.fullmatch(notation)
    assert match is not None, f"{notation!r} is not in the notation of this module"
    return match.groups()


def _data(word: str, amount: str | None, correction: str | None) -> dict[str, Any]:
    data: dict[str, Any] = {"operator": OPERATOR, "ticket_id": TICKET_ID}
    if word in ("create", "reserve", "update"):
        data |= SLIP
    data |= _amounts(word, amount) or {}
    return data | ({"correction": True} if correction else {})


def _amounts(word: str, amount: str | None) -> dict[str, Any] | None:
    if word == "void":
        return MONEY | {"net_payout": int(amount or 500)}
    return None if amount is None else {"net_payout": int(amount)}
