"""Backends that publish at a steady pace until they are told to stop, and know what was taken."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import httpx
from redis import Redis

from models.events.stream_contract import STREAM

OPERATOR = "acme"
AT_ONCE = 20  # events a group
PAUSE_SECONDS = 0.04  # between two groups
CALLERS = 3  # of the gateway
LINES_BEFORE, LINES_AFTER = 3, 4  # of an upload: at once, and when told to go on
PATIENCE_SECONDS = 30.0


@dataclass
class Load:
    """Backends that publish until they are told to stop, on the stream and through the gateway."""

    redis: Redis
    gateway: str
    key: str
    accepted: set[str] = field(default_factory=set)  # ids of which we were told that they are in
    refused: Counter[str] = field(default_factory=Counter)
    numbers: Iterator[int] = field(default_factory=count)
    over: threading.Event = field(default_factory=threading.Event)

    def event(self) -> dict[str, Any]:
        """A result for a ticket of its own."""
        name = f"win-{next(self.numbers)}"
        data = {"operator": OPERATOR, "ticket_id": f"ticket-{name}"}
        return {"event_id": name, "action": "ticket_win", "data": data}

    @contextmanager
    def running(self) -> Iterator[None]:
        """Publish while the block runs."""
        with ThreadPoolExecutor(1 + CALLERS) as threads:
            work = [
                threads.submit(self._add),
                *(threads.submit(self._post) for _ in range(CALLERS)),
            ]
            try:
                yield
            finally:
                self.over.set()
            for future in work:
                future.result()

    def _add(self) -> None:
        while not self.over.wait(PAUSE_SECONDS):
            with self.redis.pipeline(transaction=False) as pipe:
                events = [self.event() for _ in range(AT_ONCE)]
                for event in events:
                    pipe.xadd(STREAM, {"event": json.dumps(event)})
                pipe.execute()
            self.accepted |= {event["event_id"] for event in events}

    def _post(self) -> None:
        """One after the other; who is not let in any more comes again, as a client does."""
        with httpx.Client(
            base_url=self.gateway, headers={"X-Api-Key": self.key}, timeout=30
        ) as client:
            while not self.over.wait(PAUSE_SECONDS):
                event = self.event()
                try:
                    answer = client.post("/events", json=event)
                except httpx.TransportError as error:
                    self.refused[type(error).__name__] += 1
                else:
                    assert answer.status_code == 202, answer.text
                    self.accepted.add(event["event_id"])

    def upload(self, go_on: threading.Event) -> tuple[int, set[str]]:
        """Post lines, the last of them only when told to; the answer's status, and the ids."""
        events = [self.event() for _ in range(LINES_BEFORE + LINES_AFTER)]

        def lines() -> Iterator[bytes]:
            for number, event in enumerate(events):
                if number == LINES_BEFORE:
                    assert go_on.wait(PATIENCE_SECONDS)
                yield json.dumps(event).encode() + b"\n"

        answer = httpx.post(
            f"{self.gateway}/events",
            content=lines(),
            headers={"X-Api-Key": self.key, "Content-Type": "application/x-ndjson"},
            timeout=PATIENCE_SECONDS,
        )
        return answer.status_code, {event["event_id"] for event in events}
