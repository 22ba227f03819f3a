"""Publishes the valid lines of NDJSON of any length in constant memory; reports the others."""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Final

from fastapi import Request
from sqlalchemy.exc import SQLAlchemyError

from models.events.encoding import without_byte_order_mark
from models.events.stream_contract import EVENT_FIELD
from models.platform.blocking_threads import NoThreadFree
from models.publishers.keys import KeyHolder
from producers.gateway.authentication import authenticate_publisher
from producers.gateway.bodies import read_parts, reject_compressed, too_slow
from producers.gateway.errors import (
    ErrorDetail,
    RequestRefused,
    busy,
    database_refusal,
    invalid_request,
)
from producers.gateway.event_validation import (
    InvalidEvent,
    ValidEvent,
    running_clock,
    unusable_operators,
    validate_event,
)
from producers.gateway.gateway import Gateway
from producers.gateway.responses import PublishResult, RejectedLine
from producers.gateway.traces import traceparent_of

_ENDING: Final = 1  # a carriage return at the end of a line does not count


@dataclass(frozen=True, slots=True)
class NdjsonLine:
    """A non-empty line, counted from 1. *raw* is None if it is longer than allowed."""

    number: int
    raw: bytes | None


class LineSplitter:
    """Splits text into lines while it arrives; holds one line, unless it is too long."""

    def __init__(self, *, longest: int) -> None:
        """Return lines of at most *longest* bytes."""
        self._longest = longest
        self._line = bytearray()
        self._number = 1
        self._skipping = False

    def feed(self, part: bytes) -> Iterator[NdjsonLine]:
        """Yield the lines that *part* completes."""
        *ends, rest = part.split(b"\n")
        for end in ends:
            self._add(end)
            yield from self._complete()
            self._number += 1
        self._add(rest)

    def end(self) -> Iterator[NdjsonLine]:
        """Yield the last line, which needs no line ending."""
        yield from self._complete()

    def _add(self, part: bytes) -> None:
        if self._skipping:
            return
        self._line += part
        if len(self._line) > self._longest + _ENDING:
            self._skipping = True
            self._line.clear()

    def _complete(self) -> Iterator[NdjsonLine]:
        line, too_long = bytes(self._line), self._skipping
        raw = (without_byte_order_mark(line) if self._number == 1 else line).strip()
        self._line.clear()
        self._skipping = False
        if raw or too_long:
            yield NdjsonLine(self._number, None if too_long else raw)


@dataclass(slots=True)
class _NdjsonTotals:
    """How much of the body was processed."""

    accepted: int = 0
    rejected: int = 0
    last: int = 0  # number of the last line processed
    shown: list[RejectedLine] = field(default_factory=list)

    def reject(self, line: int, error: str, *, shown_max: int) -> None:
        """Count a rejected line; list it while there is room."""
        self.rejected += 1
        if len(self.shown) < shown_max:
            self.shown.append(RejectedLine(line=line, error=error))


async def publish_ndjson(
    request: Request, gateway: Gateway, holder: KeyHolder, key: str | None, *, dry_run: bool
) -> PublishResult:
    """Publish the valid lines of the body.

    Raises RequestRefused: 422 if no line is valid; 408 or 503 midway, naming the lines processed.
    If the connection breaks, the lines that arrived before may be on the stream.
    """
    reject_compressed(request)
    totals = _NdjsonTotals()
    traceparent = traceparent_of(request)
    with gateway.upload(holder):
        async for batch in _batches(request, gateway, totals):
            work = partial(
                _publish, batch, gateway, key, totals, traceparent=traceparent, dry_run=dry_run
            )
            try:
                await gateway.threads.run(work)
            except RequestRefused as refusal:
                raise _with_progress(refusal, totals) from refusal
            except NoThreadFree as error:
                raise _with_progress(busy(), totals) from error
            except SQLAlchemyError as error:
                raise _with_progress(database_refusal(error), totals) from error
    return _result(totals)


async def _batches(
    request: Request, gateway: Gateway, totals: _NdjsonTotals
) -> AsyncIterator[Sequence[NdjsonLine]]:
    """Yield groups of lines that fit in memory; a small one if no more lines arrive."""
    limits = gateway.limits
    lines = LineSplitter(longest=limits.event_bytes)
    batch: list[NdjsonLine] = []
    size = 0
    interval = limits.flush.total_seconds()
    silence = 0.0
    async for part in read_parts(request, interval=interval):
        silence = 0.0 if part else silence + interval
        if silence >= limits.body_silence.total_seconds():
            raise _with_progress(too_slow(f"no data arrived for {silence:g} s"), totals)
        if not part and batch:
            yield batch
            batch, size = [], 0
        for line in lines.feed(part):
            batch.append(line)
            size += len(line.raw or b"")
            if len(batch) >= limits.batch_lines or size >= limits.batch_bytes:
                yield batch
                batch, size = [], 0
    batch += lines.end()
    if batch:
        yield batch


def _publish(
    batch: Sequence[NdjsonLine],
    gateway: Gateway,
    key: str | None,
    totals: _NdjsonTotals,
    *,
    traceparent: str | None,
    dry_run: bool,
) -> None:
    """Publish the valid lines of one batch together, or none of them."""
    shown_max = gateway.limits.rejected_lines_shown
    with gateway.engine.begin() as connection:
        holder = authenticate_publisher(connection, key)  # it may have been revoked since
        validated = _validated(batch, holder, gateway.settings.event_age_max)
        named = {event.operator for _, event in validated if isinstance(event, ValidEvent)}
        unusable = unusable_operators(connection, holder, named)
    valid: list[ValidEvent] = []
    errors: list[tuple[int, str]] = []
    for number, event in validated:
        if isinstance(event, InvalidEvent):
            errors.append((number, event.message))
        elif event.operator in unusable:
            errors.append((number, unusable[event.operator].message))
        else:
            valid.append(event)
    if valid and not dry_run:
        entries = [{EVENT_FIELD: event.line} for event in valid]
        gateway.stream.add(entries, traceparent=traceparent)
    totals.accepted += len(valid)
    for number, message in errors:
        totals.reject(number, message, shown_max=shown_max)
    totals.last = batch[-1].number


def _validated(
    batch: Sequence[NdjsonLine], holder: KeyHolder, age_max: timedelta
) -> list[tuple[int, ValidEvent | InvalidEvent]]:
    now = running_clock(holder.now)
    too_long = InvalidEvent("the line is longer than the maximum of an event", too_large=True)
    return [
        (
            line.number,
            too_long if line.raw is None else validate_event(line.raw, now=now, age_max=age_max),
        )
        for line in batch
    ]


def _result(totals: _NdjsonTotals) -> PublishResult:
    if totals.accepted:
        return PublishResult(
            accepted=totals.accepted, rejected=totals.shown, rejected_count=totals.rejected
        )
    if not totals.rejected:
        raise invalid_request(
            "the body holds no event", [ErrorDetail(at=["body"], message="it is empty")]
        )
    errors = [ErrorDetail(at=["body", line.line], message=line.error) for line in totals.shown]
    raise invalid_request(
        f"none of the {totals.rejected} lines is a valid event; nothing was published", errors
    )


def _with_progress(refusal: RequestRefused, totals: _NdjsonTotals) -> RequestRefused:
    """Return *refusal* with how much of the body was processed before it."""
    if not totals.last:
        return refusal
    done = (
        f"lines 1 to {totals.last} are processed: {totals.accepted} accepted,"
        f" {totals.rejected} rejected; send the rest, or all of it again with the same event_ids"
    )
    return RequestRefused(refusal.status, f"{refusal.message} ({done})", headers=refusal.headers)
