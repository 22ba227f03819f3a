"""Turns a lottery message into an event: `Bet` opens a ticket, `Settlement` is its result.

The feed (contracts 3.2, contracts 5.5) has no event id and no rollback. So the id is derived from
the content of a settlement, which makes a repeated delivery the same event, and every settlement is
a correction of the one before.
"""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from models.events.age import publish_age_problem
from models.events.duplicate_keys import refuse_duplicate_keys
from models.events.event import Entry, Event
from models.events.field_names import refuse_near_misses
from models.events.format import Id
from models.events.lottery_format import (
    LINE_NAMES,
    MESSAGE_NAMES,
    LotteryMessage,
    draw_time,
    is_plain,
)
from models.events.messages import IDS_RULE, TEXT_RULE, check_nfc, check_storable, not_json
from models.events.published import event_field
from models.events.refusal import Refusal
from models.events.stream_contract import (
    EVENT_BYTES_MAX,
    ID_CHARACTERS_MAX,
    MINOR_UNITS_MAX,
    OPERATOR_FIELD,
)
from models.platform.input_problems import describe_problems, quote
from models.platform.money import from_decimal_units
from models.platform.timestamps import TIMESTAMP_RULE, parse_timestamp
from models.vocabulary import Action, Reason

_MESSAGE: Final = TypeAdapter(LotteryMessage)
_ID: Final = TypeAdapter(Id)
_AMOUNT: Final = re.compile(rb'"amount"\s*:\s*([-+0-9.eE]*)')
_OPERATORS: Final = 1024  # whose codes are kept once they were checked


@dataclass(frozen=True, slots=True)
class _LotteryContent:
    """A valid message; *cents* is its amount in the currency's minor unit."""

    payload: dict[str, Any]
    action: Action
    at: datetime
    cents: int


def read_lottery(entry: Entry) -> Event:
    """Return the event in a lottery message, with the whole message in its data. Raises Refusal."""
    content = _content(event_field(entry))
    operator = _operator(entry)
    entered = entry.received_at
    payload = content.payload
    data = {"operator": operator, "ticket_id": payload["ticket_id"]} | _facts(content)
    return Event(
        event_id=_event_id(content),
        action=content.action,
        operator=operator,
        ticket_id=payload["ticket_id"],
        data=data | {"lottery": payload},
        occurred_at=content.at,
        order_time=min(content.at, entered),
        received_at=entered,
        entry_id=entry.id,
        read_at=entry.read_at,
        entry=entry,
    )


def lottery_problem(payload: bytes, *, now: datetime, age_max: timedelta) -> Refusal | None:
    """Return why the message in *payload* would be rejected for form or age, or None.

    For an interface that responds at once. What its ticket and operator make of it is known later.
    """
    try:
        content = _content(payload)
    except Refusal as refusal:
        return refusal
    if why := publish_age_problem(content.at, now=now, age_max=age_max):
        return Refusal(Reason.TOO_OLD, f"timestamp {why}")
    return None


def draw_ticket_id(ticket_id: str, draw: str) -> str:
    """Return the ticket's id, where each draw of a lottery ticket is a ticket of its own (H11)."""
    return f"{ticket_id}.{draw}"


def draw_ticket_id_problem(ticket_id: str) -> str | None:
    """Return why the result of `draw_ticket_id` is not an id, or None if it is one."""
    if len(ticket_id) <= ID_CHARACTERS_MAX:
        return None
    return (
        f"ticket_id and draw_id together have {len(ticket_id)} characters; "
        f"at most {ID_CHARACTERS_MAX} are taken"
    )


def message_draw_id_problem(payload: bytes) -> str | None:
    """The same for the message in *payload*, which is valid otherwise."""
    message = from_json(payload)
    return draw_ticket_id_problem(draw_ticket_id(message["ticket_id"], message["draw_id"]))


def ids_in(entry: Entry) -> dict[str, object]:
    """Return the ids that the message seems to hold, and the operator beside it, for searches."""
    operator = entry.fields.get(OPERATOR_FIELD, b"")
    ids: dict[str, object] = {"operator": operator.decode("utf-8", "replace")}
    try:
        payload = from_json(event_field(entry))
    except ValueError:
        return ids
    return ids | {"ticket_id": payload.get("ticket_id") if isinstance(payload, dict) else None}


def _content(raw: bytes) -> _LotteryContent:
    if len(raw) > EVENT_BYTES_MAX:
        raise Refusal(
            Reason.TOO_LARGE,
            f"the message has {len(raw)} bytes; at most {EVENT_BYTES_MAX} are taken",
        )
    try:
        payload = from_json(raw)
    except ValueError as error:
        raise not_json(raw, str(error), what="the message") from None
    if not isinstance(payload, dict):
        raise Refusal(Reason.INVALID_EVENT, "the message is not a JSON object")
    plain = is_plain(raw, payload)
    if not plain:
        refuse_duplicate_keys(raw)
        _check_names(payload)
    try:
        _MESSAGE.validate_python(payload)
    except ValidationError as error:
        raise _refusal_of(payload, error) from None
    if not plain:
        check_storable(payload, "message")
    _timestamp(payload, "draw_date", draw_time)
    at = _timestamp(payload, "timestamp", parse_timestamp)
    return _LotteryContent(payload, _action(payload), at, _cents(raw, payload))


