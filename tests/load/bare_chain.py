"""The yardstick of latency: read an event, store it, post it; the least that is durable.

    python -m tests.load.bare_chain REDIS_URL DATABASE_URL SINK_URL

is a process of its own, as a worker is. It says `ready`, then repeats until it is killed:
XREADGROUP of all that is there, one INSERT of it and its commit, a POST of each on a kept
connection.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pycurl
from redis import Redis
from sqlalchemy import make_url

from tests.load.bare_client import HEADERS
from tests.support.celery_process import ROOT

STREAM = "bare-chain"
GROUP = "bare"
AT_ONCE = 500
BLOCK_MS = 1000
TABLE = """
    CREATE TABLE IF NOT EXISTS bare_event (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, entry_id text NOT NULL,
        event text NOT NULL)"""
STORE = "INSERT INTO bare_event (entry_id, event) SELECT * FROM unnest(%s::text[], %s::text[])"


@contextmanager
def bare_chain(*, redis_url: str, database_url: str, sink_url: str) -> Iterator[None]:
    """Run one until the block ends."""
    command = [sys.executable, "-m", "tests.load.bare_chain", redis_url, database_url, sink_url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n", "the chain says when it is ready"
            yield
        finally:
            process.kill()


def main(redis_url: str, database_url: str, sink_url: str) -> None:
    """Be the chain."""
    plain = (
        make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    )
    easy = _handle(sink_url)
    with Redis.from_url(redis_url) as redis, psycopg.connect(plain, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = on")
        connection.execute(TABLE)
        redis.delete(STREAM)
        redis.xgroup_create(STREAM, GROUP, mkstream=True)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            reply = redis.xreadgroup(GROUP, "it", {STREAM: ">"}, count=AT_ONCE, block=BLOCK_MS)
            entries = reply[0][1] if reply else []
            if not entries:
                continue
            events = [fields[b"event"] for _, fields in entries]
            row = [id_.decode() for id_, _ in entries], [event.decode() for event in events]
            connection.execute(STORE, row)
            for event in events:
                easy.setopt(pycurl.POSTFIELDS, event)
                easy.perform()


def _handle(url: str) -> pycurl.Curl:
    easy = pycurl.Curl()
    easy.setopt(pycurl.URL, url)
    easy.setopt(pycurl.HTTPHEADER, HEADERS)
    easy.setopt(pycurl.WRITEFUNCTION, len)
    return easy


if __name__ == "__main__":
    main(*sys.argv[1:])
