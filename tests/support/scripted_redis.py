"""A Redis that answers what the test says: errors of servers that a test cannot easily have."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import hiredis

from tests.support.raw_server import Line, raw_server

OK = b"+OK\r\n"
HELLO = b"%1\r\n+proto\r\n:3\r\n"  # redis-py greets with it and wants to hear that it is RESP3
READ_MAX = 65_536


@contextmanager
def scripted_redis(replies: Mapping[str, bytes]) -> Iterator[str]:
    """Answer each command with its reply in *replies*, any other with OK; the address."""
    all_replies = {"HELLO": HELLO, **replies}

    def converse(line: Line) -> None:
        reader = hiredis.Reader()
        while received := line.connection.recv(READ_MAX):
            reader.feed(received)
            while isinstance(command := reader.gets(), list):
                line.send(all_replies.get(command[0].decode().upper(), OK))

    with raw_server(converse) as server:
        yield f"redis://127.0.0.1:{server.port}/0"
