"""Backends that want to publish more than the workers take, in three ways.

Most of it is put on the stream by Redis itself, which costs no processor time of a publisher's: on
a machine they share, the workers would not be outrun otherwise.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
from redis import Redis
from redis.exceptions import OutOfMemoryError

from models.events.stream_contract import STREAM
from producers.publisher import Publisher, PublishLater, event
from producers.publisher.event import rfc3339
from producers.wall_clock import utc_now

OPERATOR = "acme"
GROUP = 100  # events a call
WINS_EVERY = 4  # one ticket in so many has its result; the others stay open
SHARES = {"redis": 0.6, "publisher": 0.2, "gateway": 0.2}  # of the demand
AGAIN_SECONDS = 0.05
BEGAN = utc_now()  # of all of them: what is tried again must say the same
PATIENCE_SECONDS = 30.0

_PUT = f"""
for number = ARGV[1], ARGV[2] do
  local action = number % {WINS_EVERY} == 0 and 'ticket_win' or 'ticket_open'
  local name = string.format('%d', number)
  redis.call('XADD', KEYS[1], '*', 'event',
    '{{"event_id":"event-' .. name .. '","action":"' .. action .. '","occurred_at":"' .. ARGV[3]
    .. '","data":{{"operator":"{OPERATOR}","ticket_id":"ticket-' .. name .. '"}}}}')
end
"""

Send = Callable[[range], range]  # gives back what was not taken


@dataclass(slots=True)
class Flood:
    """So many events a second are wanted; what is not taken in its time stays with the backend."""

    redis: Redis
    publisher: Publisher
    gateway: str
    key: str
    wanted: Counter[str] = field(default_factory=Counter)  # events, by the way they went
    accepted: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)  # calls, by what was said
    _next: int = 1
    _naming: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def running(self, rate: float) -> Iterator[None]:
        """Demand *rate* events a second while the block runs."""
        over = threading.Event()
        sends = {"redis": self.put, "publisher": self.add, "gateway": self.post}
        threads = [
            threading.Thread(target=self._want, args=(way, send, SHARES[way] * rate, over))
            for way, send in sends.items()
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join(PATIENCE_SECONDS)

    def numbers(self, many: int = GROUP) -> range:
        """So many numbers that no other ticket has."""
        with self._naming:
            first = self._next
            self._next += many
        return range(first, first + many)

    def put(self, numbers: range) -> range:
        """Let Redis write them itself, all or none."""
        try:
            self.redis.eval(_PUT, 1, STREAM, numbers[0], numbers[-1], rfc3339(BEGAN))
        except OutOfMemoryError as refusal:
            self.refusals[f"redis: {type(refusal).__name__}"] += 1
            return numbers
        return range(0)

    def add(self, numbers: range) -> range:
        """Publish them as a backend in Python does."""
        try:
            self.publisher.publish_many([_event(number) for number in numbers])
        except PublishLater as refusal:
            self.refusals[f"publisher: {type(refusal).__name__}"] += 1
            return numbers[len(refusal.entry_ids) :]
        return range(0)

    def post(self, numbers: range) -> range:
        """Hand them to the gateway; all of them again, unless it says that they are in."""
        try:
            answer = httpx.post(
                f"{self.gateway}/events",
                content=json.dumps([_event(number) for number in numbers]),
                headers={"X-Api-Key": self.key, "Content-Type": "application/json"},
                timeout=PATIENCE_SECONDS,
            )
        except httpx.TransportError as error:
            self.refusals[f"gateway: {type(error).__name__}"] += 1
            return numbers
        if answer.is_success:
            return range(0)
        self.refusals[f"gateway: {answer.status_code}"] += 1
        return numbers

    def _want(self, way: str, send: Send, rate: float, over: threading.Event) -> None:
        """Publish at *rate* if that is possible; a group that was refused is tried until it is."""
        began, taken = time.monotonic(), 0
        group = range(0)
        while not over.is_set():
            if not group and taken + GROUP > (time.monotonic() - began) * rate:
                over.wait(GROUP / rate)
                continue
            group = group or self.numbers()
            left = send(group)
            taken += len(group) - len(left)
            group = left
            if left:
                over.wait(AGAIN_SECONDS)
        self.wanted[way] += int((time.monotonic() - began) * rate)
        until = time.monotonic() + PATIENCE_SECONDS
        while group and time.monotonic() < until:  # a part of it may be there: all of it, then
            left = send(group)
            taken += len(group) - len(left)
            group = left
        self.accepted[way] += taken


def _event(number: int) -> Mapping[str, object]:
    action = "ticket_open" if number % WINS_EVERY else "ticket_win"
    data = {"operator": OPERATOR, "ticket_id": f"ticket-{number}"}
    return {**event(action, data, occurred_at=BEGAN, event_id=f"event-{number}")}
