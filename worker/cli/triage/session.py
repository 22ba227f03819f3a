"""The database behind one command: a transaction for each change."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import Connection, Engine

from models.database.engine import open_engine
from models.platform.clock import DatabaseClock
from models.settings.settings import read_settings
from models.triage import Selection
from worker.cli.triage.options import NoticeSelectionOptions, SelectionOptions

T = TypeVar("T")
Work = Callable[[Connection, datetime], T]  # what one transaction does; the time is its present


@dataclass(frozen=True, slots=True)
class CommandSession:
    """An open database, and the settings that decisions need."""

    engine: Engine
    window: timedelta  # how long a parked event waits
    age_max: timedelta  # an event that happened longer ago is rejected

    def run(self, work: Work[T]) -> T:
        """Run *work* in a transaction of its own."""
        with self.engine.begin() as connection:
            return work(connection, DatabaseClock().now(connection))

    def rehearse(self, work: Work[T]) -> T:
        """Run *work*, return its result and roll it back: this shows exactly what would happen."""
        with self.engine.connect() as connection:
            try:
                return work(connection, DatabaseClock().now(connection))
            finally:
                connection.rollback()


@contextmanager
def open_session() -> Iterator[CommandSession]:
    """Open the configured database for the duration of one command."""
    settings = read_settings()
    engine = open_engine(settings.database_url, pool_size=1, application_name="slipway command")
    try:
        yield CommandSession(engine, settings.parking_window, settings.event_age_max)
    finally:
        engine.dispose()


def time_before(now: datetime, duration: timedelta | None) -> datetime | None:
    """Return the time *duration* before *now*, or None if there is no duration."""
    if duration is None:
        return None
    try:
        return now - duration
    except OverflowError:  # the duration is longer than the calendar
        return datetime.min.replace(tzinfo=now.tzinfo)


def selection_at(options: SelectionOptions, now: datetime) -> Selection:
    """Return the selection that *options* make at *now*, from which `--since` counts back."""
    selection = Selection(
        operator=options.operator,
        ticket_id=options.ticket,
        action=None if options.action is None else options.action.value,
        reason=options.reason,
        since=time_before(now, options.since),
        until=time_before(now, options.older_than),
    )
    if isinstance(options, NoticeSelectionOptions):
        return selection.of_attempt(http_status=options.http_status, answer=options.answer)
    return selection
