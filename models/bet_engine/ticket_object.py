"""The ticket object of the Bet Engine API (contracts 1.7 and 1.8)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

from models.vocabulary import Result, Status

# The form that the contract's samples have: no offset, always six digits of a second.
_TIME: Final = "%Y-%m-%dT%H:%M:%S.%f"


@dataclass(frozen=True, slots=True)
class BetEngineTicket:
    """The columns of a ticket that are shown. *amounts*: those of its current result."""

    ticket_id: str
    status: Status
    result: Result
    details: Mapping[str, Any]
    amounts: Mapping[str, Any] | None
    created_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class TicketObject:
    """A ticket as an operator sees it, with the fields in the contract's order.

    Money is in cents. `created` and `updated` are in UTC, `operator_time_*` in the operator's zone,
    all without an offset. What Slipway does not know is null: always `source`, and `events` is
    empty. A stored ticket has been approved.
    """

    id: str
    code: str | None
    psp: str | None
    price: int | None
    stake: int | None
    gross_payout: int | None
    net_payout: int | None
    wht_amount: int | None
    wht: int | float | None
    ext_amount: int | None
    ext: int | float | None
    ext_type: str | None
    currency: str | None
    status: str
    result: str
    approved: bool
    source: str | None
    type: str | None
    atag: str | None
    rtag: str | None
    user_id: str | None
    created: str
    updated: str
    operator_time_created: str
    operator_time_updated: str
    events: list[str] = field(default_factory=list)


def ticket_object(ticket: BetEngineTicket, *, zone: tzinfo) -> TicketObject:
    """Return *ticket* as its operator sees it, in the time zone *zone*.

    `refunded` is Slipway's own result and is shown as `void`. The amounts are those of the result
    if it had any (a void recalculates them, a cash-out has its own payout); a lost ticket pays
    nothing.
    """
    facts = {**ticket.details, **(ticket.amounts or {})}
    if ticket.result is Result.LOST:
        facts |= {"gross_payout": 0, "net_payout": 0}
    result = Result.VOID if ticket.result is Result.REFUNDED else ticket.result
    return TicketObject(
        id=ticket.ticket_id,
        code=facts.get("ticket_code"),
        psp=facts.get("psp"),
        price=facts.get("price"),
        stake=facts.get("stake"),
        gross_payout=facts.get("gross_payout"),
        net_payout=facts.get("net_payout"),
        wht_amount=facts.get("wht_amount"),
        wht=facts.get("wht"),
        ext_amount=facts.get("ext_amount"),
        ext=facts.get("ext"),
        ext_type=facts.get("ext_type"),
        currency=facts.get("currency"),
        status=ticket.status.value,
        result=result.value,
        approved=True,
        source=None,
        type=facts.get("ticket_type"),
        atag=facts.get("atag"),
        rtag=facts.get("rtag"),
        user_id=facts.get("player_id"),
        created=_written(ticket.created_at, UTC),
        updated=_written(ticket.changed_at, UTC),
        operator_time_created=_written(ticket.created_at, zone),
        operator_time_updated=_written(ticket.changed_at, zone),
    )


def _written(moment: datetime, zone: tzinfo) -> str:
    return moment.astimezone(zone).strftime(_TIME)
