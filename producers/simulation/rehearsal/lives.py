"""Lives to rehearse: what really happened, and how it arrives: late, repeated, out of order."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from random import Random
from typing import Any

from models.platform.timestamps import format_timestamp
from producers.simulation.ticket_facts import CURRENCIES, Data, TicketFactory

RESULTS = {
    "ticket_win": "won",
    "ticket_lost": "lost",
    "ticket_void": "void",
    "ticket_refund": "refunded",
}
FAST = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class TrueEvent:
    """What really happened once, with its amounts, and whether it corrects the event before."""

    action: str
    amounts: tuple[tuple[str, Any], ...] = ()
    correction: bool = False


@dataclass(frozen=True, slots=True)
class ExpectedOutcome:
    """How the ticket should end. *consistent*: no event contradicts those before it."""

    status: str
    result: str
    notices: tuple[str, ...]
    consistent: bool


class Kind(StrEnum):
    """What is promised about a life, by how its events arrive."""

    IN_ORDER = "in-order"  # the partner sees every step
    NUMBERED = "numbered"  # the same, in any order of arrival
    DISORDERED = "disordered"  # the same end; superseded pairs may be missing
    CREATED = "created"  # debited at the partner first; events in order
    CONTRADICTING = (
        "contradicting"  # two results without a rollback: one counts, the other is shown
    )


SHARES = {
    Kind.IN_ORDER: 25,
    Kind.NUMBERED: 20,
    Kind.DISORDERED: 35,
    Kind.CREATED: 12,
    Kind.CONTRADICTING: 8,
}


@dataclass(frozen=True, slots=True)
class Arrival:
    """One event, and when it is added to the stream."""

    at: datetime
    event: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RehearsedLife:
    """The life of a ticket: its expected outcome, and its events as they arrive."""

    kind: Kind
    operator: str
    ticket_id: str
    expected: ExpectedOutcome
    arrivals: tuple[Arrival, ...]


def random_lives(
    count: int, *, rng: Random, begin: datetime, operators: Sequence[str], announcing: str
) -> Iterator[RehearsedLife]:
    """Generate *count* lives that begin around *begin*; those of *announcing* open explicitly."""
    factory = TicketFactory(rng)
    for _ in range(count):
        kind = rng.choices(list(SHARES), list(SHARES.values()))[0]
        operator = rng.choice([*operators, announcing])
        facts = factory.ticket_facts(operator)
        yield _life(kind, rng, begin, facts, announced=operator == announcing)


def _life(
    kind: Kind, rng: Random, begin: datetime, facts: Data, *, announced: bool
) -> RehearsedLife:
    true_events = list(_true_events(kind, rng, facts, announced=announced))
    moments = _moments(len(true_events), rng, begin)
    named = {"operator": facts["operator"], "ticket_id": facts["ticket_id"]}
    # If a publisher's clock is fast, the entry's own time is used (H6). Nothing is repeated then:
    # the order would depend on which of two entries is applied first.
    fast = kind is Kind.IN_ORDER and rng.random() < 0.2  # noqa: PLR2004 - a share
    events: list[dict[str, Any]] = []
    for number, (true_event, data) in enumerate(true_events, start=1):
        stated_at = moments[number - 1] + (FAST if fast else timedelta())
        event: dict[str, Any] = {
            "event_id": f"{facts['ticket_id']}-{number}",
            "occurred_at": format_timestamp(stated_at),
            "action": true_event.action,
            "data": {**named, **data, **({"correction": True} if true_event.correction else {})},
        }
        if kind is Kind.NUMBERED:
            event["sequence"] = number
        events.append(event)
    return RehearsedLife(
        kind,
        str(facts["operator"]),
        str(facts["ticket_id"]),
        expected_outcome((true_event for true_event, _ in true_events), announced=announced),
        tuple(_arrivals(kind, rng, events, moments, repeated=not fast)),
    )


def _true_events(
    kind: Kind, rng: Random, facts: Data, *, announced: bool
) -> Iterator[tuple[TrueEvent, Data]]:
    opened_in: object = None
    if kind is Kind.CREATED:
        opened_in = facts["currency"]
        if rng.random() < 0.4:  # noqa: PLR2004 - a share
            yield TrueEvent("ticket_reserve"), facts
            yield TrueEvent("ticket_paid"), {}
        else:
            yield TrueEvent("ticket_create"), facts
    elif announced or rng.random() < 0.5:  # noqa: PLR2004 - a share
        opened_in = facts["currency"]
        yield TrueEvent("ticket_open"), facts
    current: TrueEvent | None = None
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3))):
        result, data = _result(rng, opened_in)
        if current is not None and (kind is not Kind.CONTRADICTING):
            if rng.random() < 0.3:  # noqa: PLR2004 - a share
                result = TrueEvent(result.action, result.amounts, correction=True)
            else:
                yield (
                    TrueEvent("ticket_rollback"),
                    {"reason": rng.choice(("odds-error", "late goal"))},
                )
        yield result, data
        current = result


def _result(rng: Random, opened_in: object) -> tuple[TrueEvent, Data]:
    """Return a result; if nothing opened the ticket, its currency is one of its amounts."""
    action = rng.choice((*RESULTS, "ticket_void"))
    stated: Data = {"currency": opened_in or rng.choice(CURRENCIES)}
    counts = stated if opened_in is None else {}
    if opened_in is not None and rng.random() < 0.5:  # noqa: PLR2004 - a share
        stated = {}
    if action != "ticket_void":
        return TrueEvent(action, tuple(sorted(counts.items()))), stated
    paid = rng.choice((0, 250, 500))
    money = {
        "price": 500,
        "stake": 444,
        "wht_amount": 0,
        "wht": 10.0,
        "ext_amount": 56,
        "ext": 12.5,
        "ext_type": "inclusive",
        "gross_payout": paid,
        "net_payout": paid,
    }
    return TrueEvent(action, tuple(sorted({**money, **counts}.items()))), {**money, **stated}


def _moments(count: int, rng: Random, begin: datetime) -> list[datetime]:
    """Return the real times, each at least a moment after the one before."""
    moments: list[datetime] = []
    for _ in range(count):
        begin += timedelta(milliseconds=rng.choice((2, 50, 900, 4000, 20_000)))
        moments.append(begin)
    return moments


def _arrivals(
    kind: Kind,
    rng: Random,
    events: Sequence[dict[str, Any]],
    moments: Sequence[datetime],
    *,
    repeated: bool,
) -> Iterator[Arrival]:
    """Yield arrivals: on time or late, by *kind* in order or not, some repeated."""
    in_order = kind in (Kind.IN_ORDER, Kind.CREATED)
    before = moments[0]
    for event, moment in zip(events, moments, strict=True):
        late = rng.choice((0.0, 0.0, 0.01, 0.5, 3.0, 30.0, 240.0)) * rng.random()
        at = moment + timedelta(seconds=late)
        before = at = max(at, before + timedelta(milliseconds=1)) if in_order else at
        yield Arrival(at, event)
        if repeated and rng.random() < 0.1:  # noqa: PLR2004 - a share
            again = at + timedelta(seconds=rng.random() * 60)
            yield Arrival(again, event)
        if rng.random() < 0.05 and not in_order:  # noqa: PLR2004 - a share
            again = at + timedelta(seconds=rng.random() * 60)
            yield Arrival(again, {**event, "event_id": f"{event['event_id']}-republished"})


def expected_outcome(  # noqa: C901 - the table of a ticket's life, one branch for each row
    events: Iterable[TrueEvent], *, announced: bool = False
) -> ExpectedOutcome:
    """Apply *events* in their real order; the partner accepts everything."""
    status, current, consistent = "absent", None, True
    notices: list[str] = []
    for event in events:
        has_result = status == "resulted"
        if event.action == "ticket_open" and status == "absent":
            status = "open"
        elif event.action in ("ticket_create", "ticket_reserve") and status == "absent":
            status = "open" if event.action == "ticket_create" else "reserved"
            notices.append(event.action)
        elif event.action == "ticket_paid" and status == "reserved":
            status = "open"
        elif event.action == "ticket_discard" and status in ("absent", "reserved"):
            status = "cancelled"
            notices.append(event.action)
        elif event.action == "ticket_update" and status in ("open", "reserved"):
            notices.append(event.action)
        elif event.action == "ticket_rollback" and has_result:
            status, current = "open", None
            notices.append(event.action)
        elif event.action in RESULTS and (
            status == "open" or (status == "absent" and not announced)
        ):
            status, current = "resulted", (event.action, event.amounts)
            notices.append(event.action)
        elif event.action in RESULTS and has_result and current == (event.action, event.amounts):
            pass  # a repeat
        elif event.action in RESULTS and has_result and event.correction:
            current = (event.action, event.amounts)
            notices += ["ticket_rollback", event.action]
        else:
            consistent = False
    result = "pending" if current is None else RESULTS[current[0]]
    if status == "resulted":
        status = "closed"
        notices.append("ticket_closed")
    return ExpectedOutcome(status, result, tuple(notices), consistent)
