"""The places of requests in progress: an unknown sender has none before its body is there."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from typing import Final

import anyio
from starlette.types import Message, Receive, Scope

from worker.console.limits import ConsoleLimits
from worker.console.refusals import PageRefused

_PLACE: Final = "slipway.place"


class RequestPlace:
    """A request's place. *sender_known*: a session or a token says who sent it."""

    def __init__(self, *, sender_known: bool = False) -> None:
        """Hold none yet."""
        self.sender_known = sender_known
        self._held = ExitStack()

    def hold(self, count: "_Count") -> None:
        """Be one of *count* instead of what it was. Raises PageRefused (503), and is then none."""
        self._held.close()
        self._held.enter_context(count.one())

    def give_up(self) -> None:
        """Be none any more."""
        self._held.close()


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
    remains are the forms of the sign-in: one has no place among the others before its body is
    complete, from its arrival on and also while it is refused, so that unauthenticated slow bodies
    leave all places to those who work, however many arrive or time out in the same moment.
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
        with self._held(scope, self._requests) as place:
            yield place

    @contextmanager
    def anybody_s_form(self, scope: Scope) -> Iterator[RequestPlace]:
        """Hold a place among the forms of unknown senders. Raises PageRefused (503)."""
        with self._held(scope, self._unknown) as place:
            yield place

    @contextmanager
    def unlimited(self, scope: Scope) -> Iterator[RequestPlace]:
        """Pass by: probes, and live connections, which have limits of their own."""
        place = scope[_PLACE] = RequestPlace(sender_known=True)
        yield place

    async def unknown_body(self, receive: Receive, *, place: RequestPlace, began: float) -> Message:
        """Return the next part of an unknown sender's body. Raises PageRefused (503).

        With its last part the request takes its place among the others. A body that *began* longer
        ago than is prompt is slow, however it comes.
        """
        place.hold(self._unknown)
        part = await self._prompt_or_slow(receive, began=began)
        if part["type"] == "http.request" and not part.get("more_body", False):
            place.hold(self._requests)
        return part

    async def _prompt_or_slow(self, receive: Receive, *, began: float) -> Message:
        with anyio.move_on_at(began + self._prompt):
            return await receive()
        with self._slow.one():
            return await receive()

    @contextmanager
    def _held(self, scope: Scope, count: _Count) -> Iterator[RequestPlace]:
        place = scope[_PLACE] = RequestPlace()
        place.hold(count)
        try:
            yield place
        finally:
            place.give_up()
