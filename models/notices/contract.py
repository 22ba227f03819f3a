"""What a partner's protocol has no call for, or cannot be told for want of facts."""

from models.events.event import Event
from models.lifecycle.ticket import Decision, TicketState
from models.lifecycle.words import Action, Outcome, Reason, Status
from models.money import MINOR_DIGITS

_PAM_NEEDS: dict[Action, tuple[str, ...]] = {
    # contracts: BetStack 1.4; the one result with amounts.
    Action.VOID: (
        "price",
        "stake",
        "wht_amount",
        "wht",
        "ext_amount",
        "ext",
        "ext_type",
        "gross_payout",
        "net_payout",
    ),
}
# A payout needs the ticket's amounts and names (contracts: AMBSlot 2.2); a result may bring them.
_SEAMLESS_NEEDS: dict[Action, tuple[str, ...]] = {
    Action.OPEN: ("player_id", "price", "currency", "game", "game_id"),
    Action.WIN: ("net_payout",),
}
_SEAMLESS_HAS_NO = frozenset({Action.CREATE, Action.RESERVE, Action.UPDATE, Action.DISCARD})


def refusal(ticket: TicketState, event: Event) -> Decision | None:
    """Why this operator's protocol cannot carry *event*; None where it can."""
    seamless = ticket.terms.protocol == "seamless"
    if seamless and event.action in _SEAMLESS_HAS_NO:
        return Decision(
            Outcome.REJECTED,
            Reason.NO_SUCH_CALL,
            f"a seamless wallet has no call for {event.action}",
        )
    needs = (_SEAMLESS_NEEDS if seamless else _PAM_NEEDS).get(event.action)
    if needs is None:
        return None
    if event.action is Action.WIN and ticket.status is Status.ABSENT:
        return None  # it waits for the opening, which may bring them (rule 7)
    known = ticket.facts if seamless else {}
    missing = [
        f"data.{name}" for name in needs if event.data.get(name) is None and known.get(name) is None
    ]
    if not missing:
        return _unknown_currency(event) if seamless else None
    return Decision(
        Outcome.REJECTED,
        Reason.MISSING_FIELDS,
        f"{event.action} for a {ticket.terms.protocol} operator needs {', '.join(missing)}",
    )


def _unknown_currency(event: Event) -> Decision | None:
    """A wallet is told decimal units, which only a currency of ISO 4217 has."""
    currency = event.data.get("currency")
    if currency is None or currency in MINOR_DIGITS:
        return None
    return Decision(
        Outcome.REJECTED,
        Reason.MISSING_FIELDS,
        f"data.currency: {currency!r} is not an active currency of ISO 4217",
    )
