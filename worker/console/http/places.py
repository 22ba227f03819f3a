"""The places of requests in progress: who waits for the body of an unknown sender has none."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import anyio
from starlette.types import Message, Receive, Scope

from worker.console.limits import ConsoleLimits
from worker.console.refusals import PageRefused

_PLACE: Final = "slipway.place"


@dataclass(slots=True)
class RequestPlace:
    """A request's place. *sender_known*: a session or a token says who sent it."""

    sender_known: bool = False


def note_sender(scope: Scope) -> None:
    """Note that it is known who sent the request: its body may take its time."""
    place = scope[_PLACE]
    assert isinstance(place, RequestPlace), "every request has one"
    place.sender_known = True


class _Count:
    """Counts what is there at the same time, up to *most*."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._present = 0

    @contextmanager
    def one_less(self) -> Iterator[None]:
        """Count one less during the block, after which it may be one more than *most*."""
        self._present -= 1
        try:
            yield
        finally:
            self._present += 1

    @contextmanager
    def one(self) -> Iterator[None]:
        """Count one during the block. Raises PageRefused (503)."""
        if self._present >= self._most:
            raise PageRefused(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "Busy",
                "The console is answering as many requests as it can. Try again in a moment.",
                headers={"Retry-After": "1"},
            )
        self._present += 1
        try:
            yield
        finally:
            self._present -= 1


class Places:
    """Counts the requests in progress of a process. Only the event loop may use it.

    A person who is signed in, or a program with a token, is known before the body is read. What
    remains are the forms of the sign-in: while the body of one is awaited, its request has no place
    among the others, so that unauthenticated slow bodies leave all places to those who work.
    """

    def __init__(self, limits: ConsoleLimits) -> None:
        """Count none yet."""
        self._prompt = limits.prompt.total_seconds()
        self._requests = _Count(limits.requests)
        self._unknown = _Count(limits.unknown_bodies)
        self._slow = _Count(limits.slow_bodies)

    @contextmanager
    def request(self, scope: Scope) -> Iterator[RequestPlace]:
        """Hold a place. Raises PageRefused (503)."""
        place = scope[_PLACE] = RequestPlace()
        with self._requests.one():
            yield place

    @contextmanager
    def unlimited(self, scope: Scope) -> Iterator[RequestPlace]:
        """Pass by: probes, and live connections, which have limits of their own."""
        place = scope[_PLACE] = RequestPlace(sender_known=True)
        yield place

    async def unknown_body(self, receive: Receive, *, began: float) -> Message:
        """Return the next part of an unknown sender's body. Raises PageRefused (503).

        A body that *began* longer ago than is prompt is slow, however it comes.
        """
        with self._requests.one_less(), self._unknown.one():
            with anyio.move_on_at(began + self._prompt):
                return await receive()
            with self._slow.one():
                return await receive()
