"""A person's jobs, and the sweep that carries them on: each act a transaction of its own."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Engine

from models.jobs import AdvancedJob, Job, advance_jobs, find_job, start_job, stop_job
from models.operators.interventions import Person
from tests.support.job_items import MARK
from tests.support.manual_clock import ManualClock

ANN: Final = Person("ann", "they restored a backup")
BOB: Final = Person("bob", "wrong filter")


class JobActions:
    """Acts on jobs, each act a transaction, by a clock that the test sets."""

    def __init__(self, engine: Engine, clock: ManualClock) -> None:
        self.engine = engine
        self.clock = clock

    @property
    def now(self) -> datetime:
        """The moment that the test has reached."""
        return self.clock.now()

    def start(self, kind: str, **arguments: object) -> Job:
        """Start a job as Ann, from JSON arguments."""
        with self.engine.begin() as connection:
            return start_job(connection, kind, arguments, person=ANN, now=self.now)

    def mark(
        self,
        owner: str = "a",
        *,
        person: Person = ANN,
        pace: float | None = None,
        key: str | None = None,
    ) -> Job:
        """Start a job that marks the items of *owner*."""
        with self.engine.begin() as connection:
            return start_job(
                connection, MARK, {"owner": owner}, person=person, now=self.now, pace=pace, key=key
            )

    def run(self, kind: str, *, limit: int = 10, **arguments: object) -> Job:
        """Start a job, and return it as it stands when nothing of it can be done any more."""
        job = self.start(kind, **arguments)
        self.advance_all(limit)
        return self.find(job)

    def stop(self, job: Job, person: Person = BOB) -> Job:
        """Stop a job."""
        with self.engine.begin() as connection:
            return stop_job(connection, job.id, person=person, now=self.now)

    def find(self, job: Job) -> Job:
        """Return the job as it stands."""
        with self.engine.begin() as connection:
            return find_job(connection, job.id)

    def advance(self, limit: int = 10) -> AdvancedJob | None:
        """Advance the job whose turn it is by a batch."""
        with self.engine.begin() as connection:
            return advance_jobs(connection, now=self.now, limit=limit)

    def advance_all(self, limit: int = 10) -> None:
        """Advance jobs until nothing can be done now."""
        while self.advance(limit) is not None:
            pass

    def wait(self, by: timedelta) -> None:
        """Let time pass."""
        self.clock.advance(by)