def _check_names(payload: dict[str, Any]) -> None:
    """Refuse a field whose name is nearly a known one; `meta` may hold any."""
    near_misses = MESSAGE_NAMES.near_misses(payload)
    lines = payload.get("lines")
    for place, line in enumerate(lines if isinstance(lines, list) else ()):
        if isinstance(line, dict) and (in_line := LINE_NAMES.near_misses(line)):
            near_misses |= {f"lines.{place}.{name}": meant for name, meant in in_line.items()}
    refuse_near_misses(near_misses)


def _action(payload: dict[str, Any]) -> Action:
    if payload["type"] == "Bet":
        return Action.OPEN
    won = any(line["is_winning_line"] for line in payload["lines"])
    return Action.WIN if won else Action.LOST


def _facts(content: _LotteryContent) -> dict[str, Any]:
    """Return the message's content in the fields of an event."""
    payload = content.payload
    if content.action is Action.OPEN:
        return {
            "player_id": payload["user_id"],
            "price": content.cents,
            "currency": payload["currency"],
            "game": payload["lottery_name"],
            "game_id": payload["lottery_id"],
        }
    # The amount of a settlement is the win (contracts 5.5); on a lost one it means nothing.
    paid = {"net_payout": content.cents} if content.action is Action.WIN else {}
    return paid | {"correction": True}


def _event_id(content: _LotteryContent) -> str:
    """Return an id that is the same for the same statement, however it is written.

    The ticket is not part of it: an id counts per ticket (rule 2).
    """
    payload = content.payload
    parts = (
        payload["type"],
        payload["draw_id"],
        content.at.isoformat(),
        content.action,
        str(content.cents),
        payload["currency"],
    )
    return f"lottery:{hashlib.sha256(' '.join(parts).encode()).hexdigest()[:40]}"


def _timestamp(payload: dict[str, Any], name: str, parse: Callable[[str], datetime]) -> datetime:
    try:
        return parse(payload[name])
    except ValueError as error:
        raise Refusal(
            Reason.INVALID_EVENT, f"{name}: {error} (was {quote(payload[name])})"
        ) from None


def _cents(raw: bytes, payload: dict[str, Any]) -> int:
    """Return the amount in the currency's minor unit: exact, from the digits as written."""
    try:
        cents = from_decimal_units(_exact(raw, payload["amount"]), payload["currency"])
    except (ValueError, InvalidOperation) as error:
        where = "currency" if "ISO 4217" in str(error) else "amount"
        raise Refusal(
            Reason.INVALID_EVENT, f"{where}: {error} (was {quote(payload[where])})"
        ) from None
    if cents > MINOR_UNITS_MAX:
        raise Refusal(
            Reason.INVALID_EVENT,
            f"amount: at most {MINOR_UNITS_MAX} in the currency's minor unit are taken"
            f" (it has {cents})",
        )
    return cents


def _exact(raw: bytes, amount: float) -> Decimal:
    """Return the exact amount: a fraction is read again as text, for a float is not exact.

    Without escapes the key that is there once is the message's own.
    """
    if isinstance(amount, int):
        return Decimal(amount)
    written = _AMOUNT.findall(raw)
    if len(written) == 1 and b"\\" not in raw:
        return Decimal(written[0].decode())
    return Decimal(json.loads(raw.decode(), parse_float=str)["amount"])


def _operator(entry: Entry) -> str:
    given = entry.fields.get(OPERATOR_FIELD)
    if given is None:
        raise Refusal(
            Reason.INVALID_EVENT,
            "the entry has no field `operator`: add the operator whose lottery it is, "
            "beside `type` and `event`",
        )
    return _operator_named(given)


@lru_cache(_OPERATORS)
def _operator_named(given: bytes) -> str:
    """Return the operator's code. Raises Refusal, which is not kept."""
    try:
        operator = _ID.validate_python(given.decode())
    except (UnicodeDecodeError, ValidationError):
        raise Refusal(
            Reason.INVALID_EVENT,
            f"the entry's field `operator` {IDS_RULE} (was {quote(given)[1:]})",
        ) from None
    check_nfc({"the entry's field `operator`": operator})
    return operator


def _refusal_of(payload: dict[str, Any], error: ValidationError) -> Refusal:
    problems = error.errors(include_url=False, include_context=False)
    if not problems[0]["loc"]:  # neither of the two kinds
        given = quote(payload["type"]) if "type" in payload else None
        wrong = "is missing" if given is None else f"must be Bet or Settlement (was {given})"
        return Refusal(Reason.INVALID_EVENT, f"type: {wrong}")
    return Refusal(Reason.INVALID_EVENT, describe_problems(problems, place=_place, rules=_RULES))


def _place(loc: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in loc[1:])  # the first is the kind of message


_RULES = {
    **dict.fromkeys(("ticket_id", "draw_id"), f"must be text of 1 to {ID_CHARACTERS_MAX} digits"),
    "lottery_id": "must be text of 1 to 255 digits",
    **dict.fromkeys(("timestamp", "draw_date"), TIMESTAMP_RULE),
    "amount": "must be a number from 0, in units of the currency",
    "user_id": "must be text of 1 to 255 characters, without NUL",
    **dict.fromkeys(("lottery_name", "lottery_type", "currency", "origin"), TEXT_RULE),
    **dict.fromkeys(("bonus_code", "device_type"), TEXT_RULE),
}
