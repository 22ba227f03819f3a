"""Checks what an event says against its ticket and against the protocol of its partner.

What the protocol has no call for, or cannot express for lack of facts, is refused. A contradiction
(contracts 3.2, 3.4 and 5.5) is refused where it could not be corrected later, because a wallet
takes nothing back; elsewhere the event is applied and the ticket's history shows the contradiction.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from models.events.amounts import CURRENCY
from models.events.event import Event
from models.events.format import MONEY_FIELDS, is_missing
from models.events.lottery_format import draw_time
from models.lifecycle.ticket import Decision, TicketState, stated
from models.platform.money import MINOR_DIGITS, from_decimal_units
from models.platform.timestamps import format_timestamp
from models.vocabulary import RESULTS, Action, Outcome, Reason, Status

_PAM_NEEDS: dict[Action, tuple[str, ...]] = {
    Action.VOID: MONEY_FIELDS,  # the one result with amounts (contracts 1.4)
}
# A payout needs the ticket's amounts and names (contracts 2.2); a result may bring them.
_ROUND: Final = ("player_id", "price", "currency", "game", "game_id")
_SEAMLESS_NEEDS: dict[Action, tuple[str, ...]] = {
    Action.OPEN: _ROUND,
    Action.WIN: (*_ROUND, "net_payout"),
    Action.LOST: _ROUND,
    Action.VOID: _ROUND,
    Action.REFUND: _ROUND,
}
_SEAMLESS_HAS_NO = frozenset({Action.CREATE, Action.RESERVE, Action.UPDATE, Action.DISCARD})
_IDS: Final = 2  # operator and ticket_id alone contradict nothing
_PAYOUTS: Final = ("gross_payout", "net_payout")
_OF_ROUND: Final = ("price", "game", "game_id")
_MONEY_BACK: Final = {Action.VOID: "void", Action.REFUND: "refunded"}


# --- what the partner's protocol cannot carry -----------------------------------------------------


def refuse_unsupported(ticket: TicketState, event: Event) -> Decision | None:
    """Return why this operator's protocol cannot carry *event*, or None if it can."""
    if ticket.terms.protocol == "seamless":
        return (
            _amounts_without_payout(event)
            or _unsupported_by_seamless(ticket, event)
            or _other_currency(ticket, event)
        )
    return _unsupported_by_pam(ticket, event) or _other_currency(ticket, event)


def import_problem(protocol: str, facts: Mapping[str, Any]) -> str | None:
    """Return why no result of a ticket with only *facts* could be sent, or None if it could."""
    if protocol != "seamless":
        return None
    missing = _missing(_ROUND, stated(facts))
    if missing:
        return f"a ticket of a seamless operator needs {missing}: a payout names them"
    return _unknown_currency(facts)


def _unsupported_by_pam(ticket: TicketState, event: Event) -> Decision | None:
    needs = _PAM_NEEDS.get(event.action)
    return None if needs is None else _lacks(ticket, event, _missing(needs, event.data))


def _unsupported_by_seamless(ticket: TicketState, event: Event) -> Decision | None:
    if event.action in _SEAMLESS_HAS_NO:
        return _refused(Reason.NO_SUCH_CALL, f"a seamless wallet has no call for {event.action}")
    if (
        event.action in RESULTS
        and ticket.status is Status.ABSENT
        and ticket.terms.announces_tickets
    ):
        return None  # it waits for the opening, which may bring what is missing (rule 7)
    facts = ticket.round_facts(event.data)
    lacks = _lacks(ticket, event, _missing(_SEAMLESS_NEEDS.get(event.action, ()), facts))
    if lacks is not None:
        return lacks
    if (unknown := _unknown_currency(facts)) is not None:
        return _refused(Reason.MISSING_FIELDS, unknown)
    if (problem := contradiction(ticket, event)) is not None:
        return _refused(Reason.CONTRADICTORY, problem)
    return None


