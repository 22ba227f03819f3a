"""The limit: the rows that the intake writes, written by one statement a batch and no logic.

    python -m tests.load.bare_sql URL BATCH BATCHES NUMBER

is one client, a process of its own. It makes its parameters, says `ready`, waits for a line, writes
its batches and says how many seconds that took. Batches are of new tickets, as in a draw.
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence

import psycopg
from sqlalchemy import make_url

from tests.support.celery_process import ROOT

WRITE = """
    WITH given AS MATERIALIZED (
        SELECT * FROM jsonb_to_recordset(%s::jsonb) AS r(
            ticket_id text, event_id text, data jsonb, occurred_at timestamptz,
            entry_id text, received_at timestamptz, body text)),
    made AS (
        INSERT INTO ticket (operator, ticket_id, status, result, generation, settled_at, notices,
                            unfinished, created_at, changed_at)
        SELECT 1, ticket_id, 'resulted', 'won', 1, occurred_at, 1, 1, now(), now() FROM given
     RETURNING id, ticket_id),
    logged AS (
        INSERT INTO ticket_event (ticket, event_id, action, data, occurred_at, order_time,
                                  entry_id, received_at, outcome, reason, status_before,
                                  status_after, decided_at)
        SELECT made.id, event_id, 'ticket_win', data, occurred_at, occurred_at, entry_id,
               received_at, 'applied', 'opened_implicitly', 'absent', 'resulted/won', now()
          FROM made JOIN given USING (ticket_id))
    INSERT INTO notice (ticket, operator, number, action, generation, event_id, body, head, due_at,
                        created_at)
    SELECT made.id, 1, 1, 'ticket_win', 1, event_id, body, true, now(), now()
      FROM made JOIN given USING (ticket_id)"""
MOMENT = "2026-11-20T10:00:00.123Z"


def rate(url: str, *, clients: int, batch: int, events: int) -> float:
    """Events a second that *clients* write together."""
    batches = events // batch // clients
    command = [sys.executable, "-m", "tests.load.bare_sql", url, str(batch), str(batches)]
    started = [
        subprocess.Popen(
            [*command, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
        )
        for number in range(clients)
    ]
    try:
        for client in started:
            assert client.stdout is not None
            assert client.stdout.readline() == b"ready\n", "a client says when it is ready"
        before = time.perf_counter()
        for client in started:
            assert client.stdin is not None
            client.stdin.write(b"go\n")
            client.stdin.flush()
        for client in started:
            assert client.wait(120) == 0, "a client writes all of its batches"
        return batches * batch * clients / (time.perf_counter() - before)
    finally:
        for client in started:
            client.kill()
            client.wait()


def rows(batch: int, first: int, client: int) -> str:
    """Format the parameter of one statement."""
    ids = [f"B{client}-{number:07d}" for number in range(first, first + batch)]
    return json.dumps([_row(number, id_) for number, id_ in enumerate(ids)])


def _row(number: int, ticket: str) -> dict[str, object]:
    return {
        "ticket_id": ticket,
        "event_id": f"win-{ticket}",
        "data": {"operator": "acme", "ticket_id": ticket},
        "occurred_at": MOMENT,
        "entry_id": f"1763632800123-{number}",
        "received_at": MOMENT,
        "body": '{"action":"ticket_win","data":{"operator":"acme","ticket_id":"' + ticket + '"}}',
    }


def main(url: str, arguments: Sequence[int]) -> None:
    """Be one client."""
    batch, batches, client = arguments
    given = [rows(batch, number * batch, client) for number in range(batches)]
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = on")
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        for document in given:
            connection.execute(WRITE, (document,))


if __name__ == "__main__":
    main(sys.argv[1], [int(word) for word in sys.argv[2:]])
