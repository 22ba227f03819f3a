"""Publishers that go on whatever happens to Redis, and the processes that follow it."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from producers.publisher import Publisher, PublishLater
from producers.simulation.partner import SimulatedPartner
from tests.support.procfile_processes import Running
from tests.support.wait import eventually

GROUP: Final = 10  # events of one call
EVERY_SECONDS: Final = 0.02


def event(ticket: str) -> dict[str, object]:
    """Make the one event of a ticket."""
    return {"action": "ticket_win", "data": {"operator": "acme", "ticket_id": ticket}}


@dataclass(slots=True)
class Account:
    """What one publisher did. Other threads read it."""

    acknowledged: list[str] = field(default_factory=list)  # tickets, in their order
    waited: dict[str, float] = field(default_factory=dict)  # the longest of each phase, in seconds
    refusals: int = 0


class Load:
    """Publishes until it is told to stop, and repeats what was not acknowledged.

    Each ticket has one event; its name begins with the phase in which it was made.
    *reconnecting*: so many further publishers connect for each group, as one without a pool does.
    """

    def __init__(
        self,
        publisher: Callable[[], Publisher],
        *,
        publishers: int = 1,
        reconnecting: int = 0,
        every: float = EVERY_SECONDS,
        phase: str = "t",
    ) -> None:
        self.phase = phase
        self._every = every
        self.accounts = [Account() for _ in range(publishers + reconnecting)]
        self._stop = threading.Event()
        self._publisher = publisher
        self._threads = [
            threading.Thread(
                target=self._run,
                args=(number,),
                kwargs={"reconnecting": number >= publishers},
                daemon=True,
            )
            for number in range(publishers + reconnecting)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def acknowledged(self) -> set[str]:
        """All tickets whose event was acknowledged."""
        return {ticket for account in self.accounts for ticket in list(account.acknowledged)}

    def refusals(self) -> int:
        """How many calls ended with an error."""
        return sum(account.refusals for account in self.accounts)

    def goes_on(self, more: int = 20 * GROUP) -> None:
        """Wait until each publisher has so many more acknowledged."""
        until = [len(account.acknowledged) + more for account in self.accounts]

        def reached() -> bool:
            return all(
                len(account.acknowledged) >= enough
                for account, enough in zip(self.accounts, until, strict=True)
            )

        eventually(reached)

    def _run(self, number: int, *, reconnecting: bool) -> None:
        account, first = self.accounts[number], 0
        with closing(self._publisher()) as kept:
            while not self._stop.wait(self._every):
                began, phase = time.monotonic(), self.phase
                tickets = [f"{phase}-{number}-{first + each}" for each in range(GROUP)]
                rest: list[Mapping[str, object]] = [event(ticket) for ticket in tickets]
                while rest:
                    try:
                        self._publish(kept, rest, reconnecting=reconnecting)
                        rest = []
                    except PublishLater as later:
                        account.refusals += 1
                        rest = list(later.unpublished)
                first += GROUP
                account.acknowledged += tickets
                waited = time.monotonic() - began
                account.waited[phase] = max(waited, account.waited.get(phase, 0.0))

    def _publish(
        self, kept: Publisher, events: list[Mapping[str, object]], *, reconnecting: bool
    ) -> None:
        if not reconnecting:
            kept.publish_many(events)
            return
        with closing(self._publisher()) as once:
            once.publish_many(events)


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
