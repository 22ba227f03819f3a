"""At no moment does the form of an unknown sender take a place from the people who work."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from datetime import timedelta

import pytest
from starlette.types import Message

from worker.console.http.places import Places
from worker.console.limits import ConsoleLimits
from worker.console.refusals import PageRefused

ONE = ConsoleLimits(requests=1, unknown_bodies=2, slow_bodies=0, prompt=timedelta(0))
ENTIRE: Message = {"type": "http.request", "body": b"name=ann", "more_body": False}
PART: Message = {"type": "http.request", "body": b"name=", "more_body": True}
GONE: Message = {"type": "http.disconnect"}


def arriving(message: Message) -> Callable[[], Awaitable[Message]]:
    async def receive() -> Message:
        return message

    return receive


async def never() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


def is_free(places: Places) -> bool:
    """Return whether somebody who works finds a place."""
    try:
        with places.request({}):
            return True
    except PageRefused:
        return False


def next_part(places: Places, held: ExitStack, receive: Callable[[], Awaitable[Message]]) -> None:
    """Let a form arrive whose next part is what *receive* returns; it stays in progress."""
    place = held.enter_context(places.anybody_s_form({}))
    assert is_free(places), "it has arrived, and nothing of its body has been read"

    async def reading() -> None:
        began = asyncio.get_running_loop().time()
        await places.unknown_body(receive, place=place, began=began)

    asyncio.run(reading())


@pytest.mark.parametrize("message", [PART, GONE], ids=["a part", "a lost connection"])
def test_a_form_that_is_not_complete_takes_none(message: Message) -> None:
    places = Places(ONE)
    with ExitStack() as held:
        next_part(places, held, arriving(message))

        assert is_free(places)


def test_a_form_that_is_refused_as_slow_takes_none_while_it_is_told() -> None:
    places = Places(ONE)
    with ExitStack() as held:
        for _ in range(2):
            with pytest.raises(PageRefused):
                next_part(places, held, never)

        assert is_free(places)


def test_a_form_that_is_complete_takes_one_until_it_is_done() -> None:
    places = Places(ONE)
    with ExitStack() as held:
        next_part(places, held, arriving(ENTIRE))

        assert not is_free(places)
    assert is_free(places)


def test_a_complete_form_beside_as_many_requests_as_there_may_be_is_refused() -> None:
    places = Places(ONE)
    with places.request({}), ExitStack() as held:
        place = held.enter_context(places.anybody_s_form({}))
        with pytest.raises(PageRefused):
            asyncio.run(places.unknown_body(arriving(ENTIRE), place=place, began=0))
    assert is_free(places)


def test_no_more_forms_are_waited_for_than_there_may_be() -> None:
    places = Places(ONE)
    with ExitStack() as held:
        for _ in range(ONE.unknown_bodies):
            held.enter_context(places.anybody_s_form({}))

        with pytest.raises(PageRefused):
            held.enter_context(places.anybody_s_form({}))
        assert is_free(places)
