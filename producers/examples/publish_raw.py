"""Publish one event without a Redis client: python publish_raw.py < event.json."""  # noqa: INP001 - to copy, no package

import os
import socket
import ssl
import sys
from contextlib import ExitStack
from urllib.parse import unquote, urlsplit

SECONDS = 5.0


def command(*words: bytes) -> bytes:
    """Encode a command for Redis: the number of words, then each with its length."""
    parts = [b"$%d\r\n%s\r\n" % (len(word), word) for word in words]
    return b"*%d\r\n" % len(words) + b"".join(parts)


def publish(url: str, event: bytes) -> str:
    """Add *event* to the stream; return its entry id. Raises OSError if that fails."""
    at = urlsplit(url)
    host = at.hostname or "localhost"
    with ExitStack() as stack:
        connection = stack.enter_context(socket.create_connection((host, at.port or 6379), SECONDS))
        if at.scheme == "rediss":  # verify certificate and host name before sending anything
            context = ssl.create_default_context()
            connection = stack.enter_context(context.wrap_socket(connection, server_hostname=host))
        replies = connection.makefile("rb")
        if at.password:
            user = unquote(at.username or "default").encode()
            connection.sendall(command(b"AUTH", user, unquote(at.password).encode()))
            check(replies.readline())
        connection.sendall(command(b"XADD", b"ticket-events", b"*", b"event", event))
        check(replies.readline())  # the entry id's length, then the id
        return replies.readline().decode().strip()


def check(line: bytes) -> None:
    """Raise OSError for an error, which begins with a minus."""
    if not line.endswith(b"\r\n") or line.startswith(b"-"):
        raise OSError(line.decode().strip() or "the connection was closed")


if __name__ == "__main__":
    try:
        print(publish(os.environ["SLIPWAY_REDIS_URL"], sys.stdin.buffer.read()))  # noqa: T201 - its result
    except OSError as error:
        sys.exit(f"not on the stream: {error}; send the same again")
