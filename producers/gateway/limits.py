"""All limits of the gateway: concurrency, sizes and times."""

from dataclasses import dataclass
from datetime import timedelta

from models.events.stream_contract import EVENT_BYTES_MAX


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one gateway process."""

    threads: int = 16
    """Requests that use PostgreSQL or Redis at the same time; one connection each."""

    thread_wait: timedelta = timedelta(seconds=10)
    """How long a request waits for a thread before the response is 503."""

    lock_wait: timedelta = timedelta(seconds=3)
    """How long a request waits for the lock of a ticket."""

    statement_time: timedelta = timedelta(seconds=5)
    """Timeout of each SQL statement; a caller does better to retry than to wait longer."""

    requests: int = 1000
    """Signed requests in progress, and as many others; the response to any further one is 503.
    Probes are not limited."""

    requests_of_caller: int = 400
    """Signed requests in progress of one operator, and as many with its keys; the response to any
    further one is 429. A key that is bound to no operator counts by itself."""

    uploads: int = 8
    """Bodies of many events (NDJSON, or JSON larger than one event) read at the same time."""

    uploads_of_caller: int = 4
    """Those of one operator with all its keys, or of a key that is bound to none; the response to
    any further one is 429."""

    bodies_of_operator: int = 200
    """Signed requests that name one operator and whose body is being read: until it is complete
    nobody knows who they are from. The response to any further one is 429."""

    slow_bodies: int = 100
    """Signed requests whose body takes longer than `prompt`. The response to any further one is
    503. A prompt body does not count."""

    slow_bodies_of_operator: int = 20
    """Those that name one operator; the response to any further one is 429."""

    prompt: timedelta = timedelta(seconds=1)

    event_bytes: int = EVENT_BYTES_MAX
    array_bytes: int = 8 * 1024 * 1024
    array_events: int = 10_000

    batch_lines: int = 500
    batch_bytes: int = 1024 * 1024
    """Lines of NDJSON that are added to the stream together; no more are held in memory."""

    rejected_lines_shown: int = 1000
    """Rejected lines that a response lists; the rest is counted."""

    body_time: timedelta = timedelta(seconds=30)
    """For a complete body, except NDJSON."""

    body_silence: timedelta = timedelta(seconds=30)
    """The longest pause in NDJSON."""

    flush: timedelta = timedelta(seconds=1)
    """After this long without another line, those that arrived are added to the stream."""

    page: int = 500
    """The maximum length of a list in a response."""
