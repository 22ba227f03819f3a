"""Reads events from a file, with the line of each."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from models.events.duplicate_keys import duplicate_key_problem, find_duplicate_keys
from models.events.encoding import encoding_problem, without_byte_order_mark
from models.events.stream_contract import EVENT_BYTES_MAX
from worker.cli.errors import WrongUsage

LINE_BYTES_MAX: Final = 4 * EVENT_BYTES_MAX  # escapes and spaces may make a line longer


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that cannot be an event."""

    line: int
    problem: str


@dataclass(frozen=True, slots=True)
class EventLine:
    """An event and its line."""

    line: int
    event: dict[str, object]


@contextmanager
def opened(file: Path) -> Iterator[BinaryIO]:
    """Open *file* (`-`: stdin). Raises WrongUsage if it cannot be read."""
    if str(file) == "-":
        yield sys.stdin.buffer
        return
    try:
        lines = file.open("rb")
    except OSError as refusal:
        raise WrongUsage(f"{file}: {refusal.strerror}") from None
    with lines:
        yield lines


def lines_of(lines: BinaryIO, *, from_line: int = 1) -> Iterator[EventLine | BadLine]:
    """Read the lines from *from_line* on, without empty ones.

    Ends after a line that is too long: its rest would be read as further lines.
    """
    number = 0
    while raw := lines.readline(LINE_BYTES_MAX + 1):
        number += 1
        too_long = len(raw) > LINE_BYTES_MAX
        line = without_byte_order_mark(raw) if number == 1 else raw
        if number >= from_line and line.strip():
            event = _event(line)
            yield BadLine(number, event) if isinstance(event, str) else EventLine(number, event)
        if too_long:
            break


def _event(line: bytes) -> dict[str, object] | str:
    """Return the event on a line, or what is wrong with it."""
    if len(line) > LINE_BYTES_MAX:
        return f"longer than {LINE_BYTES_MAX:,} bytes; an event has at most {EVENT_BYTES_MAX:,}"
    try:
        event = json.loads(line.decode())  # json.loads would guess the encoding of bytes
    except UnicodeDecodeError as error:
        return f"not UTF-8: {error.reason} at byte {error.start}{_encoding_advice(line)}"
    except ValueError as error:
        return f"not JSON: {error}{_encoding_advice(line)}"
    except RecursionError:
        return "nested too deeply"
    if not isinstance(event, dict):
        return 'not an object; an event is {"event_id": …, "action": …, "data": {…}}'
    duplicates = find_duplicate_keys(line)  # of duplicate keys, a dict keeps the last
    return duplicate_key_problem(*duplicates[0]) if duplicates else event


def _encoding_advice(line: bytes) -> str:
    problem = encoding_problem(line)
    return f"; {problem}" if problem else ""
