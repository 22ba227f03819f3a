"""Several connections at once, and who waits for whom: no guessing, the server says so."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from threading import Barrier
from typing import TypeVar

from sqlalchemy import Engine, text

from tests.support.wait import eventually

BARRIER_SECONDS = 60.0
WAITING = text("""
    SELECT pid FROM pg_stat_activity
     WHERE datname = current_database() AND wait_event_type = 'Lock'""")
END_SESSIONS = text("SELECT pg_terminate_backend(pid) FROM unnest(CAST(:pids AS int[])) AS pid")

Found = TypeVar("Found")


def at_once(*actions: Callable[[], object]) -> None:
    """Run *actions* in threads that start together. Raises the first one's error."""
    barrier = Barrier(len(actions))

    def started(action: Callable[[], object]) -> None:
        barrier.wait(BARRIER_SECONDS)
        action()

    with ThreadPoolExecutor(len(actions)) as threads:
        list(threads.map(started, actions))


def beside(action: Callable[[], Found]) -> "Beside[Found]":
    """Run *action* in a thread beside the test, within a `with` block."""
    return Beside(action)


class Beside(AbstractContextManager[Future[Found]]):
    """A thread that is over when its block ends."""

    def __init__(self, action: Callable[[], Found]) -> None:
        self._threads = ThreadPoolExecutor(1)
        self._action = action

    def __enter__(self) -> Future[Found]:
        return self._threads.submit(self._action)

    def __exit__(self, *_error: object) -> None:
        self._threads.shutdown()


def waiting_sessions(engine: Engine, how_many: int = 1) -> Sequence[int]:
    """Wait until so many sessions of this database wait for a lock; their process ids."""

    def enough_wait() -> Sequence[int]:
        with engine.begin() as connection:
            pids = connection.execute(WAITING).scalars().all()
        return pids if len(pids) == how_many else ()

    return eventually(enough_wait)


def end_sessions(engine: Engine, pids: Sequence[int]) -> None:
    """Cut connections, as a restart of the server does."""
    with engine.begin() as connection:
        connection.execute(END_SESSIONS, {"pids": list(pids)})
