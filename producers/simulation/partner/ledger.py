"""What a partner received, in order, and how it responded."""

import base64
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from time import monotonic
from typing import Protocol

from models.platform.timestamps import format_timestamp
from producers.simulation.partner.behaviour import Behaviour

ENTRIES_MAX = 200_000


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One request, and how it was handled so far."""

    number: int  # from 1, in the order of arrival
    received_at: datetime
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]  # names are lower-case
    body: bytes
    action: str | None  # None: the body is not an action
    operator: str | None
    ticket_id: str | None
    idempotency_key: str | None
    signature_ok: bool | None  # None: the action needs none (ping)
    behaviour: Behaviour  # chosen by the script, or an error response
    taken: bool = False  # the partner acted on it
    repeats: bool = False  # it had acted on this Idempotency-Key before
    status: int | None = None  # None: no response so far
    answered_at: datetime | None = None  # when it began to send the response
    sent_again: bool = False  # at a person's request: nothing in a request says so

    def format_line(self) -> str:
        """Format it as one line for people."""
        request = self.action or f"{self.method} {self.path}"
        ticket = f" {self.operator}/{self.ticket_id}" if self.ticket_id else ""
        response = "no answer" if self.status is None else str(self.status)
        signature = ", bad signature" if self.signature_ok is False else ""
        repeat = ", again" if self.repeats else ""
        at = format_timestamp(self.received_at, "milliseconds")
        return f"{at} {request}{ticket} -> {response}{signature}{repeat}"

    def as_json(self) -> dict[str, object]:
        """Return it as JSON values; a body that is not UTF-8 is in base64."""
        try:
            body: dict[str, object] = {"body": self.body.decode("utf-8")}
        except UnicodeDecodeError:
            body = {"body_base64": base64.b64encode(self.body).decode("ascii")}
        return {
            "number": self.number,
            "received_at": format_timestamp(self.received_at),
            "method": self.method,
            "path": self.path,
            "headers": [list(header) for header in self.headers],
            **body,
            "action": self.action,
            "operator": self.operator,
            "ticket_id": self.ticket_id,
            "idempotency_key": self.idempotency_key,
            "signature_ok": self.signature_ok,
            "behaviour": repr(self.behaviour),
            "taken": self.taken,
            "repeats": self.repeats,
            "status": self.status,
            "answered_at": None if self.answered_at is None else format_timestamp(self.answered_at),
        }


class EntryFactory(Protocol):
    """Creates the entry with a given number."""

    def __call__(self, number: int) -> LedgerEntry:
        """Return the entry with this number."""


class Ledger:
    """The last *entries_max* entries; written by the partner, read from any thread."""

    def __init__(self, *, entries_max: int = ENTRIES_MAX) -> None:
        """Start empty."""
        self._entries_max = entries_max
        self._entries: OrderedDict[int, LedgerEntry] = OrderedDict()
        self._taken_by_key: dict[str, int] = {}
        self._changed = threading.Condition()
        self._last = 0
        self._changes = 0

    @property
    def forgotten(self) -> int:
        """How many entries were evicted; a verdict on the rest may then be wrong."""
        return self._last - len(self._entries)

    def entries(self, *, after: int = 0, limit: int | None = None) -> tuple[LedgerEntry, ...]:
        """Return the entries with a number above *after*, in the order of arrival."""
        with self._changed:
            chosen = [entry for entry in self._entries.values() if entry.number > after]
        return tuple(chosen[:limit])

    def wait_until(
        self, condition: Callable[[tuple[LedgerEntry, ...]], bool], *, seconds: float
    ) -> tuple[LedgerEntry, ...]:
        """Wait until *condition* holds for all entries, and return them.

        Raises TimeoutError, with the number of entries, if that takes longer than *seconds*.
        """
        deadline = monotonic() + seconds
        while True:
            with self._changed:
                seen, entries = self._changes, tuple(self._entries.values())
            if condition(entries):  # without the lock, so that the partner continues meanwhile
                return entries
            if not self._wait_for_change(since=seen, seconds=deadline - monotonic()):
                raise TimeoutError(f"not within {seconds} s; there are {len(entries)} entries")

    def entry(self, number: int) -> LedgerEntry | None:
        """Return the entry with this number, or None if it was evicted."""
        with self._changed:
            return self._entries.get(number)

    def receive(self, create: EntryFactory) -> LedgerEntry:
        """Add the next entry; evict the oldest if there are too many."""
        with self._changed:
            self._last += 1
            entry = create(self._last)
            self._entries[entry.number] = entry
            if len(self._entries) > self._entries_max:
                _, oldest = self._entries.popitem(last=False)
                if self._taken_by_key.get(oldest.idempotency_key or "") == oldest.number:
                    del self._taken_by_key[oldest.idempotency_key or ""]
            self._note_change()
        return entry

    def record_response(
        self,
        number: int,
        *,
        take: bool,
        deduplicate: bool,
        status: int | None = None,
        answered_at: datetime | None = None,
    ) -> None:
        """Record what the partner does: act on the notice (*take*), respond to it, or both.

        With *deduplicate* a notice whose `Idempotency-Key` was taken before is not taken again.
        """
        with self._changed:
            entry = self._entries.get(number)
            if entry is None:
                return  # evicted meanwhile
            key = entry.idempotency_key
            first = self._taken_by_key.setdefault(key, number) if take and key else number
            repeats = first != number
            self._entries[number] = replace(
                entry,
                taken=take and not (repeats and deduplicate),
                repeats=repeats,
                status=status,
                answered_at=answered_at,
            )
            self._note_change()

    def _note_change(self) -> None:
        self._changes += 1
        self._changed.notify_all()

    def _wait_for_change(self, *, since: int, seconds: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._changes != since, timeout=seconds)
