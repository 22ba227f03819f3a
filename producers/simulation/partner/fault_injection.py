"""Performs the behaviour that the script chose, on the socket."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol, assert_never

from producers.simulation.partner.behaviour import (
    CloseWithoutAnswer,
    Drip,
    Hang,
    HangAfterAccept,
    HangMidBody,
    HugeBody,
    Respond,
    SocketBehaviour,
)
from producers.simulation.partner.habits import FRAMED_BY_CLOSE, write
from producers.simulation.partner.http import response_head

HANG_SECONDS_MAX = 3600.0
BLOCK_BYTES = 64 * 1024
DEFAULT = Respond()
EMPTY_OK = response_head(HTTPStatus.OK, length=0)


class RecordResponse(Protocol):
    """Records what is about to be sent, so that a client that sees a response finds it recorded."""

    def __call__(self, *, take: bool, status: int | None = None) -> None:
        """*take*: the partner acts on the notice. *status*: None if it sends no response."""


@dataclass(frozen=True, slots=True)
class PartnerConnection:
    """Both directions of one connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    hurry: asyncio.Semaphore  # each release ends the pause before one response

    async def send(self, data: bytes) -> None:
        """Send; wait while the client reads slowly."""
        self.writer.write(data)
        await self.writer.drain()

    async def pause(self, seconds: float) -> None:
        """Let *seconds* pass before a response, or less if it is told to come now."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.hurry.acquire()

    async def until_client_leaves(self) -> None:
        """Send nothing and discard what arrives, for at most an hour."""
        try:
            async with asyncio.timeout(HANG_SECONDS_MAX):
                while await self.reader.read(BLOCK_BYTES):
                    pass
        except TimeoutError:
            return


async def perform(
    behaviour: SocketBehaviour, connection: PartnerConnection, record: RecordResponse
) -> bool:
    """Perform *behaviour*. Returns whether the connection may carry another request.

    Raises OSError if the client closes the connection midway.
    """
    match behaviour:
        case Respond():
            return await _respond(behaviour, connection, record)
        case CloseWithoutAnswer(taken):
            record(take=taken)
            return False
        case Hang() | HangAfterAccept():
            await connection.until_client_leaves()
            return False
        case HangMidBody(length):
            record(take=True, status=HTTPStatus.OK)
            head = response_head(HTTPStatus.OK, length=length)
            await connection.send(head + b" " * (length // 2))
            await connection.until_client_leaves()
            return False
        case HugeBody(length):
            record(take=True, status=HTTPStatus.OK)
            await connection.send(response_head(HTTPStatus.OK, length=length))
            await _send_spaces(connection, length)
            return True
        case Drip(length, seconds):
            record(take=True, status=HTTPStatus.OK)
            await connection.send(response_head(HTTPStatus.OK, length=length))
            for _ in range(length):
                await connection.send(b" ")
                await asyncio.sleep(seconds)
            return True
        case _:
            assert_never(behaviour)


async def _respond(
    response: Respond, connection: PartnerConnection, record: RecordResponse
) -> bool:
    if response.seconds:
        await connection.pause(response.seconds)
    record(take=response.takes, status=response.status)
    if response == DEFAULT:
        await connection.send(EMPTY_OK)
        return True
    await connection.send(write(response))
    return not response.then_close and response.habit not in FRAMED_BY_CLOSE


async def _send_spaces(connection: PartnerConnection, length: int) -> None:
    block = b" " * BLOCK_BYTES
    while length > 0:
        await connection.send(block[:length])
        length -= BLOCK_BYTES
