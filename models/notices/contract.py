"""What a partner's protocol has no call for, or cannot be told for want of facts."""

from collections.abc import Mapping, Sequence
from typing import Any

from models.events.event import Event
from models.events.format import MONEY
from models.lifecycle.ticket import Decision, TicketState
from models.lifecycle.words import Action, Outcome, Reason, Status
from models.money import MINOR_DIGITS

_PAM_NEEDS: dict[Action, tuple[str, ...]] = {
    # contracts: BetStack 1.4; the one result with amounts.
    Action.VOID: MONEY,
}
# A payout needs the ticket's amounts and names (contracts: AMBSlot 2.2); a result may bring them.
_SEAMLESS_NEEDS: dict[Action, tuple[str, ...]] = {
    Action.OPEN: ("player_id", "price", "currency", "game", "game_id"),
    Action.WIN: ("net_payout",),
}
_SEAMLESS_HAS_NO = frozenset({Action.CREATE, Action.RESERVE, Action.UPDATE, Action.DISCARD})


def refusal(ticket: TicketState, event: Event) -> Decision | None:
    """Why this operator's protocol cannot carry *event*; None where it can."""
    if ticket.terms.protocol != "seamless":
        needs = _PAM_NEEDS.get(event.action)
        return None if needs is None else _missing(ticket, event, needs, known={})
    if event.action in _SEAMLESS_HAS_NO:
        return _refused(Reason.NO_SUCH_CALL, f"a seamless wallet has no call for {event.action}")
    if event.action is Action.WIN and ticket.status is Status.ABSENT:
        return None  # it waits for the opening, which may bring what is missing (rule 7)
    needs = _SEAMLESS_NEEDS.get(event.action, ())
    return _missing(ticket, event, needs, known=ticket.facts) or _wrong_currency(ticket, event)


def _missing(
    ticket: TicketState, event: Event, needs: Sequence[str], *, known: Mapping[str, Any]
) -> Decision | None:
    missing = [
        f"data.{name}" for name in needs if event.data.get(name) is None and known.get(name) is None
    ]
    if not missing:
        return None
    return _refused(
        Reason.MISSING_FIELDS,
        f"{event.action} for a {ticket.terms.protocol} operator needs {', '.join(missing)}",
    )


def _wrong_currency(ticket: TicketState, event: Event) -> Decision | None:
    """A wallet is told decimal units of the ticket's currency, which ISO 4217 must know."""
    given, opened_in = event.data.get("currency"), ticket.facts.get("currency")
    if given is None:
        return None
    if given not in MINOR_DIGITS:
        return _refused(
            Reason.MISSING_FIELDS,
            f"data.currency: {given!r} is not an active currency of ISO 4217",
        )
    if opened_in is not None and given != opened_in:
        return _refused(
            Reason.OTHER_CURRENCY,
            f"data.currency: {given} where the ticket was opened in {opened_in}",
        )
    return None


def _refused(reason: Reason, message: str) -> Decision:
    return Decision(Outcome.REJECTED, reason, message)
