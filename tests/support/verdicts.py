"""What each channel says of an event, at one moment: whether it takes it."""

from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Final

from models.events.decode import read
from models.events.event import Entry, Event
from models.intake.apply import decode_entries
from producers.gateway.event_validation import ValidEvent, validate_event
from tests.support.envelopes import envelope
from worker.cli.publish.event_lines import EventLine, lines_of
from worker.cli.publish.validation import problem_with

NOW: Final = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
AGE_MAX: Final = timedelta(days=30)
ENTRY_ID: Final = f"{int(NOW.timestamp() * 1000)}-0"


def intake(raw: bytes) -> bool:
    """The intake, of an entry of the stream."""
    opened = decode_entries([Entry(ENTRY_ID, {b"event": raw})], event_age_max=AGE_MAX)
    return len(opened.part.events) == 1


def gateway(raw: bytes) -> bool:
    """The gateway, of the JSON text of one event."""
    return isinstance(validate_event(raw, now=lambda: NOW, age_max=AGE_MAX), ValidEvent)


def check(raw: bytes) -> bool:
    """`slipway publish --check`, of a line."""
    (line,) = lines_of(BytesIO(raw))
    return isinstance(line, EventLine) and problem_with(line, now=NOW, age_max=AGE_MAX) is None


def queue(raw: bytes) -> bool:
    """The Celery queue, of the body of a message; it does not know the age limit."""
    fields = {b"event": envelope(raw), b"type": b"CELERY"}
    return isinstance(read(Entry(ENTRY_ID, fields)), Event)


def as_read(raw: bytes) -> Event | None:
    """Return the event in this JSON text, without the entry that brought it; None if it is none."""
    event = read(Entry(ENTRY_ID, {b"event": raw}))
    return event._replace(entry=None) if isinstance(event, Event) else None
