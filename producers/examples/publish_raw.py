"""One event without any client: python publish_raw.py < event.json."""  # noqa: INP001 - to copy, no package

import os
import socket
import ssl
import sys
from contextlib import ExitStack
from urllib.parse import unquote, urlsplit

SECONDS = 5.0


def command(*words: bytes) -> bytes:
    """Write a command as Redis reads it: how many words, then each with its length."""
    parts = [b"$%d\r\n%s\r\n" % (len(word), word) for word in words]
    return b"*%d\r\n" % len(words) + b"".join(parts)


def publish(url: str, event: bytes) -> str:
    """Put *event* on the stream; its entry id. Raises OSError when Redis is away or refuses."""
    at = urlsplit(url)
    host = at.hostname or "localhost"
    with ExitStack() as closing:
        line = closing.enter_context(socket.create_connection((host, at.port or 6379), SECONDS))
        if at.scheme == "rediss":  # verified before a word is said: certificate and host name
            context = ssl.create_default_context()
            line = closing.enter_context(context.wrap_socket(line, server_hostname=host))
        answers = line.makefile("rb")
        if at.password:
            user = unquote(at.username or "default").encode()
            line.sendall(command(b"AUTH", user, unquote(at.password).encode()))
            answer(answers.readline())
        line.sendall(command(b"XADD", b"ticket-events", b"*", b"event", event))
        answer(answers.readline())  # the entry id's length, then the id
        return answers.readline().decode().strip()


def answer(line: bytes) -> None:
    """Look for a refusal: its line begins with a minus."""
    if not line.endswith(b"\r\n") or line.startswith(b"-"):
        raise OSError(line.decode().strip() or "the connection is gone")


if __name__ == "__main__":
    try:
        print(publish(os.environ["SLIPWAY_REDIS_URL"], sys.stdin.buffer.read()))  # noqa: T201 - its result
    except OSError as refusal:
        sys.exit(f"not on the stream: {refusal}; send the same again")
