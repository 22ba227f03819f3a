"""Splits NDJSON into lines while it arrives, holding one line at most."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from models.events.encoding import without_mark

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
        raw = (without_mark(begun) if self._number == 1 else begun).strip()
        self._begun.clear()
        self._skipping = False
        if raw or too_long:
            yield NdjsonLine(self._number, None if too_long else raw)
