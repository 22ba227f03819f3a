"""NDJSON of any length in flat memory: the good lines are published, the others are told."""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Final

from fastapi import Request
from sqlalchemy.exc import SQLAlchemyError

from models.events.encoding import without_byte_order_mark
from models.events.stream_contract import EVENT_FIELD
from models.publishers.keys import KeyHolder
from producers.gateway.authentication import holder_or_refusal
from producers.gateway.bodies import pieces, refuse_packed, too_slow
from producers.gateway.errors import Fault, Refused, database_refusal, invalid
from producers.gateway.event_validation import InvalidEvent, ValidEvent, examine, strangers, watch
from producers.gateway.gateway import Gateway
from producers.gateway.responses import Accepted, RefusedLine

_ENDING: Final = 1  # a carriage return before the line's end does not count


@dataclass(frozen=True, slots=True)
class NdjsonLine:
    """A line that is not empty, counted from 1. *raw* is None when it is longer than allowed."""

    number: int
    raw: bytes | None


class LineSplitter:
    """Takes pieces of text, gives whole lines; of a line that is too long nothing is kept."""

    def __init__(self, *, longest: int) -> None:
        """Give lines of at most *longest* bytes."""
        self._longest = longest
        self._begun = bytearray()
        self._number = 1
        self._skipping = False

    def feed(self, piece: bytes) -> Iterator[NdjsonLine]:
        """Give the lines that *piece* completes."""
        *whole, rest = piece.split(b"\n")
        for part in whole:
            self._add(part)
            yield from self._taken()
            self._number += 1
        self._add(rest)

    def end(self) -> Iterator[NdjsonLine]:
        """Give the last line, which need not end like the others."""
        yield from self._taken()

    def _add(self, part: bytes) -> None:
        if self._skipping:
            return
        self._begun += part
        if len(self._begun) > self._longest + _ENDING:
            self._skipping = True
            self._begun.clear()

    def _taken(self) -> Iterator[NdjsonLine]:
        begun, too_long = bytes(self._begun), self._skipping
        raw = (without_byte_order_mark(begun) if self._number == 1 else begun).strip()
        self._begun.clear()
        self._skipping = False
        if raw or too_long:
            yield NdjsonLine(self._number, None if too_long else raw)


@dataclass(slots=True)
class _NdjsonTotals:
    """How far the body was dealt with."""

    accepted: int = 0
    refused: int = 0
    last: int = 0  # number of the last line that was dealt with
    shown: list[RefusedLine] = field(default_factory=list)

    def refuse(self, line: int, error: str, *, shown_max: int) -> None:
        """Count a refused line; list it while there is room."""
        self.refused += 1
        if len(self.shown) < shown_max:
            self.shown.append(RefusedLine(line=line, error=error))


async def publish_flow(
    request: Request, gateway: Gateway, holder: KeyHolder, key: str | None, *, dry_run: bool
) -> Accepted:
    """Publish the good lines of the body.

    Raises Refused: 422 when none was good; 408, 503 in the middle, telling which lines are done.
    When the connection breaks, the lines that had come before may be on the stream.
    """
    refuse_packed(request)
    tally = _NdjsonTotals()
    with gateway.upload(holder.name):
        async for batch in _batches(request, gateway, tally):
            work = partial(_publish, batch, gateway, key, tally, dry_run=dry_run)
            try:
                await gateway.threads.run(work)
            except Refused as refusal:
                raise _within(refusal, tally) from refusal
            except SQLAlchemyError as error:
                raise _within(database_refusal(error), tally) from error
    return _answer(tally)


async def _batches(
    request: Request, gateway: Gateway, tally: _NdjsonTotals
) -> AsyncIterator[Sequence[NdjsonLine]]:
    """Groups of lines, none larger than fits in memory; a small one when nothing more comes."""
    limits = gateway.limits
    lines = LineSplitter(longest=limits.event_bytes)
    batch: list[NdjsonLine] = []
    size = 0
    beat = limits.flush.total_seconds()
    silence = 0.0
    async for piece in pieces(request, beat=beat):
        silence = 0.0 if piece else silence + beat
        if silence >= limits.body_silence.total_seconds():
            raise _within(too_slow(f"nothing came for {silence:g} s"), tally)
        if not piece and batch:
            yield batch
            batch, size = [], 0
        for line in lines.feed(piece):
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
    tally: _NdjsonTotals,
    *,
    dry_run: bool,
) -> None:
    """One batch: what is good of it is on the stream together, or nothing of it."""
    shown_max = gateway.limits.faults_shown
    with gateway.engine.begin() as connection:
        holder = holder_or_refusal(connection, key)  # it may have been revoked meanwhile
        found = _examined(batch, holder, gateway.settings.event_age_max)
        named = {one.operator for _, one in found if isinstance(one, ValidEvent)}
        unwelcome = strangers(connection, holder, named)
    good: list[ValidEvent] = []
    faults: list[tuple[int, str]] = []
    for number, one in found:
        if isinstance(one, InvalidEvent):
            faults.append((number, one.message))
        elif one.operator in unwelcome:
            faults.append((number, unwelcome[one.operator].message))
        else:
            good.append(one)
    if good and not dry_run:
        gateway.stream.add([{EVENT_FIELD: one.line} for one in good])
    tally.accepted += len(good)
    for number, message in faults:
        tally.refuse(number, message, shown_max=shown_max)
    tally.last = batch[-1].number


def _examined(
    batch: Sequence[NdjsonLine], holder: KeyHolder, age_max: timedelta
) -> list[tuple[int, ValidEvent | InvalidEvent]]:
    now = watch(holder.now)
    too_long = InvalidEvent("the line is longer than an event may be", too_large=True)
    return [
        (
            line.number,
            too_long if line.raw is None else examine(line.raw, now=now, age_max=age_max),
        )
        for line in batch
    ]


def _answer(tally: _NdjsonTotals) -> Accepted:
    if tally.accepted:
        return Accepted(accepted=tally.accepted, rejected=tally.shown, rejected_count=tally.refused)
    if not tally.refused:
        raise invalid("there is no event in the body", [Fault(at=["body"], message="it is empty")])
    faults = [Fault(at=["body", one.line], message=one.error) for one in tally.shown]
    raise invalid(f"none of {tally.refused} lines is an event; nothing was published", faults)


def _within(refusal: Refused, tally: _NdjsonTotals) -> Refused:
    """The same, with how far the body was dealt with before."""
    if not tally.last:
        return refusal
    done = (
        f"lines 1 to {tally.last} are done: {tally.accepted} accepted, {tally.refused} refused;"
        " send the rest, or all of it again with the same event_ids"
    )
    return Refused(refusal.status, f"{refusal.message} ({done})", headers=refusal.headers)
