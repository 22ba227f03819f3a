"""One event, or an array of them, as JSON: all are published, or none is."""

from collections.abc import Sequence
from contextlib import ExitStack
from datetime import timedelta
from typing import Final

import anyio
from fastapi import Request
from pydantic_core import from_json, to_json
from sqlalchemy import Connection

from models.events.duplicate_keys import (
    duplicate_key_problem,
    find_duplicate_keys,
    has_surely_no_duplicates,
)
from models.events.encoding import without_byte_order_mark
from models.events.stream_contract import EVENT_FIELD
from models.publishers.keys import KeyHolder
from producers.gateway.bodies import pieces, refuse_packed, too_large, too_slow
from producers.gateway.errors import Fault, Refused, invalid
from producers.gateway.event_validation import (
    InvalidEvent,
    Now,
    ValidEvent,
    examine,
    strangers,
    watch,
)
from producers.gateway.gateway import Gateway
from producers.gateway.limits import Limits
from producers.gateway.responses import Accepted, Fixed

_FORBIDDEN: Final = 403
_TOO_LARGE: Final = 413


async def publish_whole(
    request: Request, gateway: Gateway, holder: KeyHolder, *, dry_run: bool
) -> Accepted:
    """Publish the JSON body. Raises Refused: 403, 408, 413, 415, 422, 503; then nothing was."""
    now = watch(holder.now)
    with ExitStack() as holding:
        body = await _read(request, gateway, holder, holding)
        return await gateway.threads.run(
            lambda: _publish(body, gateway, holder, now=now, dry_run=dry_run)
        )


def _publish(
    body: bytes, gateway: Gateway, holder: KeyHolder, *, now: Now, dry_run: bool
) -> Accepted:
    several = _is_array(body)
    events = _elements(body, gateway.limits) if several else [body]
    good = _examined(events, several=several, now=now, age_max=gateway.settings.event_age_max)
    with gateway.engine.begin() as connection:
        _refuse_strangers(connection, holder, good, several=several)
    if not dry_run:
        gateway.stream.add([{EVENT_FIELD: one.line} for one in good])
    fixed = [Fixed(event_id=one.event_id, occurred_at=one.occurred_at) for one in good]
    return Accepted(accepted=len(good), events=fixed)


def _elements(body: bytes, limits: Limits) -> list[bytes | InvalidEvent]:
    """Each event's own text; for one in which a key appears twice, what is wrong with it."""
    try:
        elements = from_json(body)
    except ValueError as error:
        raise invalid("the body is not JSON", [Fault(at=["body"], message=str(error))]) from None
    if not elements:
        fault = Fault(at=["body"], message="the array is empty")
        raise invalid("there is no event in the body", [fault])
    if len(elements) > limits.array_events:
        message = f"at most {limits.array_events:,} events in one array; send NDJSON for more"
        raise Refused(_TOO_LARGE, message)
    found: list[bytes | InvalidEvent] = [to_json(element) for element in elements]
    if not has_surely_no_duplicates(body, elements):
        for (number, *place), key in find_duplicate_keys(body):
            assert isinstance(number, int), "its place in the array"
            found[number] = InvalidEvent(duplicate_key_problem(place, key))
    return found


def _examined(
    events: Sequence[bytes | InvalidEvent], *, several: bool, now: Now, age_max: timedelta
) -> list[ValidEvent]:
    good: list[ValidEvent] = []
    faults: list[Fault] = []
    large = False
    for place, raw in enumerate(events):
        found = raw if isinstance(raw, InvalidEvent) else examine(raw, now=now, age_max=age_max)
        if isinstance(found, InvalidEvent):
            faults.append(Fault(at=_place(place, several=several), message=found.message))
            large = large or found.too_large
        else:
            good.append(found)
    if large and len(faults) == 1:
        raise Refused(_TOO_LARGE, faults[0].message)
    if faults:
        raise invalid(f"{_count(faults, events)}; nothing was published", faults)
    return good


def _refuse_strangers(
    connection: Connection, holder: KeyHolder, good: Sequence[ValidEvent], *, several: bool
) -> None:
    found = strangers(connection, holder, (one.operator for one in good))
    for stranger in found.values():
        if stranger.forbidden:
            raise Refused(_FORBIDDEN, f"{stranger.message}; nothing was published")
    faults = [
        Fault(at=_place(place, several=several), message=found[one.operator].message)
        for place, one in enumerate(good)
        if one.operator in found
    ]
    if faults:
        raise invalid(f"{_count(faults, good)}; nothing was published", faults)


def _is_array(body: bytes | bytearray) -> bool:
    return without_byte_order_mark(bytes(body)).lstrip()[:1] == b"["


def _count(faults: Sequence[Fault], events: Sequence[object]) -> str:
    if len(events) == 1:
        return "the event is refused"
    return f"{len(faults)} of {len(events)} events are refused"


def _place(place: int, *, several: bool) -> list[str | int]:
    return ["body", place] if several else ["body"]


async def _read(request: Request, gateway: Gateway, holder: KeyHolder, holding: ExitStack) -> bytes:
    """The body: of one event's size, or, for an array, of an upload's while *holding* a place."""
    refuse_packed(request)
    limits = gateway.limits
    patience = limits.body_time.total_seconds()
    body, most = bytearray(), limits.event_bytes
    with anyio.move_on_after(patience):
        async for piece in pieces(request, beat=patience):
            body += piece
            if len(body) > most == limits.event_bytes and _is_array(body):
                holding.enter_context(gateway.upload(holder.name))
                most = limits.array_bytes
            if len(body) > most:
                raise too_large(most)
        return without_byte_order_mark(bytes(body))
    raise too_slow(f"the body was not complete within {patience:g} s")
