"""What no backend should ever publish: malformed entries of the stream.

Each kind makes a different one each time, from a seed. Beside it stands the reason that it must be
kept with, written by hand.
"""

import gzip
import json
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any, Final

from models.events.stream_contract import EVENT_BYTES_MAX
from models.vocabulary import Reason

OPERATOR: Final = "acme"
SEED: Final = 20_261_120
DEEP: Final = 3_000
LONG_AGO: Final = datetime(2020, 2, 29, tzinfo=UTC)

Fields = dict[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Entry:
    """A malformed entry of the stream, or message on its way there, and what must be said of it."""

    kind: str
    fields: Fields
    reason: Reason


def entries(each: int) -> Iterator[Entry]:
    """So many of every kind, well mixed."""
    rng = Random(SEED)  # noqa: S311 - rubbish, nothing secret
    made = [
        Entry(kind, make(rng), reason)
        for kind, (reason, make) in STREAM.items()
        for _ in range(each)
    ]
    rng.shuffle(made)
    yield from made


def event(rng: Random, **changed: object) -> dict[str, Any]:
    """An event that would be good but for what is *changed*; `...` leaves a part out."""
    data = {"operator": OPERATOR, "ticket_id": f"poisoned-{rng.getrandbits(40)}"}
    given = changed.pop("data", {})
    whole: dict[str, object] = {
        "event_id": f"poison-{rng.getrandbits(60)}",
        "action": "ticket_win",
        "data": {**data, **given} if isinstance(given, dict) else given,
        **changed,
    }
    return {name: value for name, value in whole.items() if value is not ...}


def as_json(value: object) -> bytes:
    """Write JSON as any client does."""
    return json.dumps(value).encode()


def _with_data(rng: Random, text: str) -> bytes:
    """An event with *text* written into its data as it stands."""
    return as_json(event(rng)).replace(b'"data": {', b'"data": {' + text.encode() + b", ")


def _half(rng: Random) -> bytes:
    whole = as_json(event(rng))
    return whole[: rng.randrange(1, len(whole) - 1)]


def _garbled(rng: Random) -> bytes:
    whole = bytearray(as_json(event(rng)))
    whole[rng.randrange(len(whole))] = 0xFF
    return bytes(whole)


def _digits(rng: Random) -> str:
    return str(rng.randrange(1, 10)) + "9" * 5_000


def _alone(make: Callable[[Random], bytes]) -> Callable[[Random], Fields]:
    """As the entry's one field, where an event belongs."""
    return lambda rng: {b"event": make(rng)}


def _of(**changed: object) -> Callable[[Random], Fields]:
    """An event with something changed."""
    return lambda rng: {b"event": as_json(event(rng, **changed))}


def _data(**changed: object) -> Callable[[Random], Fields]:
    """An event with something changed in its data."""
    return _of(data=changed)


def _slip_without_amounts(rng: Random) -> Fields:
    action = rng.choice(["ticket_create", "ticket_reserve", "ticket_update"])
    return {b"event": as_json(event(rng, action=action))}


def _named_twice(rng: Random) -> Fields:
    whole = as_json(event(rng)).decode()
    return {
        b"event": whole.replace("{", '{"action": "ticket_open", "data": 1, ', 1)
        .replace('"ticket_win"', '"ticket_won!"')
        .encode()
    }


def _several_fields(rng: Random) -> Fields:
    whole = event(rng)
    return {name.encode(): as_json(value) for name, value in whole.items()}


STREAM: Final[dict[str, tuple[Reason, Callable[[Random], Fields]]]] = {
    "not JSON": (Reason.NOT_JSON, _alone(lambda rng: b"win %d" % rng.getrandbits(20))),
    "nothing": (Reason.NOT_JSON, _alone(lambda _: b"")),
    "half": (Reason.NOT_JSON, _alone(_half)),
    "not UTF-8": (Reason.NOT_UTF8, _alone(_garbled)),
    "compressed": (Reason.NOT_UTF8, _alone(lambda rng: gzip.compress(as_json(event(rng))))),
    "a pickle": (Reason.NOT_UTF8, _alone(lambda rng: pickle.dumps(event(rng)))),
    "a NUL byte": (
        Reason.NOT_JSON,
        _alone(lambda rng: as_json(event(rng)).replace(b"poisoned", b"poi\x00oned")),
    ),
    "a NUL in an id": (Reason.INVALID_EVENT, _data(ticket_id="a\x00b")),
    "a NUL in an unknown field": (Reason.INVALID_EVENT, _data(note={"deep": ["a\x00b"]})),
    "a lone surrogate": (
        Reason.NOT_JSON,
        _alone(lambda rng: as_json(event(rng)).replace(b"poisoned", rb"poi\ud800oned")),
    ),
    "deep arrays": (
        Reason.NOT_JSON,
        _alone(lambda rng: _with_data(rng, '"x": ' + "[" * DEEP + "]" * DEEP)),
    ),
    "deep objects": (Reason.NOT_JSON, _alone(lambda _: b'{"a":' * DEEP + b"1" + b"}" * DEEP)),
    "a number without end": (
        Reason.NOT_JSON,
        _alone(lambda rng: _with_data(rng, f'"x": {_digits(rng)}')),
    ),
    "a number beyond all": (
        Reason.INVALID_EVENT,
        _alone(lambda rng: _with_data(rng, f'"x": {rng.randrange(1, 9)}e400')),
    ),
    "not a number": (Reason.INVALID_EVENT, _alone(lambda rng: _with_data(rng, '"x": NaN'))),
    "huge": (
        Reason.TOO_LARGE,
        _alone(
            lambda rng: _with_data(rng, f'"x": "{"y" * (EVENT_BYTES_MAX + rng.getrandbits(9))}"')
        ),
    ),
    "another type": (
        Reason.INVALID_EVENT,
        _alone(lambda rng: rng.choice([b"null", b"[]", b"7", b'"ticket_win"', b"true"])),
    ),
    "no action": (Reason.INVALID_EVENT, _of(action=...)),
    "no data": (Reason.INVALID_EVENT, _of(data=...)),
    "data is a list": (Reason.INVALID_EVENT, _of(data=[OPERATOR, "t"])),
    "no ticket": (
        Reason.INVALID_EVENT,
        _alone(lambda rng: as_json(event(rng)).replace(b"ticket_id", b"ticketId")),
    ),
    "a name that is nearly known": (Reason.INVALID_EVENT, _of(occurredAt="now")),
    "an unknown action": (Reason.UNKNOWN_ACTION, _of(action="ticket_lose")),
    "the clock's action": (Reason.UNKNOWN_ACTION, _of(action="ticket_closed")),
    "an id that is a number": (Reason.INVALID_EVENT, _data(ticket_id=1330556611374148608)),
    "an id with spaces": (Reason.INVALID_EVENT, _data(ticket_id="a b")),
    "an id without end": (Reason.INVALID_EVENT, _of(event_id="e" * 4_000)),
    "a negative amount": (Reason.INVALID_EVENT, _data(net_payout=-1)),
    "a fraction of a cent": (Reason.INVALID_EVENT, _data(net_payout=0.5)),
    "an amount in words": (Reason.INVALID_EVENT, _data(net_payout="500")),
    "a slip without amounts": (Reason.INVALID_EVENT, _slip_without_amounts),
    "a date that never was": (Reason.INVALID_EVENT, _of(occurred_at="2026-02-30T10:00:00Z")),
    "a time without a zone": (Reason.INVALID_EVENT, _of(occurred_at="2026-11-20T10:00:00")),
    "long ago": (Reason.TOO_OLD, _of(occurred_at=LONG_AGO.isoformat())),
    "number zero": (Reason.INVALID_EVENT, _of(sequence=0)),
    "a key twice": (Reason.INVALID_EVENT, _named_twice),
    "another field": (Reason.INVALID_EVENT, lambda rng: {b"payload": as_json(event(rng))}),
    "several fields": (Reason.INVALID_EVENT, _several_fields),
    "an unknown type": (
        Reason.UNKNOWN_TYPE,
        lambda rng: {b"type": b"XML\xff", b"event": as_json(event(rng))},
    ),
    "no lottery's message": (
        Reason.INVALID_EVENT,
        lambda rng: {b"type": b"LOTTERY_V2", b"event": as_json(event(rng))},
    ),
    "an unknown operator's": (Reason.UNKNOWN_OPERATOR, _data(operator="nobody")),
}
