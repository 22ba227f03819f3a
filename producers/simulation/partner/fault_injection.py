"""Does what the script chose, on the socket."""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol, assert_never

from producers.simulation.partner.behaviour import (
    CloseWithoutAnswer,
    Deed,
    Drip,
    Hang,
    HangAfterAccept,
    HangMidBody,
    HugeBody,
    Respond,
)
from producers.simulation.partner.http import head_of_answer

HANG_SECONDS_MAX = 3600.0
CHUNK_BYTES = 64 * 1024
PLAIN = Respond()
PLAIN_OK = head_of_answer(HTTPStatus.OK, length=0)


class Settle(Protocol):
    """Records what is about to be done, before it is done: who sees an answer finds it kept."""

    def __call__(self, *, take: bool, status: int | None = None) -> None:
        """*take*: the partner acts upon the notice. *status*: the answer, None for none."""


@dataclass(frozen=True, slots=True)
class OutgoingLine:
    """The two directions of one connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Send, waiting while the client is slow to read."""
        self.writer.write(data)
        await self.writer.drain()

    async def until_client_leaves(self) -> None:
        """Keep silent, and read nothing of any meaning, for an hour at most."""
        try:
            async with asyncio.timeout(HANG_SECONDS_MAX):
                while await self.reader.read(CHUNK_BYTES):
                    pass
        except TimeoutError:
            return


async def act(behaviour: Deed, line: OutgoingLine, settle: Settle) -> bool:
    """Behave; True when the connection may carry another request.

    Raises OSError when the client hangs up in the middle.
    """
    match behaviour:
        case Respond():
            return await _answer(behaviour, line, settle)
        case CloseWithoutAnswer(taken):
            settle(take=taken)
            return False
        case Hang() | HangAfterAccept():
            await line.until_client_leaves()
            return False
        case HangMidBody(length):
            settle(take=True, status=HTTPStatus.OK)
            head = head_of_answer(HTTPStatus.OK, length=length)
            await line.send(head + b" " * (length // 2))
            await line.until_client_leaves()
            return False
        case HugeBody(length):
            settle(take=True, status=HTTPStatus.OK)
            await line.send(head_of_answer(HTTPStatus.OK, length=length))
            await _pour(line, length)
            return True
        case Drip(length, seconds):
            settle(take=True, status=HTTPStatus.OK)
            await line.send(head_of_answer(HTTPStatus.OK, length=length))
            for _ in range(length):
                await line.send(b" ")
                await asyncio.sleep(seconds)
            return True
        case _:
            assert_never(behaviour)


async def _answer(answer: Respond, line: OutgoingLine, settle: Settle) -> bool:
    if answer.seconds:
        await asyncio.sleep(answer.seconds)
    settle(take=answer.takes, status=answer.status)
    if answer == PLAIN:
        await line.send(PLAIN_OK)
        return True
    head = head_of_answer(
        answer.status,
        length=len(answer.body),
        content_type=answer.content_type,
        headers=answer.headers,
    )
    await line.send(head + answer.body)
    return not answer.then_close


async def _pour(line: OutgoingLine, length: int) -> None:
    chunk = b" " * CHUNK_BYTES
    while length > 0:
        await line.send(chunk[:length])
        length -= CHUNK_BYTES
