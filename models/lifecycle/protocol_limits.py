"""What a partner's protocol has no call for, or cannot be told for want of facts."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from models.events.amounts import CURRENCY
from models.events.event import Event
from models.events.format import MONEY, is_missing
from models.lifecycle.doubts import contradiction
from models.lifecycle.ticket import Decision, TicketState
from models.notices.seamless import facts_of_the_round, stated
from models.platform.money import MINOR_DIGITS
from models.vocabulary import RESULTS, Action, Outcome, Reason, Status

_PAM_NEEDS: dict[Action, tuple[str, ...]] = {
    # contracts: BetStack 1.4; the one result with amounts.
    Action.VOID: MONEY,
}
# A payout needs the ticket's amounts and names (contracts: AMBSlot 2.2); a result may bring them.
_ROUND: Final = ("player_id", "price", "currency", "game", "game_id")
_SEAMLESS_NEEDS: dict[Action, tuple[str, ...]] = {
    Action.OPEN: _ROUND,
    Action.WIN: (*_ROUND, "net_payout"),
    Action.LOST: _ROUND,
    Action.VOID: _ROUND,
    Action.REFUND: _ROUND,
}
_SEAMLESS_HAS_NO = frozenset({Action.CREATE, Action.RESERVE, Action.UPDATE, Action.DISCARD})


def refusal(ticket: TicketState, event: Event) -> Decision | None:
    """Why this operator's protocol cannot carry *event*; None where it can."""
    if ticket.terms.protocol == "seamless":
        return (
            _amounts_without_payout(event)
            or _for_a_wallet(ticket, event)
            or _other_currency(ticket, event)
        )
    return _for_a_pam(ticket, event) or _other_currency(ticket, event)


def import_problem(protocol: str, facts: Mapping[str, Any]) -> str | None:
    """Why no result of a ticket that has only *facts* could be sent; None: it could."""
    if protocol != "seamless":
        return None
    missing = _missing(_ROUND, stated(facts))
    if missing:
        return f"a ticket of a seamless operator needs {missing}: a payout names them"
    return _unknown_currency(facts)


def _for_a_pam(ticket: TicketState, event: Event) -> Decision | None:
    needs = _PAM_NEEDS.get(event.action)
    return None if needs is None else _lacks(ticket, event, _missing(needs, event.data))


def _for_a_wallet(ticket: TicketState, event: Event) -> Decision | None:
    if event.action in _SEAMLESS_HAS_NO:
        return _refused(Reason.NO_SUCH_CALL, f"a seamless wallet has no call for {event.action}")
    if (
        event.action in RESULTS
        and ticket.status is Status.ABSENT
        and ticket.terms.announces_tickets
    ):
        return None  # it waits for the opening, which may bring what is missing (rule 7)
    facts = facts_of_the_round(ticket, event.data)
    lacks = _lacks(ticket, event, _missing(_SEAMLESS_NEEDS.get(event.action, ()), facts))
    if lacks is not None:
        return lacks
    if (unknown := _unknown_currency(facts)) is not None:
        return _refused(Reason.MISSING_FIELDS, unknown)
    if (odd := contradiction(ticket, event)) is not None:
        return _refused(Reason.CONTRADICTORY, odd)
    return None


def _missing(needs: Sequence[str], facts: Mapping[str, Any]) -> str:
    return ", ".join(f"data.{name}" for name in needs if is_missing(facts.get(name)))


def _amounts_without_payout(event: Event) -> Decision | None:
    """A wallet is paid `net_payout`; beside other amounts, the ticket's own would be a guess."""
    if event.action not in RESULTS or event.data.get("net_payout") is not None:
        return None
    # Any result but a win may bring the round it is about, and with it what was debited.
    others = MONEY if event.action is Action.WIN else [name for name in MONEY if name != "price"]
    given = [f"data.{name}" for name in others if event.data.get(name) is not None]
    if not given:
        return None
    return _refused(
        Reason.MISSING_FIELDS,
        f"{event.action} for a seamless operator has {', '.join(given)}, but not data.net_payout,"
        " which is what a wallet is paid: send it, or no amounts at all",
    )


def _lacks(ticket: TicketState, event: Event, missing: str) -> Decision | None:
    if not missing:
        return None
    return _refused(
        Reason.MISSING_FIELDS,
        f"{event.action} for a {ticket.terms.protocol} operator needs {missing}",
    )


def _unknown_currency(facts: Mapping[str, Any]) -> str | None:
    """A wallet is told decimal units of the currency, which ISO 4217 must know."""
    currency = facts.get(CURRENCY)
    if currency is None or currency in MINOR_DIGITS:
        return None
    return f"data.currency: {currency!r} is not an active currency of ISO 4217"


def _other_currency(ticket: TicketState, event: Event) -> Decision | None:
    """Whatever states another currency than the ticket's is about other money.

    Where nothing has said in which one the ticket was opened, the currency is one of the amounts of
    its result: another one makes another result, and an opening has to agree with it.
    """
    given = event.currency
    if given is None:
        return None
    known, of_what = ticket.currency, "the ticket was opened in"
    if known is None and event.action is Action.OPEN:
        known, of_what = (ticket.amounts or {}).get(CURRENCY), "its result is in"
    if known is None or given == known:
        return None
    return _refused(Reason.OTHER_CURRENCY, f"currency: {given} where {of_what} {known}")


def _refused(reason: Reason, message: str) -> Decision:
    return Decision(Outcome.REJECTED, reason, message)
