"""The backends of a trial: some open tickets that are paid already, some have the partner debit."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import takewhile
from typing import Final

from producers.publisher import OutgoingEvent, Publisher, PublishLater, SetupRefused
from producers.simulation.backends import PublishedSoFar, play
from producers.simulation.stories import stories

# The partner is the same; what is asked of it once has an operator, and a circuit, of its own.
OPENS, CREATES = "chaos", "chaos-creates"
BEGINNINGS: Final[Mapping[str, Sequence[str]]] = {
    OPENS: ("ticket_open",),
    CREATES: ("ticket_create", "ticket_reserve"),
}
SHARES: Final[Mapping[str, float]] = {OPENS: 0.8, CREATES: 0.2}
LIVES_MAX: Final = 10_000_000


class RetryingPublisher:
    """A publisher that also retries where the set-up is refused: its operators will repair it."""

    def __init__(self, publisher: Publisher) -> None:
        """Publish with *publisher*."""
        self._publisher = publisher
        self.held = threading.Event()

    def publish_many(self, events: Sequence[OutgoingEvent]) -> list[str]:
        """Put *events* on the stream; `PublishLater` also where the set-up is refused."""
        if self.held.is_set():
            raise PublishLater("the backends are held", entry_ids=(), unpublished=events)
        try:
            return self._publisher.publish_many(events)
        except SetupRefused as refusal:
            raise PublishLater(
                str(refusal), entry_ids=refusal.entry_ids, unpublished=refusal.unpublished
            ) from refusal


class Backends:
    """One thread for each kind; what could not be published is kept and tried again."""

    def __init__(
        self,
        redis_url: str,
        *,
        lives_per_second: float,
        seed: int,
        patience: timedelta,
    ) -> None:
        """Prepare; lives begin until it is enough. *patience*: how long Redis may refuse all."""
        self._enough = threading.Event()
        self._publisher = Publisher.at(redis_url)
        self._retrying = RetryingPublisher(self._publisher)
        self._patience = patience
        self._accounts = {operator: PublishedSoFar() for operator in BEGINNINGS}
        self._threads = [
            threading.Thread(
                target=self._play,
                args=(operator, SHARES[operator] * lives_per_second, seed + number),
                daemon=True,
            )
            for number, operator in enumerate(BEGINNINGS)
        ]

    def start(self) -> None:
        """Begin to publish."""
        for thread in self._threads:
            thread.start()

    def enough(self) -> None:
        """Begin no further life; those that have begun are published to their end."""
        self._enough.set()

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Have them keep their events, until the block ends."""
        self._retrying.held.set()
        try:
            yield
        finally:
            self._retrying.held.clear()

    @property
    def done(self) -> bool:
        """All is published."""
        return not any(thread.is_alive() for thread in self._threads)

    def published(self) -> PublishedSoFar:
        """All that was published; ends the connections."""
        self._publisher.close()
        accounts = self._accounts.values()
        return PublishedSoFar(
            events=[event for account in accounts for event in account.events],
            unconfirmed=[event for account in accounts for event in account.unconfirmed],
        )

    def _play(self, operator: str, lives_per_second: float, seed: int) -> None:
        lives = stories(
            LIVES_MAX,
            operators=[operator],
            seed=seed,
            lives_per_second=lives_per_second,
            begin_with=BEGINNINGS[operator],
        )
        account = self._accounts[operator]

        def note(so_far: PublishedSoFar) -> None:
            account.events, account.unconfirmed = so_far.events, so_far.unconfirmed

        play(
            takewhile(lambda _: not self._enough.is_set(), lives),
            self._retrying,
            wait=threading.Event().wait,
            on_published=note,
            patience=self._patience,
        )
