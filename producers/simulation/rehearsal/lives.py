"""Lives to rehearse: what truly happened, and how it reaches us: late, doubled, out of order."""

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
class Truth:
    """One statement: what happened, with what money, and whether it corrects the one before."""

    action: str
    amounts: tuple[tuple[str, Any], ...] = ()
    correction: bool = False


@dataclass(frozen=True, slots=True)
class Ideal:
    """Where it ends. *lawful*: no statement contradicts those before it."""

    status: str
    result: str
    told: tuple[str, ...]
    lawful: bool


class Kind(StrEnum):
    """What can be promised of a life (protocol.md section 2)."""

    IN_ORDER = "in-order"  # the partner sees the whole story
    NUMBERED = "numbered"  # the same, in any order of arrival
    DISORDERED = "disordered"  # the same end; overtaken pairs may be missing
    CREATED = "created"  # debited at the partner first; told in order
    CONTRADICTING = "contradicting"  # two plain results: one stands, the other is shown


SHARES = {
    Kind.IN_ORDER: 25,
    Kind.NUMBERED: 20,
    Kind.DISORDERED: 35,
    Kind.CREATED: 12,
    Kind.CONTRADICTING: 8,
}


@dataclass(frozen=True, slots=True)
class Arrival:
    """One event on its way: when it is put on the stream."""

    at: datetime
    event: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RehearsedLife:
    """A ticket's true story, what is to come of it, and the events that tell it."""

    kind: Kind
    operator: str
    ticket_id: str
    ideal: Ideal
    arrivals: tuple[Arrival, ...]


def lives(
    count: int, *, rng: Random, begin: datetime, operators: Sequence[str], announcing: str
) -> Iterator[RehearsedLife]:
    """Invent *count* lives that begin around *begin*; those of *announcing* open explicitly."""
    slips = TicketFactory(rng)
    for _ in range(count):
        kind = rng.choices(list(SHARES), list(SHARES.values()))[0]
        operator = rng.choice([*operators, announcing])
        slip = slips.slip(operator)
        yield _life(kind, rng, begin, slip, announced=operator == announcing)


def _life(
    kind: Kind, rng: Random, begin: datetime, slip: Data, *, announced: bool
) -> RehearsedLife:
    truths = list(_truths(kind, rng, slip, announced=announced))
    moments = _moments(len(truths), rng, begin)
    named = {"operator": slip["operator"], "ticket_id": slip["ticket_id"]}
    # Where a publisher's clock is fast, the entry's own time stands in (protocol H6). Nothing is
    # told twice then: which of two entries is applied first would decide the order.
    fast = kind is Kind.IN_ORDER and rng.random() < 0.2  # noqa: PLR2004 - a share
    events: list[dict[str, Any]] = []
    for number, (truth, data) in enumerate(truths, start=1):
        told_at = moments[number - 1] + (FAST if fast else timedelta())
        event: dict[str, Any] = {
            "event_id": f"{slip['ticket_id']}-{number}",
            "occurred_at": format_timestamp(told_at),
            "action": truth.action,
            "data": {**named, **data, **({"correction": True} if truth.correction else {})},
        }
        if kind is Kind.NUMBERED:
            event["sequence"] = number
        events.append(event)
    return RehearsedLife(
        kind,
        str(slip["operator"]),
        str(slip["ticket_id"]),
        ideal((truth for truth, _ in truths), announced=announced),
        tuple(_arrivals(kind, rng, events, moments, repeated=not fast)),
    )


def _truths(
    kind: Kind, rng: Random, slip: Data, *, announced: bool
) -> Iterator[tuple[Truth, Data]]:
    opened_in: object = None
    if kind is Kind.CREATED:
        opened_in = slip["currency"]
        if rng.random() < 0.4:  # noqa: PLR2004 - a share
            yield Truth("ticket_reserve"), slip
            yield Truth("ticket_paid"), {}
        else:
            yield Truth("ticket_create"), slip
    elif announced or rng.random() < 0.5:  # noqa: PLR2004 - a share
        opened_in = slip["currency"]
        yield Truth("ticket_open"), slip
    standing: Truth | None = None
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3))):
        result, data = _result(rng, opened_in)
        if standing is not None and (kind is not Kind.CONTRADICTING):
            if rng.random() < 0.3:  # noqa: PLR2004 - a share
                result = Truth(result.action, result.amounts, correction=True)
            else:
                yield Truth("ticket_rollback"), {"reason": rng.choice(("odds-error", "late goal"))}
        yield result, data
        standing = result


def _result(rng: Random, opened_in: object) -> tuple[Truth, Data]:
    """A result; where nothing opened the ticket, its currency is one of its amounts."""
    action = rng.choice((*RESULTS, "ticket_void"))
    stated: Data = {"currency": opened_in or rng.choice(CURRENCIES)}
    counts = stated if opened_in is None else {}
    if opened_in is not None and rng.random() < 0.5:  # noqa: PLR2004 - a share
        stated = {}
    if action != "ticket_void":
        return Truth(action, tuple(sorted(counts.items()))), stated
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
    return Truth(action, tuple(sorted({**money, **counts}.items()))), {**money, **stated}


def _moments(count: int, rng: Random, begin: datetime) -> list[datetime]:
    """True times: each at least a moment after the one before."""
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
    """On time, or late; in order where the kind says so; some come twice, some under a new id."""
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
            yield Arrival(again, {**event, "event_id": f"{event['event_id']}-retold"})


def ideal(  # noqa: C901 - the table of a ticket's life, one line for each of its rows
    statements: Iterable[Truth], *, announced: bool = False
) -> Ideal:
    """Take *statements* in their true order; the partner says yes to everything."""
    status, standing, lawful = "absent", None, True
    told: list[str] = []
    for one in statements:
        stands = status == "resulted"
        if one.action == "ticket_open" and status == "absent":
            status = "open"
        elif one.action in ("ticket_create", "ticket_reserve") and status == "absent":
            status = "open" if one.action == "ticket_create" else "reserved"
            told.append(one.action)
        elif one.action == "ticket_paid" and status == "reserved":
            status = "open"
        elif one.action == "ticket_discard" and status in ("absent", "reserved"):
            status = "cancelled"
            told.append(one.action)
        elif one.action == "ticket_update" and status in ("open", "reserved"):
            told.append(one.action)
        elif one.action == "ticket_rollback" and stands:
            status, standing = "open", None
            told.append(one.action)
        elif one.action in RESULTS and (status == "open" or (status == "absent" and not announced)):
            status, standing = "resulted", (one.action, one.amounts)
            told.append(one.action)
        elif one.action in RESULTS and stands and standing == (one.action, one.amounts):
            pass  # the same again
        elif one.action in RESULTS and stands and one.correction:
            standing = (one.action, one.amounts)
            told += ["ticket_rollback", one.action]
        else:
            lawful = False
    result = "pending" if standing is None else RESULTS[standing[0]]
    if status == "resulted":
        status = "closed"
        told.append("ticket_closed")
    return Ideal(status, result, tuple(told), lawful)
