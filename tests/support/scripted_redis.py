"""A Redis that answers what the test says: errors of servers that a test cannot easily have."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import hiredis

from tests.support.raw_server import Line, raw_server

OK = b"+OK\r\n"
READ_MAX = 65_536


@contextmanager
def scripted_redis(replies: Mapping[str, bytes]) -> Iterator[str]:
    """Answer each command with its reply in *replies* (RESP2), any other with OK; the address."""

    def converse(line: Line) -> None:
        reader = hiredis.Reader()
        while heard := line.connection.recv(READ_MAX):
            reader.feed(heard)
            while isinstance(command := reader.gets(), list):
                line.send(replies.get(command[0].decode().upper(), OK))

    with raw_server(converse) as server:
        yield f"redis://127.0.0.1:{server.port}/0?protocol=2"
