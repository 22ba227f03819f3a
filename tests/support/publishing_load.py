"""A publisher that goes on whatever happens to Redis, and the processes that follow it."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Final, Self

from producers.publisher import Publisher, PublishLater
from producers.simulation.partner import SimulatedPartner
from tests.support.procfile_processes import Running
from tests.support.wait import eventually

GROUP: Final = 10  # events of one call


def event(number: int) -> dict[str, object]:
    return {"action": "ticket_win", "data": {"operator": "acme", "ticket_id": f"t-{number}"}}


class Load:
    """Publishes until it is told to stop, and repeats what was not acknowledged."""

    def __init__(self, publisher: Callable[[], Publisher]) -> None:
        self.acknowledged: list[str] = []
        self.refusals = 0
        self._stop = threading.Event()
        self._publisher = publisher
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def goes_on(self, more: int = 20 * GROUP) -> None:
        """Wait until that many more are acknowledged."""
        until = len(self.acknowledged) + more
        eventually(lambda: len(self.acknowledged) >= until)

    def _run(self) -> None:
        with closing(self._publisher()) as publisher:
            first = 0
            while not self._stop.wait(0.02):
                group: list[Mapping[str, object]] = [
                    event(number) for number in range(first, first + GROUP)
                ]
                rest = group
                while rest:
                    try:
                        publisher.publish_many(rest)
                        rest = []
                    except PublishLater as later:
                        self.refusals += 1
                        rest = list(later.unpublished)
                first += GROUP
                self.acknowledged += [f"t-{number}" for number in range(first - GROUP, first)]


@contextmanager
def running(names: Sequence[str], folder: Path, env: Mapping[str, str]) -> Iterator[list[Running]]:
    """Run these processes of the Procfile; the test ends them, else they are killed."""
    with ExitStack() as ending:
        started = [Running(name, env=env, folder=folder) for name in names]
        for process in started:
            ending.callback(process.kill)
        yield started


def tickets_of(partner: SimulatedPartner) -> set[str]:
    """The tickets of which the partner was told."""
    return {str(entry.ticket_id) for entry in partner.ledger.entries()}
