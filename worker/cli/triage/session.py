"""The database behind one command: a transaction for each thing it changes."""

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
from worker.cli.triage.options import Choice

T = TypeVar("T")
Act = Callable[[Connection, datetime], T]  # what to do in a transaction, and its present moment


@dataclass(frozen=True, slots=True)
class Session:
    """An open database, and the settings that decisions need."""

    engine: Engine
    window: timedelta  # how long a parked event waits
    age_max: timedelta  # an event that happened longer ago is refused

    def do(self, act: Act[T]) -> T:
        """Do it, in a transaction of its own."""
        with self.engine.begin() as connection:
            return act(connection, DatabaseClock().now(connection))

    def rehearse(self, act: Act[T]) -> T:
        """Do it, look, and undo it: what would happen is what happens."""
        with self.engine.connect() as connection:
            try:
                return act(connection, DatabaseClock().now(connection))
            finally:
                connection.rollback()


@contextmanager
def session() -> Iterator[Session]:
    """Open the configured database for the length of one command."""
    settings = read_settings()
    engine = open_engine(settings.database_url, pool_size=1, application_name="slipway command")
    try:
        yield Session(engine, settings.parking_window, settings.event_age_max)
    finally:
        engine.dispose()


def before(now: datetime, duration: timedelta | None) -> datetime | None:
    """The moment that lies *duration* before *now*; None where all is meant."""
    if duration is None:
        return None
    try:
        return now - duration
    except OverflowError:  # longer ago than there are years
        return datetime.min.replace(tzinfo=now.tzinfo)


def selection(choice: Choice, now: datetime) -> Selection:
    """What a choice that names nothing selects; `--since` counts back from *now*."""
    since = None
    if choice.since is not None:
        try:
            since = now - choice.since
        except OverflowError:  # longer ago than there are years: all of it
            since = None
    return Selection(choice.operator, choice.ticket, choice.reason, since)
