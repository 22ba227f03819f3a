"""Time that a test moves."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection


class ManualClock:
    """A `models.platform.clock.Clock` that only a test moves."""

    def __init__(self, start: datetime = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)) -> None:
        assert start.tzinfo is not None, "naive datetimes do not enter this program"
        self._now = start.astimezone(UTC)

    def now(self, connection: Connection | None = None) -> datetime:  # noqa: ARG002 - the Clock's
        """Return the moment the test has reached, aware and in UTC."""
        return self._now

    def advance(self, by: timedelta) -> datetime:
        """Move on, and return the new present."""
        assert by >= timedelta(0), "time does not run backwards here"
        self._now += by
        return self._now
