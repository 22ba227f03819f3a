"""The yardstick of deliveries: bare libcurl, with one claim and one mark in SQL for each batch.

It is the least that loses no message: each is leased before it is sent and marked once it is taken,
both on the disk. One process, one connection to PostgreSQL, one plain table.
"""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import psycopg
import pycurl
from sqlalchemy import make_url

from models.platform.signing import sign
from tests.load.bare_client import SAME, BareClient

BATCH = 256  # what Slipway claims at once of eight partners with 32 calls each
TAKEN = 200

TABLE = """
    CREATE TABLE IF NOT EXISTS message (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text NOT NULL,
        due_at timestamptz NOT NULL, leased_until timestamptz, delivered_at timestamptz);
    CREATE INDEX IF NOT EXISTS message_due ON message (due_at, id) WHERE delivered_at IS NULL"""
OWE = """
    INSERT INTO message (body, due_at)
    SELECT '{"action":"ticket_win","data":{"operator":"acme","ticket_id":"T-' || n || '"}}', now()
      FROM generate_series(1, %s) AS n"""
CLAIM = """
    WITH due AS MATERIALIZED (
        SELECT id FROM message
         WHERE delivered_at IS NULL AND due_at <= now()
           AND (leased_until IS NULL OR leased_until <= now())
         ORDER BY due_at, id LIMIT %s FOR UPDATE SKIP LOCKED)
    UPDATE message SET leased_until = now() + interval '25 seconds'
     WHERE id = ANY (ARRAY(SELECT id FROM due)) RETURNING id, body"""
MARK = "UPDATE message SET delivered_at = now(), leased_until = NULL WHERE id = ANY(%s)"
MARKED = "SELECT count(*) FROM message WHERE delivered_at IS NOT NULL"


class DurableDeliverer:
    """Delivers the messages of its table. A context manager, for its connections."""

    def __init__(self, database_url: str, sink_url: str, *, secret: str) -> None:
        """Connect, and make the table."""
        plain = make_url(database_url).set(drivername="postgresql")
        self._connection = psycopg.connect(
            plain.render_as_string(hide_password=False), autocommit=True
        )
        self._connection.execute("SET synchronous_commit = on")
        self._connection.execute(TABLE)
        self._client = _SigningClient(sink_url, secret=secret)

    def owe(self, messages: int) -> None:
        """Start over with so many, all of them due, and nothing for a checkpoint to write."""
        self._connection.execute("TRUNCATE message")
        self._connection.execute(OWE, (messages,))
        self._connection.execute("VACUUM ANALYZE message")
        self._connection.execute("CHECKPOINT")

    def deliver(self) -> int:
        """Deliver all that is due; return how many were taken."""
        taken = 0
        while claimed := self._connection.execute(CLAIM, (BATCH,)).fetchall():
            ids = self._client.post_all(claimed)
            self._connection.execute(MARK, (ids,))
            taken += len(ids)
        return taken

    def marked(self) -> int:
        """Count the messages that the table has as delivered."""
        (count,) = self._connection.execute(MARKED).fetchone() or (0,)
        return int(count)

    def __enter__(self) -> Self:
        """Return the deliverer."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close its connections."""
        self._client.close()
        self._connection.close()


class _SigningClient(BareClient):
    """Posts messages, each signed as Slipway signs, and tells which of them were taken."""

    def __init__(self, url: str, *, secret: str) -> None:
        super().__init__(url)
        self._secret = secret
        self._messages: Sequence[tuple[Any, ...]] = ()
        self._at = 0
        self._sent: dict[pycurl.Curl, int] = {}
        self._taken: list[int] = []

    def post_all(self, messages: Sequence[tuple[Any, ...]]) -> list[int]:
        """Post all; return the ids of those that were answered with 200."""
        self._messages, self._at, self._taken = messages, int(time.time()), []
        self.post(len(messages))
        return self._taken

    def load(self, easy: pycurl.Curl, number: int) -> None:
        id_, text = self._messages[number]
        body = text.encode()
        signature = sign(body, timestamp=self._at, secret=self._secret)
        headers = [*SAME, f"timestamp: {self._at}", f"signature: {signature}"]
        easy.setopt(pycurl.POSTFIELDS, body)
        easy.setopt(pycurl.HTTPHEADER, headers)
        self._sent[easy] = id_

    def answered(self, easy: pycurl.Curl) -> None:
        if easy.getinfo(pycurl.RESPONSE_CODE) == TAKEN:
            self._taken.append(self._sent[easy])
