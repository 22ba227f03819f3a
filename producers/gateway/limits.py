"""What the gateway takes at once, how large, and how long it waits: every bound in one place."""

from dataclasses import dataclass
from datetime import timedelta

from models.events.stream_contract import EVENT_BYTES_MAX


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one gateway process."""

    threads: int = 16
    """Requests that work with PostgreSQL or Redis at the same time; one connection each."""

    thread_wait: timedelta = timedelta(seconds=10)
    """How long a request waits for one of them before it is answered 503."""

    lock_wait: timedelta = timedelta(seconds=3)
    """How long one waits for a ticket that somebody else is changing."""

    statement_time: timedelta = timedelta(seconds=5)
    """For each statement; whoever asks for more is better told to come again."""

    requests: int = 1000
    """Requests under way; one more is answered 503 at once. The probes are always answered."""

    requests_of_caller: int = 400
    """Requests under way of one operator or one key; one more is answered 429 at once."""

    uploads: int = 8
    """Bodies of many events (NDJSON, or JSON larger than one event) being read at once."""

    uploads_of_caller: int = 4
    """Those of one key; one more is answered 429 at once."""

    slow_bodies: int = 100
    """Signed requests whose body takes longer than `prompt`. Nothing is known of their callers
    before it is there; one more is answered 503. A body that comes at once needs no such place."""

    prompt: timedelta = timedelta(seconds=1)

    event_bytes: int = EVENT_BYTES_MAX
    array_bytes: int = 8 * 1024 * 1024
    array_events: int = 10_000

    batch_lines: int = 500
    batch_bytes: int = 1024 * 1024
    """Lines of NDJSON that are put on the stream together; they are all that is held in memory."""

    faults_shown: int = 1000
    """Refused lines that an answer lists; the rest is counted."""

    body_time: timedelta = timedelta(seconds=30)
    """In which a body must be complete, NDJSON apart."""

    body_silence: timedelta = timedelta(seconds=30)
    """The longest pause within NDJSON."""

    flush: timedelta = timedelta(seconds=1)
    """After this long without a further line, those that came are put on the stream."""

    page: int = 500
    """The most that a list answers at once."""