def _missing(needs: Sequence[str], facts: Mapping[str, Any]) -> str:
    return ", ".join(f"data.{name}" for name in needs if is_missing(facts.get(name)))


def _amounts_without_payout(event: Event) -> Decision | None:
    """Refuse a result with other amounts but no `net_payout`, which is what a wallet is paid.

    The ticket's own `net_payout` beside the result's amounts would be a guess.
    """
    if event.action not in RESULTS or event.data.get("net_payout") is not None:
        return None
    # Any result but a win may repeat the round's facts, and with them the price that was debited.
    others = (
        MONEY_FIELDS
        if event.action is Action.WIN
        else [name for name in MONEY_FIELDS if name != "price"]
    )
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
    """Return a problem unless ISO 4217 has the currency: a wallet gets decimal units of it."""
    currency = facts.get(CURRENCY)
    if currency is None or currency in MINOR_DIGITS:
        return None
    return f"data.currency: {currency!r} is not an active currency of ISO 4217"


def _other_currency(ticket: TicketState, event: Event) -> Decision | None:
    """Refuse an event in another currency than the ticket's: it is about other money.

    If the ticket was opened without a currency, the currency is one of the amounts of its result:
    another one makes another result, and an opening has to agree with it.
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


# --- contradictions -------------------------------------------------------------------------------


def with_doubts(decision: Decision, ticket: TicketState, event: Event) -> Decision:
    """Return *decision* with the doubts about *event* in its message, if it applies the event."""
    if decision.outcome is not Outcome.APPLIED or len(event.data) <= _IDS:
        return decision
    doubts = [*_doubts_about_payout(ticket, event), *_doubts_about_round(ticket, event)]
    if (message := _lottery_message(event)) is not None:
        doubts += _doubts_about_lottery(event, message)
    if not doubts:
        return decision
    explanation = "doubtful: " + "; ".join(doubts)
    if decision.message is not None:
        explanation = f"{decision.message}; {explanation}"
    return decision._replace(message=explanation)


def contradiction(ticket: TicketState, event: Event) -> str | None:
    """Return why a wallet cannot receive a result, or None if it can.

    A wallet would pay another amount, or another player, than the event says: it gets the player
    and the price that the ticket was opened with.
    """
    facts = ticket.facts
    if _differs(facts.get("player_id"), event.data.get("player_id")):
        return "it is for another player than the ticket was opened for"
    own = event.data.get("net_payout")
    price = facts.get("price", event.data.get("price"))
    payout = facts.get("net_payout") if own is None else own
    match event.action:
        case Action.WIN if payout == 0:
            return "won, but the payout is 0"
        case Action.LOST if own not in (None, 0, facts.get("net_payout")):
            return f"lost, but net_payout is {own}"
        case Action.REFUND if own not in (None, price):
            return f"refunded, but net_payout is {own} and the price {price}"
        case Action.VOID | Action.REFUND if own is None and _differs(
            price, event.data.get("price")
        ):
            result = _MONEY_BACK[event.action]
            return f"{result}, but the price is {event.data['price']} and the ticket's {price}"
        case _:
            return _contradictory_settlement(facts, event)


def _contradictory_settlement(facts: Mapping[str, Any], event: Event) -> str | None:
    """Return the same for a lottery's Settlement message.

    An amount without a winning line may be the price (the vendor's page shows it like that); any
    other amount is a win that would not be paid.
    """
    message = _lottery_message(event)
    if message is None or message["type"] != "Settlement":
        return None
    player = message.get("user_id")
    if isinstance(player, str) and facts.get("player_id") not in (None, "", player):
        return "it is for another player than the ticket was opened for"
    if event.action is Action.LOST and _cents(message) not in (None, 0, facts.get("price")):
        return f"the amount is {message['amount']}, but no line has won"
    return None


def _doubts_about_payout(ticket: TicketState, event: Event) -> Iterator[str]:
    """Compare the money in an event with its result."""
    data = event.data
    gross, net = data.get("gross_payout"), data.get("net_payout")
    if event.action is Action.LOST:
        for name, paid in zip(_PAYOUTS, (gross, net), strict=True):
            if paid:
                yield f"lost, but {name} is {paid}"
    elif event.action is Action.WIN and net == 0:
        yield "won, but net_payout is 0"
    elif event.action is Action.REFUND:
        price = data.get("price") or ticket.facts.get("price")
        if net is not None and price is not None and net != price:
            yield f"refunded, but net_payout is {net} and the price {price}"
    if isinstance(gross, int) and isinstance(net, int) and net > gross:
        yield f"net_payout {net} is more than gross_payout {gross}"


def _doubts_about_round(ticket: TicketState, event: Event) -> Iterator[str]:
    """Compare the round in an event with the one a wallet is sent, which is the first known."""
    if ticket.terms.protocol != "seamless":
        return  # a PAM is sent what the event says, and the ticket's details are not loaded
    facts = ticket.facts
    for name in (*_OF_ROUND, "net_payout") if event.action is Action.OPEN else _OF_ROUND:
        known, given = facts.get(name), event.data.get(name)
        if _differs(known, given):
            yield f"{name} is {given!r}, but the ticket was opened with {known!r}, which stays"


def _differs(known: object, given: object) -> bool:
    """Return whether both values are given and differ."""
    return not is_missing(known) and not is_missing(given) and known != given


def _doubts_about_lottery(event: Event, message: Mapping[str, Any]) -> Iterator[str]:
    lines = _lines(message)
    if not lines:
        yield "it has no lines"
    if len(lines) > 1 and len({repr(line.get("line_id")) for line in lines}) < len(lines):
        yield "a line appears twice"
    if message.get("skip_publishing") is True:
        yield "skip_publishing is true, but it was published"
    if message["type"] == "Settlement":
        yield from _doubts_about_settlement(event, message)
    else:
        yield from _doubts_about_bet(message, lines)


def _doubts_about_settlement(event: Event, message: Mapping[str, Any]) -> Iterator[str]:
    amount = _number(message.get("amount"))
    if event.action is Action.LOST and amount:
        yield f"the amount is {amount}, but no line has won: nothing is paid"
    if _number(message.get("discount_amount")):
        yield f"a settlement has no discount, but discount_amount is {message['discount_amount']}"
    if _is_before_its_draw(event, message):
        draw_date = format_timestamp(draw_time(message["draw_date"]))
        yield f"it was settled before its draw of {draw_date}"


def _doubts_about_bet(message: Mapping[str, Any], lines: list[dict[str, Any]]) -> Iterator[str]:
    amount = _number(message.get("amount"))
    if discount := _number(message.get("discount_amount")):
        yield f"discount_amount is {discount}: the amount of {amount} is taken for what was paid"
    if amount and lines and all(line.get("is_free_bet") is True for line in lines):
        yield f"all lines are free bets, but the amount is {amount}"


def _lottery_message(event: Event) -> Mapping[str, Any] | None:
    """Return the lottery message in the event; other publishers may use the field for anything."""
    message = event.data.get("lottery")
    if isinstance(message, dict) and message.get("type") in ("Bet", "Settlement"):
        return message
    return None


def _lines(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    lines = message.get("lines")
    return [line for line in lines if isinstance(line, dict)] if isinstance(lines, list) else []


def _number(value: object) -> int | float:
    return value if isinstance(value, int | float) else 0


def _cents(message: Mapping[str, Any]) -> int | None:
    try:
        return from_decimal_units(Decimal(repr(message.get("amount"))), str(message["currency"]))
    except (ValueError, InvalidOperation, KeyError):
        return None


def _is_before_its_draw(event: Event, message: Mapping[str, Any]) -> bool:
    draw_date = message.get("draw_date")
    if event.occurred_at is None or not isinstance(draw_date, str):
        return False
    try:
        return event.occurred_at < draw_time(draw_date)
    except ValueError:
        return False
