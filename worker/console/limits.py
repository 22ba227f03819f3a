"""All limits of the console: concurrency, sizes and times."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class ConsoleLimits:
    """Limits of one console process."""

    threads: int = 8
    """Requests that use PostgreSQL at the same time; one connection each."""

    thread_wait: timedelta = timedelta(seconds=5)
    """How long a request waits for a thread before the response is 503."""

    sign_ins: int = 4
    """Sign-ins at the same time, in threads of their own: a flood leaves those of the pages alone.
    Hashing takes longest and holds no connection, so both share the same ones."""

    pings: int = 4
    """Calls to partners at the same time that people make by hand."""

    ping_wait: timedelta = timedelta(seconds=5)
    """How long a further one waits before the response is 503."""

    check_wait: timedelta = timedelta(seconds=3)
    """How long a request to the API waits for `doctor`'s checks before it shows the last ones."""

    statement_time: timedelta = timedelta(seconds=5)
    """Timeout of each SQL statement: a page that takes longer is of no use to anybody."""

    lock_wait: timedelta = timedelta(seconds=3)
    """How long an act waits for the lock of a ticket."""

    requests: int = 200
    """Requests in progress, without live connections; the response to any further one is 503."""

    unknown_bodies: int = 1000
    """Forms of the sign-in whose body is not complete, which do not count as requests in progress:
    nobody knows yet who sends them. The response to any further one is 503."""

    unknown_body_bytes: int = 16 * 1024
    """Size of such a form."""

    slow_bodies: int = 50
    """Those that take longer than `prompt`; the response to any further one is 503."""

    prompt: timedelta = timedelta(seconds=1)

    query_characters: int = 4000
    """Length of the query in an address: any filter that a person writes is far shorter."""

    body_bytes: int = 256 * 1024
    """Size of a form."""

    body_time: timedelta = timedelta(seconds=20)
    """For a complete body."""

    fields: int = 2000
    """Fields of a form, tick boxes included."""

    shown_characters: int = 2000
    """Characters of a foreign text that a page shows before "show all"."""

    live: int = 200
    """Live connections of the process; a page beyond that is refreshed by hand."""

    live_of_session: int = 4
    """Live connections of one session. Browsers open six connections to a server over HTTP/1.1: if
    open tabs held all of them, no further page would load."""

    live_interval: timedelta = timedelta(seconds=2)
    """Pause between two checks of whether a page has changed."""

    live_keepalive: timedelta = timedelta(seconds=15)
    """A live connection never stays silent for longer: proxies cut silent ones."""

    live_longest: timedelta = timedelta(minutes=10)
    """A live connection ends after this long; the browser opens the next one by itself."""

    of_token: int = 4
    """Requests of one API token in progress: fewer than threads, so pages are served beside it."""

    token_rate: float = 50.0
    """Requests of one API token a second, in this process."""

    token_burst: int = 100
    """Requests that an API token may send without a pause."""
