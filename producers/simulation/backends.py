"""Simulated backends: they publish each step of many lives when it is due."""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Protocol

from producers.publisher import OutgoingEvent, PublishLater, event
from producers.simulation.stories import Life, LifeStep
from producers.wall_clock import utc_now

BATCH_MAX = 500
PAUSE_SECONDS_MIN = 0.005  # steps that fall due within it share a round trip
PAUSE_SECONDS_MAX = 0.5  # the delay until a stop is noticed
OUTAGE_MAX = timedelta(minutes=1)


class BatchPublisher(Protocol):
    """The part of the publisher that backends need."""

    def publish_many(self, events: Sequence[OutgoingEvent]) -> list[str]:
        """Publish events; raises `PublishLater` with those that are left."""


@dataclass(slots=True)
class PublishedSoFar:
    """What the backends published, in their order: one side of the reconciliation."""

    events: list[OutgoingEvent] = field(default_factory=list)
    unconfirmed: list[OutgoingEvent] = field(
        default_factory=list
    )  # tried, and perhaps on the stream

    def actions(self) -> Counter[str]:
        """Count the events by action."""
        return Counter(event["action"] for event in self.events)


class Agenda:
    """The steps by due time; loads stories as they begin, so there may be any number."""

    def __init__(self, stories: Iterable[Life], *, begins_at: datetime, speed: float) -> None:
        """Schedule *stories*, sorted by their beginning, *speed* times as fast as they say."""
        self._stories = iter(stories)
        self._begins_at = begins_at
        self._speed = speed
        self._steps: list[tuple[datetime, int, LifeStep]] = []
        self._numbers = count()
        self._latest_start = begins_at
        self._load()

    @property
    def next_at(self) -> datetime | None:
        """When the next step falls due, or None if there is none."""
        return self._steps[0][0] if self._steps else None

    def due(self, now: datetime, *, limit: int) -> list[OutgoingEvent]:
        """Remove up to *limit* due steps; each happened when it fell due."""
        events: list[OutgoingEvent] = []
        while self._steps and self._steps[0][0] <= now and len(events) < limit:
            at, _, step = heapq.heappop(self._steps)
            events.append(event(step.action, step.data, occurred_at=at))
            self._load()
        return events

    def _load(self) -> None:
        """Load stories until the remaining ones begin after the next step."""
        while not self._steps or self._latest_start <= self._steps[0][0]:
            story = next(self._stories, None)
            if story is None:
                return
            self._latest_start = self._begins_at + story.starts_after / self._speed
            for step in story.steps:
                at = self._latest_start + step.after / self._speed
                heapq.heappush(self._steps, (at, next(self._numbers), step))


def play(
    stories: Iterable[Life],
    publisher: BatchPublisher,
    *,
    wait: Callable[[float], bool],
    now: Callable[[], datetime] = utc_now,
    speed: float = 1.0,
    on_published: Callable[[PublishedSoFar], None] | None = None,
    patience: timedelta = OUTAGE_MAX,
) -> PublishedSoFar:
    """Publish each step of *stories* when it is due; return all that was published.

    `occurred_at` is the moment at which a step fell due. *wait* waits for seconds and returns True
    to stop early (as `threading.Event().wait` does). While Redis is full or unavailable the events
    are kept and published again; after *patience* its `PublishLater` is raised. *on_published* is
    called after every round.
    """
    agenda = Agenda(stories, begins_at=now(), speed=speed)
    published = PublishedSoFar()
    failing_since: datetime | None = None
    while agenda.next_at is not None or published.unconfirmed:
        moment = now()
        waiting = published.unconfirmed
        batch = waiting + agenda.due(moment, limit=BATCH_MAX - len(waiting))
        error = _publish(batch, publisher, published)
        if on_published is not None:
            on_published(published)
        if error is None:
            failing_since = None
        else:
            failing_since = failing_since or moment
            if moment - failing_since > patience:
                raise error
        if wait(_pause_seconds(agenda.next_at, now(), failing=error is not None)):
            return published
    return published


def _publish(
    batch: list[OutgoingEvent], publisher: BatchPublisher, published: PublishedSoFar
) -> PublishLater | None:
    """Publish *batch* and record the outcome."""
    published.unconfirmed = []
    if not batch:
        return None
    try:
        publisher.publish_many(batch)
    except PublishLater as error:
        left = {event["event_id"] for event in error.unpublished}
        published.unconfirmed = [event for event in batch if event["event_id"] in left]
        published.events += [event for event in batch if event["event_id"] not in left]
        return error
    published.events += batch
    return None


def _pause_seconds(next_at: datetime | None, now: datetime, *, failing: bool) -> float:
    """Return how long to wait for the next step, or for Redis."""
    if failing:
        return PAUSE_SECONDS_MAX
    if next_at is None:
        return 0.0
    return min(max((next_at - now).total_seconds(), PAUSE_SECONDS_MIN), PAUSE_SECONDS_MAX)
