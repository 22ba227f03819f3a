"""Events from a file, a group at a time, and each event's line."""

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
class Read:
    """An event and the line it stands on."""

    line: int
    event: dict[str, object]


@contextmanager
def opened(file: Path) -> Iterator[BinaryIO]:
    """Open *file* (`-`: stdin). Raises WrongUsage when it cannot be read."""
    if str(file) == "-":
        yield sys.stdin.buffer
        return
    try:
        found = file.open("rb")
    except OSError as refusal:
        raise WrongUsage(f"{file}: {refusal.strerror}") from None
    with found:
        yield found


def lines_of(lines: BinaryIO, *, from_line: int = 1) -> Iterator[Read | BadLine]:
    """Each line from *from_line* on that is not empty. Ends behind a line that is too long.

    Of such a line, the rest would read as further lines.
    """
    number = 0
    while read := lines.readline(LINE_BYTES_MAX + 1):
        number += 1
        too_long = len(read) > LINE_BYTES_MAX
        line = without_byte_order_mark(read) if number == 1 else read
        if number >= from_line and line.strip():
            event = _event(line)
            yield BadLine(number, event) if isinstance(event, str) else Read(number, event)
        if too_long:
            break


def _event(line: bytes) -> dict[str, object] | str:
    """The event on a line, or what is wrong with it."""
    if len(line) > LINE_BYTES_MAX:
        return f"longer than {LINE_BYTES_MAX:,} bytes; an event has at most {EVENT_BYTES_MAX:,}"
    try:
        event = json.loads(line.decode())  # of bytes it would guess the encoding
    except UnicodeDecodeError as flaw:
        return f"not UTF-8: {flaw.reason} at byte {flaw.start}{_instead(line)}"
    except ValueError as flaw:
        return f"not JSON: {flaw}{_instead(line)}"
    except RecursionError:
        return "nested too deeply"
    if not isinstance(event, dict):
        return 'not an object; an event is {"event_id": …, "action": …, "data": {…}}'
    twice = find_duplicate_keys(line)  # of a key that appears twice, a dict keeps the last
    return duplicate_key_problem(*twice[0]) if twice else event


def _instead(line: bytes) -> str:
    found = encoding_problem(line)
    return f"; {found}" if found else ""
