"""A kind of job for tests of the engine: it marks the rows of a table of its own, one by one.

A row counts how often it was marked, so that work which is lost or done twice shows.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Final

import pytest
from sqlalchemy import Connection, Engine, text

from models.jobs import KINDS, BoundedCount, Job, JobKind, StepResult
from models.jobs.values import Arguments
from models.platform.bounded_count import COUNT_MAX

MARK: Final = "mark_items"

CREATE: Final = text("CREATE TABLE item (job_arguments text, id int, marks int DEFAULT 0)")
FILL: Final = text("INSERT INTO item SELECT :owner, n FROM generate_series(1, :number) n")
COUNT: Final = text("""
    SELECT count(*) FROM (SELECT FROM item WHERE job_arguments = :owner LIMIT :limit) counted""")
NEXT: Final = text("""
    SELECT id FROM item WHERE job_arguments = :owner AND id > :after ORDER BY id LIMIT :limit""")
MARKED: Final = text("""
    UPDATE item SET marks = marks + 1 WHERE job_arguments = :owner AND id = ANY(:ids)""")
MARKS: Final = text("SELECT marks FROM item WHERE job_arguments = :owner ORDER BY id")

OnStep = Callable[[Connection, list[int]], None]


class Items:
    """The table, and what the kind of job does to its rows.

    *on_step* is called with the ids of a batch before they are marked. *refused*: ids with the
    reason why they are refused.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.on_step: OnStep = lambda _connection, _ids: None
        self.refused: Mapping[int, str] = {}
        self.batches: list[tuple[int, int]] = []  # (job, items), committed or not
        with engine.begin() as connection:
            connection.execute(CREATE)

    def fill(self, owner: str, number: int) -> None:
        """Add items 1 to *number*, for jobs with the argument `owner`."""
        with self.engine.begin() as connection:
            connection.execute(FILL, {"owner": owner, "number": number})

    def marks(self, owner: str) -> list[int]:
        """Return how often each item was marked."""
        with self.engine.begin() as connection:
            return list(connection.execute(MARKS, {"owner": owner}).scalars())

    @property
    def kind(self) -> JobKind:
        """The kind of job that marks items."""
        return JobKind(MARK, self._count, self._step)

    def _count(self, connection: Connection, arguments: Arguments) -> BoundedCount:
        parameters = {"owner": arguments["owner"], "limit": COUNT_MAX + 1}
        return BoundedCount.of(connection.execute(COUNT, parameters).scalar_one())

    def _step(self, connection: Connection, job: Job, _now: datetime, limit: int) -> StepResult:
        owner = job.arguments["owner"]
        after = 0 if job.position is None else job.position["after"]
        parameters = {"owner": owner, "after": after, "limit": limit}
        ids = list(connection.execute(NEXT, parameters).scalars())
        self.on_step(connection, ids)
        marked = [item for item in ids if item not in self.refused]
        connection.execute(MARKED, {"owner": owner, "ids": marked})
        self.batches.append((job.id, len(ids)))
        return StepResult(
            finished=len(ids) < limit,
            done=len(marked),
            refused=len(ids) - len(marked),
            reasons=_counted(self.refused[item] for item in ids if item in self.refused),
            position={"after": ids[-1]} if ids else None,
            due=bool(marked),
        )


def _counted(reasons: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for reason in reasons:
        counts[reason] = counts.get(reason, 0) + 1
    return counts


@contextmanager
def registered(kind: JobKind) -> Iterator[None]:
    """Have the registry know *kind* meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(KINDS, kind.name, kind)
        yield
