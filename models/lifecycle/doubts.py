"""What contradicts itself in an event (contracts 3.2, 3.4 and 5.5).

Where it can be corrected later, the event is applied and its contradiction noted for people, in the
ticket's story. Where it cannot, because a wallet takes nothing back, the event is refused.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from models.events.event import Event
from models.events.format import is_missing
from models.lifecycle.ticket import Decision, TicketState
from models.platform.money import from_decimal_units
from models.platform.timestamps import moment, written
from models.vocabulary import Action, Outcome

_IDS: Final = 2  # operator and ticket_id alone contradict nothing
_PAYOUTS: Final = ("gross_payout", "net_payout")
_OF_ROUND: Final = ("price", "game", "game_id")
_MONEY_BACK: Final = {Action.VOID: "void", Action.REFUND: "refunded"}


def with_doubts(decision: Decision, ticket: TicketState, event: Event) -> Decision:
    """Add to *decision*, if it applies *event*, what people may want to look at."""
    if decision.outcome is not Outcome.APPLIED or len(event.data) <= _IDS:
        return decision
    found = [*_of_payout(ticket, event), *_of_the_round(ticket, event), *_of_lottery(event)]
    if not found:
        return decision
    words = "doubtful: " + "; ".join(found)
    return decision._replace(
        message=words if decision.message is None else f"{decision.message}; {words}"
    )


def contradiction(ticket: TicketState, event: Event) -> str | None:
    """Why a wallet cannot be told a result: what it would pay is not what was said. None: it is.

    A wallet is told whose ticket it is and what it cost by what the ticket was opened with.
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
            word = _MONEY_BACK[event.action]
            return f"{word}, but the price is {event.data['price']} and the ticket's {price}"
        case _:
            return _contradictory_settlement(facts, event)


def _contradictory_settlement(facts: Mapping[str, Any], event: Event) -> str | None:
    """The same of a lottery's message.

    An amount without a winning line may be the price (so the vendor's page has it); any other
    amount is a win that nobody would get.
    """
    message = _lottery(event)
    if message is None or message["type"] != "Settlement":
        return None
    player = message.get("user_id")
    if isinstance(player, str) and facts.get("player_id") not in (None, "", player):
        return "it is for another player than the ticket was opened for"
    if event.action is Action.LOST and _cents(message) not in (None, 0, facts.get("price")):
        return f"the amount is {message['amount']}, but no line has won"
    return None


def _of_payout(ticket: TicketState, event: Event) -> Iterator[str]:
    """What an event says about money, against what it is."""
    data = event.data
    gross, net = (data.get(name) for name in _PAYOUTS)
    if event.action is Action.LOST:
        yield from (f"lost, but {name} is {data[name]}" for name in _PAYOUTS if data.get(name))
    elif event.action is Action.WIN and net == 0:
        yield "won, but net_payout is 0"
    elif event.action is Action.REFUND:
        price = data.get("price") or ticket.facts.get("price")
        if net is not None and price is not None and net != price:
            yield f"refunded, but net_payout is {net} and the price {price}"
    if isinstance(gross, int) and isinstance(net, int) and net > gross:
        yield f"net_payout {net} is more than gross_payout {gross}"


def _of_the_round(ticket: TicketState, event: Event) -> Iterator[str]:
    """What an event says of the round, against what a wallet is told: what was there first."""
    if ticket.terms.protocol != "seamless":
        return  # a PAM is told what the event says, and the ticket's facts are not loaded
    facts = ticket.facts
    for name in (*_OF_ROUND, "net_payout") if event.action is Action.OPEN else _OF_ROUND:
        known, given = facts.get(name), event.data.get(name)
        if _differs(known, given):
            yield f"{name} is {given!r}, but the ticket was opened with {known!r}, which stays"


def _differs(known: object, given: object) -> bool:
    """Whether both say something, and not the same."""
    return not is_missing(known) and not is_missing(given) and known != given


def _of_lottery(event: Event) -> Iterator[str]:
    message = _lottery(event)
    if message is None:
        return
    lines = _lines(message)
    if not lines:
        yield "it has no lines"
    if len({repr(line.get("line_id")) for line in lines}) < len(lines):
        yield "a line appears twice"
    if message.get("skip_publishing") is True:
        yield "skip_publishing is true, but it was published"
    yield from (
        _of_settlement(event, message)
        if message["type"] == "Settlement"
        else _of_bet(message, lines)
    )


def _of_settlement(event: Event, message: Mapping[str, Any]) -> Iterator[str]:
    amount = _number(message.get("amount"))
    if event.action is Action.LOST and amount:
        yield f"the amount is {amount}, but no line has won: nothing is paid"
    if _number(message.get("discount_amount")):
        yield f"a settlement has no discount, but discount_amount is {message['discount_amount']}"
    if _is_before_its_draw(event, message):
        yield f"it was settled before its draw of {written(moment(message['draw_date']))}"


def _of_bet(message: Mapping[str, Any], lines: list[dict[str, Any]]) -> Iterator[str]:
    amount = _number(message.get("amount"))
    if discount := _number(message.get("discount_amount")):
        yield f"discount_amount is {discount}: the amount of {amount} is taken for what was paid"
    if amount and lines and all(line.get("is_free_bet") is True for line in lines):
        yield f"all lines are free bets, but the amount is {amount}"


def _lottery(event: Event) -> Mapping[str, Any] | None:
    """The lottery message that the event was; anybody may have put anything in its place."""
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
        return event.occurred_at < moment(draw_date)
    except ValueError:
        return False
